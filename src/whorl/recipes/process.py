"""MCTS process supervision (2501.01478): steps weighted by how much better they do than others.

Grow a solution step by step; before each step, search from the steps so far by a small MCTS with
statistics of its own. Every candidate for the step is scored by its share of right rollouts
against that of its siblings. All scored candidates are training examples, weighted by their score,
under a KL penalty; the next round starts from the model that comes out.

Differences from the paper
1. The score's formula is in no public text. Ours compares a step with the mean outcome of all
   simulations from its prefix (`credit.relative_correctness`).
2. Weights are clipped to [-1, 1] (`clip`), and negative ones count a quarter (`negatives`):
   likelihood has no lower bound where the weight is negative. With `alpha` = 1 nothing is clipped,
   as no score exceeds 1.
3. The KL penalty is that of the new model against the one the round starts from, exact at every
   token; its coefficient and all sizes of the search are ours.
4. A next step that is sampled twice is one candidate. It has used up two of its parent's `children`
   expansions and is simulated twice.
5. A rollout without an answer counts as wrong (`uct.dead_ends="leaf"`: not at all), one whose
   answer cannot be judged is not counted; a step behind which nothing was counted is no candidate.
   A step that was cut off, or ended without an answer, counts among its siblings but is not learned
   from.
6. Simulations run in waves of `uct.parallel`, kept apart by virtual loss; 1 is the sequential
   search.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Literal

from whorl import prompts
from whorl.ask import Asking, Role
from whorl.credit import (
    backup_all,
    ended,
    relative_correctness,
    require_visits,
    state_prompt,
    step_text,
    whole_step,
)
from whorl.example import Likelihood, Objective, Weighted
from whorl.problem import Problem
from whorl.prompts.wording import WHORL, Wording
from whorl.recipe import Harvest, Start
from whorl.rollout import Sampling, roll_out, spent
from whorl.search import Uct, Virtual, expand, select, waves, within_budget
from whorl.tree import ROOT, Node, Tree

NEGATIVE_SCALE = 0.25


@dataclass(frozen=True, slots=True)
class Process:
    """The settings of MCTS process supervision.

    uct: the search before each step: `children` is the number of expansions of one node, one step
        each; `simulations` are per appended step; `depth` is the most steps appended.
    sampling: of steps and rollouts; a simulation's step and rollout share `solution_tokens`.
    alpha: multiplies the score.
    clip: bound of a weight, either way; a large one clips nothing.
    negatives: `keep` a negative weight, `drop` the step, or `scale` the weight by a quarter.
    kl: coefficient of the penalty in training.
    words: in which models are asked.
    """

    roles: ClassVar[Sequence[Role]] = ("policy",)
    starts: ClassVar[Start] = "last"  # each round trains the model that came out of the one before

    uct: Uct = Uct(  # noqa: RUF009
        constant=math.sqrt(2),
        wrong=0.0,
        children=4,
        simulations=16,
        dead_ends="propagate",
    )
    sampling: Sampling = Sampling(top_p=0.95)  # noqa: RUF009
    alpha: float = 1.0
    clip: float = 1.0
    negatives: Literal["keep", "drop", "scale"] = "scale"
    kl: float = 0.05
    words: Wording = WHORL

    def __post_init__(self) -> None:
        if self.uct.selection:
            raise ValueError("uct.selection is not for this search, which has a rule of its own")
        if min(self.alpha, self.clip) <= 0 or self.kl < 0:
            raise ValueError("alpha and clip must be above 0, and kl must not be negative")

    @property
    def samples_at_most(self) -> int:
        """One step and one rollout per simulation, before each of the most steps."""
        return 2 * self.uct.simulations * self.uct.depth

    @property
    def objective(self) -> Objective:
        """Weighted likelihood under an exact KL penalty, averaged over tokens."""
        return Likelihood(kl=self.kl, penalty="exact", average="token")

    def grow(self, problem: Problem, last: Tree | None = None) -> Asking[Tree]:
        """Search, append the chosen step and search again behind it, until a chosen step is final
        or there are `uct.depth` steps.

        The chosen candidate keeps its statistics and what was sampled below it: the next search
        starts at a copy of it, of author `spine`. The copy has no children yet, so it is fresh.
        """
        tree = prompts.planted(Tree(problem), self.words)
        root = ROOT
        with within_budget(tree):
            for _ in range(self.uct.depth):
                tree.nodes[root].mark = "start"
                yield from waves(tree, root, self.uct, partial(self._simulate, tree, root))
                chosen = self._choose(tree, root)
                if chosen is None:
                    break
                if tree.nodes[chosen].terminal:
                    tree.tip = chosen
                    break
                root = tree.add(Node(root, tree.nodes[chosen].text, author="spine"))
        return tree

    def harvest(self, tree: Tree) -> Harvest:
        """Every candidate after every prefix that was searched, weighted by its score.

        Trees of other recipes will do if their simulations counted visits: there, every prefix
        that a simulation passed is one. Raises UserError for trees without visits.
        """
        require_visits(tree, "process supervision")
        glue = self.sampling.steps.glue
        examples: list[Weighted] = []
        dropped: Counter[str] = Counter()
        for at in compared_prefixes(tree):
            here = state_prompt(tree, at)
            for step, score in _scored(tree, at):
                node, weight = tree.nodes[step], self._weight(score)
                if not whole_step(node, glue):
                    dropped["not a whole step"] += 1
                elif not weight:
                    dropped["negative score" if score else "score of zero"] += 1
                else:
                    origin = tree.origin(step)
                    examples.append(Weighted(here, step_text(node), weight, ended(node), origin))
        return Harvest(tuple(examples), dict(dropped))

    def tally(self, tree: Tree) -> Mapping[str, int]:
        """Counts: the solution's outcome, prefixes searched, prefixes whose scores differ, and
        steps where highest UCB and most visits disagree."""
        prefixes = compared_prefixes(tree)
        outcome = {1.0: "right", 0.0: "wrong", None: "no solution"}[tree.nodes[tree.tip].reward]
        return {
            outcome: 1,
            "prefixes": len(prefixes),
            "prefixes that tell": sum(
                any(score for _, score in _scored(tree, at)) for at in prefixes
            ),
            "highest UCB and most visits choose differently": sum(
                node.mark == "split" for node in tree.nodes
            ),
        }

    def _simulate(self, tree: Tree, root: int, virtual: Virtual) -> Asking[None]:
        """One simulation: select a node with room for a child, add one, roll out, back up."""
        nodes = tree.nodes
        path = [root]
        virtual[root] += 1
        expanded = False
        while not (expanded or nodes[path[-1]].terminal):
            leaf = path[-1]
            expanded = _expansions(tree, leaf) + virtual[-1 - leaf] < self.uct.children
            move = self._expand if expanded else self._select
            child = yield from move(tree, leaf, virtual)
            if child is None:
                break
            path.append(child)
            virtual[child] += 1
        if child is None:
            nodes[leaf].pruned, nodes[leaf].mark = True, nodes[leaf].mark or "dead end"
        else:
            yield from self._play_out(tree, path[-1])
        for node in path:
            virtual[node] -= 1

    def _select(self, tree: Tree, leaf: int, virtual: Virtual) -> Asking[int | None]:
        """The child of highest UCB, once no child is still being sampled."""
        while virtual[-1 - leaf]:
            yield []
        return select(tree, leaf, self.uct, virtual)

    def _expand(self, tree: Tree, leaf: int, virtual: Virtual) -> Asking[int | None]:
        """Sample one step, new or known."""
        virtual[-1 - leaf] += 1
        (child,) = yield from expand(tree, leaf, self.sampling, 1)
        virtual[-1 - leaf] -= 1
        return child

    def _play_out(self, tree: Tree, step: int) -> Asking[None]:
        """Sample the solution behind `step` to its end, and back its outcome up."""
        left = max(1, self.sampling.solution_tokens - spent(self.sampling, tree.nodes[step]))
        ends = yield from roll_out(tree, step, 1, replace(self.sampling, solution_tokens=left))
        backup_all(tree, ends, self.uct.dead_ends)

    def _choose(self, tree: Tree, root: int) -> int | None:
        """The candidate of highest UCB, to be appended; None if all are dead ends, or nothing that
        was sampled behind them was decided. Marks it where the most visited candidate is another.
        """
        nodes, uct = tree.nodes, self.uct
        known = [c for c in _candidates(tree, root) if not nodes[c].pruned]
        if not known:
            return None
        log_visits = math.log(nodes[root].visits)

        def ucb(step: int) -> float:
            node = nodes[step]
            return uct.q(node) + uct.constant * math.sqrt(log_visits / node.visits)

        chosen = max(known, key=ucb)
        most_visited = max(known, key=lambda c: (nodes[c].visits, nodes[c].mean))
        if chosen != most_visited:
            nodes[chosen].mark = "split"
        return chosen

    def _weight(self, score: float) -> float:
        """Weight of a step in training; 0 leaves the step out."""
        weight = max(-self.clip, min(self.clip, self.alpha * score))
        if weight >= 0 or self.negatives == "keep":
            return weight
        return NEGATIVE_SCALE * weight if self.negatives == "scale" else 0.0


def compared_prefixes(tree: Tree) -> list[int]:
    """Nodes whose children a search compared: where this recipe started its searches; in trees of
    other recipes every node with visits."""
    starts = [i for i, node in enumerate(tree.nodes) if node.mark == "start"]
    return [at for at in starts or range(len(tree.nodes)) if _candidates(tree, at)]


def _candidates(tree: Tree, at: int) -> list[int]:
    """The policy's next steps after `at` that have visits."""
    nodes = tree.nodes
    return [c for c in nodes[at].children if nodes[c].author == "policy" and nodes[c].visits]


def _scored(tree: Tree, at: int) -> list[tuple[int, float]]:
    """The candidates after `at`, each with its score."""
    steps = _candidates(tree, at)
    nodes = [tree.nodes[step] for step in steps]
    found = relative_correctness([n.total for n in nodes], [n.visits for n in nodes])
    return list(zip(steps, found, strict=True))


def _expansions(tree: Tree, at: int) -> int:
    """The number of next steps sampled after `at`, equal ones counted each time."""
    children = (tree.nodes[c] for c in tree.nodes[at].children)
    return sum(child.copies for child in children if child.author == "policy")
