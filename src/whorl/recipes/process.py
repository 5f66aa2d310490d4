"""MCTS process supervision (2501.01478): steps weighted by how much better they do than others.

Grow a solution step by step; before each step, search from the steps so far by a small MCTS with
statistics of its own. Every candidate for the step is scored by its share of right rollouts
against that of its siblings. All scored candidates are training examples, weighted by their score,
under a KL penalty; the next round starts from the model that comes out.

Differences from the paper
1. The score's formula is in no public text. Four readings are here (`score`); the default compares
   a step with the mean outcome of all simulations from its prefix.
2. Weights are clipped to [-1, 1], and negative ones count a quarter (`negatives`): likelihood has
   no lower bound where the weight is negative.
3. The KL penalty is that of the new model against the one the round starts from, exact at every
   token; its coefficient and all sizes of the search are ours.
4. A next step that is sampled twice is one candidate. It has used up two of its parent's `children`
   expansions and is simulated twice.
5. A rollout without an answer counts as wrong (`uct.dead_ends="leaf"`: not at all), one whose
   answer cannot be judged is not counted. A step that was cut off, or ended without an answer,
   counts among its siblings but is not learned from.
6. Simulations run in waves of `uct.parallel`, kept apart by virtual loss; 1 is the sequential
   search.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import ClassVar, Literal

from whorl import prompts
from whorl.ask import Moves, Role
from whorl.errors import UserError
from whorl.example import Likelihood, Objective, Weighted
from whorl.problem import Problem
from whorl.recipe import Harvest, Start
from whorl.search import (
    DEAD_END,
    ROLLOUT,
    SPINE,
    UNDECIDED,
    Sampling,
    Uct,
    backup,
    expand,
    kept,
    sample,
    select,
    together,
)
from whorl.tree import ROOT, Node, Tree

Kind = Literal["diff_visit", "diff_mean", "ratio_mean", "ratio_max"]

NEGATIVE_SCALE = 0.25
START = "a search starts here"
SPLIT = "highest UCB and most visits choose differently"


@dataclass(frozen=True, slots=True)
class Process:
    """The settings of MCTS process supervision.

    uct: the search before each step: `children` is the number of expansions of one node, one step
        each; `simulations` are per appended step; `depth` is the most steps appended.
    sampling: of steps and rollouts; a simulation's step and rollout share `solution_tokens`.
    next_step: the candidate that is appended: of the highest UCB (the paper) or the most visits.
    score: relative correctness, see `scores`.
    alpha: multiplies the score.
    negatives: `keep` a negative weight, `drop` the step, or `scale` the weight by a quarter.
    kl: coefficient of the penalty in training.
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
    next_step: Literal["ucb", "visits"] = "ucb"
    score: Kind = "diff_visit"
    alpha: float = 1.0
    negatives: Literal["keep", "drop", "scale"] = "scale"
    kl: float = 0.05

    def __post_init__(self) -> None:
        if self.alpha <= 0 or self.kl < 0:
            raise ValueError("alpha must be above 0, and kl must not be negative")

    @property
    def samples_at_most(self) -> int:
        """A step and a rollout per simulation, before each of the most steps."""
        return 2 * self.uct.simulations * self.uct.depth

    @property
    def objective(self) -> Objective:
        """Weighted likelihood under an exact KL penalty, averaged over tokens."""
        return Likelihood(kl=self.kl, penalty="exact", average="token")

    def grow(self, problem: Problem, last: Tree | None = None) -> Moves[Tree]:
        """Search, append the chosen step, search again behind it, until a chosen step is final or
        `uct.depth` steps are there.

        The chosen candidate keeps its statistics and what was sampled below it: the next search
        starts at a copy of it, of author `SPINE`. The copy has no children yet, so it is fresh.
        """
        tree = Tree(problem)
        root = ROOT
        with kept(tree):
            for _ in range(self.uct.depth):
                tree.nodes[root].note = START
                yield from self._search(tree, root)
                chosen = self._choose(tree, root)
                if chosen is None:
                    break
                if tree.nodes[chosen].terminal:
                    tree.tip = chosen
                    break
                root = tree.add(Node(root, tree.nodes[chosen].text, author=SPINE))
        return tree

    def harvest(self, tree: Tree) -> Harvest:
        """Every candidate after every prefix that was searched, weighted by its score.

        Trees of other recipes will do if their simulations counted visits: there, every prefix
        that a simulation passed is one. Raises UserError for trees without visits.
        """
        if not tree.nodes[ROOT].visits and any(tree.leaves()) and not tree.cut_short:
            raise UserError("process supervision learns from visits, and this tree counts none")
        prompt = prompts.solve(tree.problem.question)
        glue = self.sampling.steps.glue
        examples: list[Weighted] = []
        dropped: Counter[str] = Counter()
        for at in compared(tree):
            here = replace(prompt, prefix=tree.text(at))
            for step, score in _scored(tree, at, self.score):
                node, weight = tree.nodes[step], self._weight(score)
                if node.pruned and not (node.terminal or node.text.endswith(glue)):
                    dropped["not a whole step"] += 1
                elif not weight:
                    dropped["negative score" if score else "score of zero"] += 1
                else:
                    text = node.text.rstrip() if node.terminal else node.text
                    examples.append(Weighted(here, text, weight, node.terminal, tree.origin(step)))
        return Harvest(tuple(examples), dict(dropped))

    def tally(self, tree: Tree) -> Mapping[str, int]:
        """The solution's outcome; prefixes searched, those where scores differ, and choices that
        the highest UCB and the most visits would make differently."""
        prefixes = compared(tree)
        outcome = {1.0: "right", 0.0: "wrong", None: "no solution"}[tree.nodes[tree.tip].reward]
        return {
            outcome: 1,
            "prefixes": len(prefixes),
            "prefixes that tell": sum(
                any(score for _, score in _scored(tree, at, "diff_visit")) for at in prefixes
            ),
            SPLIT: sum(node.note == SPLIT for node in tree.nodes),
        }

    def _search(self, tree: Tree, root: int) -> Moves[None]:
        """The simulations from `root`, in waves."""
        left = self.uct.simulations
        virtual: Counter[int] = Counter()
        while left and not tree.nodes[root].pruned:
            wave = min(self.uct.parallel, left)
            yield from together([self._simulate(tree, root, virtual) for _ in range(wave)])
            left -= wave

    def _simulate(self, tree: Tree, root: int, virtual: Counter[int]) -> Moves[None]:
        """One simulation: select a node with room for a child, add one, roll out, back up.

        virtual: simulations under way through each node, and expansions under way (`-1 - node`),
        shared by the simulations of a wave.
        """
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
                nodes[leaf].pruned, nodes[leaf].note = True, nodes[leaf].note or DEAD_END
                virtual.subtract(path)
                return
            path.append(child)
            virtual[child] += 1
        end = yield from self._roll_out(tree, path[-1])
        outcome = self._outcome(nodes[end])
        if outcome is not None:
            backup(tree, end, outcome)
        virtual.subtract(path)

    def _select(self, tree: Tree, leaf: int, virtual: Counter[int]) -> Moves[int | None]:
        """The child of highest UCB, once all that are being sampled are there."""
        while virtual[-1 - leaf]:
            yield []
        return select(tree, leaf, self.uct, virtual)

    def _expand(self, tree: Tree, leaf: int, virtual: Counter[int]) -> Moves[int | None]:
        """One sampled step, new or known."""
        virtual[-1 - leaf] += 1
        (child,) = yield from expand(tree, leaf, self.sampling, children=1)
        virtual[-1 - leaf] -= 1
        return child

    def _roll_out(self, tree: Tree, step: int) -> Moves[int]:
        """Play on from `step` to the end of a solution; returns its last node, `step` itself if
        nothing can follow it."""
        node = tree.nodes[step]
        if node.terminal or node.pruned:
            return step
        left = max(1, self.sampling.solution_tokens - node.tokens)
        sampling = replace(self.sampling, solution_tokens=left)
        (end,) = yield from sample(tree, 1, sampling, at=step, author=ROLLOUT)
        return end

    def _outcome(self, end: Node) -> float | None:
        """What a simulation that ended there counts as; None: it does not count."""
        known = end.note not in (UNDECIDED, DEAD_END)
        return 0.0 if end.pruned and known and self.uct.dead_ends == "propagate" else end.reward

    def _choose(self, tree: Tree, root: int) -> int | None:
        """The candidate to append; None if all are dead ends. Marks it where the rules differ."""
        nodes = tree.nodes
        by_ucb = select(tree, root, self.uct, Counter())
        if by_ucb is None:
            return None
        by_visits = max(
            (c for c in nodes[root].children if not nodes[c].pruned),
            key=lambda c: (nodes[c].visits, nodes[c].mean),
        )
        chosen = by_ucb if self.next_step == "ucb" else by_visits
        if by_ucb != by_visits:
            nodes[chosen].note = SPLIT
        return chosen

    def _weight(self, score: float) -> float:
        """The weight of a step in training; 0 if it is not to be trained on."""
        weight = max(-1.0, min(1.0, self.alpha * score))
        if weight >= 0 or self.negatives == "keep":
            return weight
        return NEGATIVE_SCALE * weight if self.negatives == "scale" else 0.0


