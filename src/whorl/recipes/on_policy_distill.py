"""On-policy distillation (GKD, 2306.13649, of reverse KL): the teacher says how likely it finds
each token of what the student wrote.

The student samples solutions, the teacher reads them and gives every token its log-probability. The
student is moved towards the teacher at its own tokens: reverse KL divergence, token by token. As a
hybrid, `weigh="siblings"`: the student searches, and a step counts by how much its siblings
disagree in outcome, so that the teacher is heeded where a choice decides.

Differences from the papers and from Tinker's `distillation/train_on_policy.py`
1. A token's term is the squared difference of log-probabilities; where the student has just sampled
   its gradient is that of the sampled reverse KL, log new - log teacher times the gradient of log
   new. Tinker fixes that factor when it samples and corrects by an importance ratio.
2. The teacher says what it finds of the sampled token alone, not of its whole distribution.
3. One divergence of GKD's family, and samples of the student alone (its lambda 1).
4. Nothing of what a token does to later ones is counted (Tinker's discount, 0 by default).
5. The hybrid is ours.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import pvariance
from typing import ClassVar, Literal

from whorl import prompts
from whorl.ask import Ask, Asking, Given, Role
from whorl.credit import ended, first_right, outcomes, state_prompt
from whorl.errors import UserError
from whorl.example import Distillation, Objective, Weighted
from whorl.problem import Problem
from whorl.prompts.wording import WHORL, Wording
from whorl.recipe import Harvest, Start
from whorl.rollout import Sampling, complete
from whorl.search import Uct, mcts, within_budget
from whorl.tree import ROOT, Tree

WIDEST = 0.25
"""Variance of outcomes in [0, 1] where siblings disagree most."""


@dataclass(frozen=True, slots=True)
class OnPolicyDistill:
    """Settings of on-policy distillation.

    samples: solutions per problem.
    weigh: `alike`: every token of every sample counts the same; `siblings`: the student searches by
        `uct`, and its steps count by the variance of their siblings' mean outcomes.
    uct: the search.
    words: in which models are asked.

    Samples are drawn as the model is: at temperature 1, from all of its distribution.
    """

    roles: ClassVar[Sequence[Role]] = ("policy", "teacher")
    objective: ClassVar[Objective] = Distillation()
    starts: ClassVar[Start] = "last"

    sampling: Sampling = Sampling(temperature=1.0)  # noqa: RUF009
    samples: int = 4
    weigh: Literal["alike", "siblings"] = "alike"
    uct: Uct = Uct(simulations=8)  # noqa: RUF009
    words: Wording = WHORL

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise ValueError("samples must be at least 1")
        if (self.sampling.temperature, self.sampling.top_p) != (1.0, 1.0):
            raise ValueError(
                "sampling.temperature and sampling.top_p must be 1: the divergence is that of what "
                "the model samples from, and it is trained as it is"
            )

    @property
    def samples_at_most(self) -> int:
        """The samples and as many readings of them; every step of a full search and its reading."""
        searched = self.uct.simulations * self.uct.depth * self.uct.children
        return 2 * (self.samples if self.weigh == "alike" else searched)

    @property
    def verified(self) -> bool:
        """Verdicts are heeded where siblings are compared."""
        return self.weigh == "siblings"

    def grow(self, problem: Problem, last: Tree | None = None) -> Asking[Tree]:
        """Sample or search, then have the teacher read what was written."""
        tree = prompts.planted(Tree(problem), self.words)
        with within_budget(tree):
            if self.weigh == "alike":
                yield from complete(tree, ROOT, self.samples, self.sampling)
            else:
                yield from mcts(tree, self.sampling, self.uct)
            tree.tip = first_right(tree)
            yield from read_by_teacher(tree, [step for step, _ in self._weights(tree)])
        return tree

    def harvest(self, tree: Tree) -> Harvest:
        """Texts of the policy with the teacher's log-probabilities, one example for each sample.

        Raises `UserError` for a tree that no teacher has read.
        """
        weights = list(self._weights(tree))
        known = [(step, weight) for step, weight in weights if tree.nodes[step].taught]
        if weights and not known and not tree.cut_short:
            raise UserError(
                f"{tree.problem.id}: on-policy distillation learns from what a teacher says of "
                "each token, and no teacher has read this tree"
            )
        examples = [one for step, weight in known for one in self._taught(tree, step, weight)]
        dropped = {
            "not read": len(weights) - len(known),
            "nothing to teach": int(not weights),
        }
        return Harvest(tuple(examples), {why: count for why, count in dropped.items() if count})

    def tally(self, tree: Tree) -> Mapping[str, int]:
        """Counts of samples by outcome, and of the tokens that the teacher has read."""
        return outcomes(tree) | {"tokens read": sum(len(node.taught) for node in tree.nodes)}

    def _weights(self, tree: Tree) -> Iterator[tuple[int, float]]:
        """The steps to be taught, each with its weight in (0, 1]."""
        nodes = tree.nodes
        for at, node in enumerate(nodes):
            steps = [c for c in node.children if nodes[c].author == "policy" and nodes[c].text]
            weight = 1.0
            if self.weigh == "siblings":
                means = [nodes[c].mean for c in node.children if nodes[c].visits]
                weight = pvariance(means) / WIDEST if len(means) > 1 else 0.0
            if weight and (self.weigh == "siblings" or at == ROOT):
                yield from ((step, weight) for step in steps)

    def _taught(self, tree: Tree, step: int, weight: float) -> Iterator[Weighted]:
        node = tree.nodes[step]
        one = Weighted(
            state_prompt(tree, node.parent),
            node.text,
            weight,
            _ended(tree, step),
            tree.origin(step),
            node.taught,
        )
        yield from [one] * node.copies


def read_by_teacher(tree: Tree, steps: Sequence[int]) -> Asking[None]:
    """Ask the teacher for the log-probabilities of the tokens of `steps`, each after what came
    before it, and keep them in their nodes."""
    asks = [
        Ask(
            state_prompt(tree, tree.nodes[step].parent),
            "teacher",
            max_tokens=max(1, tree.nodes[step].tokens),
            given=Given(tree.nodes[step].text, _ended(tree, step)),
        )
        for step in steps
    ]
    if asks:
        replies = yield asks
        for step, (reply,) in zip(steps, replies, strict=True):
            tree.nodes[step].taught = reply.logprobs


def _ended(tree: Tree, step: int) -> bool:
    """Whether the policy is known to have ended its turn behind a step: one whose verdict is open
    may have been cut off behind its answer."""
    return ended(tree.nodes[step]) or tree.nodes[step].mark == "no answer"
