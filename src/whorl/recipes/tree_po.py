"""TreePO (2508.17445): segments of equal length that fork within a budget of paths, and stop early.

All paths go on together, a segment at a time. What a path that has ended leaves of the budget goes
to those that are alive; one that repeats itself or ends without an answer is stopped. Where paths
run out before the budget does, a finished one is taken up again at a random segment. An end's
advantage is its reward against the mean below each segment on its way, averaged; it is the same for
all of its tokens.

Differences from the paper and its code
1. Advantages are not whitened over the batch; the step that trains does not know the others.
2. One step from the policy that sampled: no ratio, no clipping, and a penalty of `kl`; the code has
   none. Questions whose ends are all right or all wrong are left out; the code draws others.
3. Equal segments are one node, which goes on as often as it was sampled. Equal solutions are one
   example with the sum of their advantages; the mean is over the tokens of distinct ones.
4. A path ends where a box closes, or where the policy ends its turn; the code wants both. An answer
   in words may have been cut in its middle, so the path goes on behind it.
5. The first fork is `branch` wide, as the code runs it; the paper says up to 8.
6. The penalty on overlong solutions is not here.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from whorl import prompts
from whorl.ask import Asking, Reply, Role, together
from whorl.credit import backup_all, first_right
from whorl.credit.branches import ancestor_advantages, ends_of, merged, taught_ends, tell_apart
from whorl.example import Likelihood, Objective
from whorl.problem import Problem
from whorl.prompts.wording import WHORL, Wording
from whorl.recipe import Harvest, Start
from whorl.rollout import Sampling
from whorl.search import Check, expand, faults, too_deep, within_budget
from whorl.steps import Tokens
from whorl.tree import ROOT, Mark, Node, Tree

LOOP, TIMES = 32, 8
"""Characters of a piece of text, and how often it stands in a path that repeats itself (TreePO's
code)."""


@dataclass(frozen=True, slots=True)
class TreePo:
    """TreePO's settings.

    paths: that a question may have, finished and alive.
    branch: ways on from a segment, as far as the paths last.
    depth: segments of a path at most.
    kl: coefficient of the penalty.
    words: in which models are asked.
    """

    roles: ClassVar[Sequence[Role]] = ("policy",)
    starts: ClassVar[Start] = "last"

    sampling: Sampling = Sampling(  # noqa: RUF009
        temperature=1.0, step_tokens=512, solution_tokens=7168, steps=Tokens(512)
    )
    paths: int = 16
    branch: int = 2
    depth: int = 14
    kl: float = 0.01
    words: Wording = WHORL

    def __post_init__(self) -> None:
        for name in ("paths", "branch", "depth"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        if self.kl < 0:
            raise ValueError("kl must not be negative")

    @property
    def samples_at_most(self) -> int:
        """Segments, if every path has `depth` of its own, and is taken up again."""
        return 2 * self.paths * self.depth

    @property
    def tokens_at_most(self) -> int:
        """The tokens of so many steps, as all samples are."""
        return self.samples_at_most * self.sampling.step_at_most

    @property
    def objective(self) -> Objective:
        """Weighted likelihood, a mean over tokens, with the k3 estimate of the KL divergence."""
        return Likelihood(kl=self.kl, penalty="k3", average="token")

    def grow(self, problem: Problem, last: Tree | None = None) -> Asking[Tree]:
        """Let paths fork and go on until the budget of them is used."""
        tree = prompts.planted(Tree(problem), self.words)
        rng = Random(problem.id)
        with within_budget(tree):
            alive, ended, left = [ROOT], 0, self.samples_at_most
            while alive and left > 0:
                ways: Counter[int] = Counter()
                shares = self._ways(len(alive), ended, self._finished(tree))
                for at, share in zip(alive, shares, strict=True):
                    ways[at] += share
                left -= sum(shares)
                drawn = yield from together([self._segment(tree, at, n) for at, n in ways.items()])
                new = [step for steps in drawn for step in steps]
                alive = [i for i in new if not (tree.nodes[i].terminal or tree.nodes[i].pruned)]
                ended = len(new) - len(alive)
                missing = self.paths - self._finished(tree) - len(alive)
                if not alive and missing > 0:
                    alive, ended = self._again(tree, rng, missing), 0
        tree.tip = first_right(tree)
        return tree

    def _ways(self, alive: int, ended: int, finished: int) -> list[int]:
        """How often each path that is alive goes on: at least once, and evenly as far as the paths
        last, the last one taking the rest."""
        total = max(alive, min(self.paths - finished, self.branch * (ended + alive)))
        each, rest = divmod(total, alive)
        return [each] * (alive - 1) + [each + rest]

    def _segment(self, tree: Tree, at: int, n: int) -> Asking[list[int]]:
        """Sample `n` segments after `at`; ends are judged and backed up. Returns each sample's
        node."""
        before = {c: tree.nodes[c].copies for c in tree.nodes[at].children}
        new = yield from expand(
            tree, at, self.sampling, n, fault=faults(_loops, too_deep(self.depth))
        )
        times = {step: tree.nodes[step].copies - before.get(step, 0) for step in new}
        drawn = [step for step in new for _ in range(times[step])]
        backup_all(tree, [i for i in drawn if tree.nodes[i].terminal or tree.nodes[i].pruned])
        return drawn

    def _finished(self, tree: Tree) -> int:
        """Samples that have come to an end, or were stopped."""
        return sum(node.copies for node in tree.nodes if node.terminal or node.pruned)

    def _again(self, tree: Tree, rng: Random, missing: int) -> list[int]:
        """Random segments of finished solutions to go on from, `branch` paths from each; the
        question where none is finished."""
        ended = [
            i for i, node in enumerate(tree.nodes) if node.terminal or node.mark == "no answer"
        ]
        starts: list[int] = []
        while len(starts) < missing:
            path = [ROOT, *tree.path(rng.choice(ended))[:-1]] if ended else [ROOT]
            starts += [rng.choice(path)] * self.branch
        return starts[:missing]

    def harvest(self, tree: Tree) -> Harvest:
        """Every solution with its advantage, if there are right and wrong ones.

        Takes trees of any recipe in which the policy sampled.
        """
        ends = ends_of(tree)
        if not tell_apart(ends):
            return Harvest((), {"all right or all wrong" if ends else "no end": 1})
        samples = taught_ends(tree, ends, ancestor_advantages(ends))
        return Harvest(tuple(merged(samples)), {})

    def tally(self, tree: Tree) -> Mapping[str, int]:
        """Counts: ends by outcome, paths that repeated themselves, and whether these tell
        anything."""
        ends = ends_of(tree)
        right = sum(end.copies for end in ends if end.reward == 1.0)
        return {
            "right": right,
            "wrong": sum(end.copies for end in ends) - right,
            "repeated": sum(node.copies for node in tree.nodes if node.mark == "repeated"),
            "questions that tell": int(tell_apart(ends)),
        }


def _loops(tree: Tree, at: int) -> Check:
    """The rule that closes a segment after which some piece of the path stands there again and
    again."""
    before = tree.text(at)

    def check(node: Node, reply: Reply) -> Mark:
        text = before + node.text
        pieces = (text[i : i + LOOP] for i in range(len(before), len(text) - LOOP + 1, LOOP))
        return "repeated" if any(text.count(piece) >= TIMES for piece in pieces) else ""

    return check