def scores(q: Sequence[float], n: Sequence[int], kind: Kind) -> list[float]:
    """Relative correctness of siblings (2501.01478; papers.md 3.3), before `alpha`.

    q, n: per sibling, the sum of the outcomes in [0, 1] of its simulations, and their number, at
        least 1. With the siblings' means q/n,
    `diff_visit`: mean less the mean over all simulations, sum q / sum n;
    `diff_mean`: mean less the mean over siblings;
    `ratio_mean`, `ratio_max`: mean over the mean, the maximum over siblings; 0 if all are 0.

    Exact until it is rounded: siblings that do equally well differ by exactly 0.
    """
    means = [Fraction(total) / visits for total, visits in zip(q, n, strict=True)]
    if not means:
        return []
    if kind == "diff_visit":
        baseline = sum(map(Fraction, q)) / sum(n)
        return [float(mean - baseline) for mean in means]
    average = sum(means) / len(means)
    if kind == "diff_mean":
        return [float(mean - average) for mean in means]
    unit = average if kind == "ratio_mean" else max(means)
    return [float(mean / unit) if unit else 0.0 for mean in means]


def compared(tree: Tree) -> list[int]:
    """Nodes whose children a search compared: where searches started, if the tree was grown here;
    in other trees, all that simulations passed."""
    starts = [i for i, node in enumerate(tree.nodes) if node.note == START]
    return [at for at in starts or range(len(tree.nodes)) if _candidates(tree, at)]


def _candidates(tree: Tree, at: int) -> list[int]:
    """The policy's next steps after `at` that simulations passed."""
    nodes = tree.nodes
    return [c for c in nodes[at].children if nodes[c].author == "policy" and nodes[c].visits]


def _scored(tree: Tree, at: int, kind: Kind) -> list[tuple[int, float]]:
    """The candidates after `at`, each with its score."""
    steps = _candidates(tree, at)
    nodes = [tree.nodes[step] for step in steps]
    found = scores([node.total for node in nodes], [node.visits for node in nodes], kind)
    return list(zip(steps, found, strict=True))


def _expansions(tree: Tree, at: int) -> int:
    """Next steps that were sampled after `at`, equal ones counted each time."""
    children = (tree.nodes[c] for c in tree.nodes[at].children)
    return sum(child.copies for child in children if child.author == "policy")
