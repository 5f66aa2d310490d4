"""Controls: what is left of a method's gain when its verdicts or its answers are spoilt.

A control reads the trees that its method grew, with what it spoils rewritten before the harvest.
So it costs no tokens; and the search itself, with whatever it refined and chose to go on with, has
seen the true verdicts.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Literal, TypeAlias, get_args

from whorl.answer import concluded, equal
from whorl.credit import prune
from whorl.errors import UserError
from whorl.recipe import Recipe, chosen_of
from whorl.tree import NO_PARENT, Mark, Tree

Spoilt: TypeAlias = Literal["random", "flipped", "unfiltered", "perturbed"]
"""What a control spoils.

random: every verdict is drawn anew, right as often as verdicts in these trees are
    (Spurious Rewards, 2506.10947, draws with probability 0.5).
flipped: a share of the verdicts is turned into the opposite.
unfiltered: whatever the policy wrote counts as right, cut off or without an answer too.
perturbed: the numbers in every final answer are others; the verdicts stay, and an end whose answer
    cannot be changed so is left out. Who copies what is taught gets worse, who learns to give the
    answer he finds does not.
"""

KINDS: tuple[Spoilt, ...] = get_args(Spoilt)


@dataclass(frozen=True, slots=True)
class Control:
    """A control of a method.

    kind: what is spoilt. rate: share of the verdicts that `flipped` turns, in [0, 1].
    """

    kind: Spoilt
    rate: float = 0.2

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1:
            raise UserError(f"the rate of a control should be in [0, 1], not {self.rate}")

    @property
    def spoils_verdicts(self) -> bool:
        """Whether it is verdicts that are spoilt."""
        return self.kind != "perturbed"


def spoilt(
    trees: Callable[[], Iterable[Tree]], control: Control, recipe: Recipe, seed: int
) -> Iterator[Tree]:
    """The trees as a control has them, with sums, values by rollouts and tips that follow from its
    verdicts.

    trees: gives all of them, each time it is called. recipe: that will harvest them.

    What is drawn hangs on the seed, the problem and the text, so that a solution which is sampled
    again has the verdict it had before, as it has of a verifier.
    """
    rate = _right(trees()) if control.kind == "random" else control.rate
    for tree in trees():
        for end in list(_ends(tree, control)):
            _spoil(tree, end, control.kind, rate, seed)
        _value_again(tree)
        tree.tip = chosen_of(recipe, tree)
        yield tree


def _spoil(tree: Tree, end: int, kind: Spoilt, rate: float, seed: int) -> None:
    node, text = tree.nodes[end], tree.text(end)
    draw = Random(f"{kind} {seed} {tree.problem.id} {text.rstrip()}").random()
    match kind:
        case "random":
            _judge(tree, end, float(draw < rate))
        case "flipped" if draw < rate:
            _judge(tree, end, 1.0 - (node.reward or 0.0))
        case "unfiltered":
            node.terminal, node.pruned = True, False
            _judge(tree, end, 1.0)
        case "perturbed" if answer := concluded(text):
            named = f"{kind} {seed} {tree.problem.id} {answer}"
            if not _misstate(tree, end, answer, named):
                _judge(tree, end, 0.0)
                node.reward = None
                prune(node, "undecided")


def _ends(tree: Tree, control: Control) -> Iterator[int]:
    """Indices of the ends that a control looks at: those with a verdict; unfiltered, also those
    that have none because they were cut off, state no answer, or one that cannot be judged."""
    for index, node in enumerate(tree.nodes):
        judged = node.terminal and node.reward is not None
        written = not node.children and (node.terminal or node.mark in _ENDS)
        if judged or (control.kind == "unfiltered" and written and tree.text(index).strip()):
            yield index


def _right(trees: Iterable[Tree]) -> float:
    """The share of right ones among the verdicts of all samples."""
    ends = right = 0
    for node in (node for tree in trees for node in tree.nodes):
        if node.terminal and node.reward is not None:
            ends += node.copies
            right += node.copies * (node.reward == 1.0)
    return right / ends if ends else 0.0


def _judge(tree: Tree, end: int, reward: float) -> None:
    """Give an end another verdict, and the sums along its path what follows from that."""
    node = tree.nodes[end]
    change = node.visits * (reward - (node.reward or 0.0))
    node.reward = reward
    while change and end != NO_PARENT:
        node = tree.nodes[end]
        node.total += change
        end = node.parent


def _value_again(tree: Tree) -> None:
    """Give the steps that rollouts were to value what follows from the verdicts on these. A reward
    model's values are no verdicts, and stay."""
    if not any(node.author == "rollout" for node in tree.nodes):
        return
    for node in tree.nodes:
        if node.value is None:
            continue
        played = [child for child in node.children if tree.nodes[child].author == "rollout"]
        if played:
            right = sum(_right_copies(tree, child) for child in played)
            node.value = right / sum(tree.nodes[child].copies for child in played)
        elif node.terminal:
            node.value = node.reward


def _right_copies(tree: Tree, step: int) -> int:
    """How many of the rollouts that begin with a step are right."""
    node = tree.nodes[step]
    own = node.copies if node.terminal and node.reward == 1.0 else 0
    return own + sum(_right_copies(tree, child) for child in node.children)


def _misstate(tree: Tree, end: int, answer: str, seed: str) -> bool:
    """Write other numbers where the last step states the answer; returns whether the solution says
    another one now. If not, it stays as it was."""
    node = tree.nodes[end]
    whole = node.text
    stated = rf"(?<![\d.,]){re.escape(answer)}(?!\d|[.,]\d)"
    places = [found.span() for found in re.finditer(stated, whole)]
    boxes = [found.span() for found in _BOX.finditer(whole)]
    for spans in (*([place] for place in reversed(places)), boxes):
        node.text = whole
        for begin, behind in reversed(spans):
            other = _perturbed(whole[begin:behind], Random(seed))
            node.text = node.text[:begin] + other + node.text[behind:]
        said = concluded(tree.text(end))
        if said and equal(answer, said) is False:
            return True
    node.text = whole
    return False


def _perturbed(answer: str, draw: Random) -> str:
    """An answer with other numbers, each not far from the one there was."""

    def other(found: re.Match[str]) -> str:
        number, step = int(found[0]), draw.randint(1, 9)
        return str(number - step if draw.random() < 0.5 and number > step else number + step)

    return _NUMBER.sub(other, answer)


_ENDS: tuple[Mark, ...] = ("cut off", "no answer", "undecided")
_NUMBER = re.compile(r"\d{1,18}")
_BOX = re.compile(r"\\boxed\s*\{(?:[^{}]|\{[^{}]*\})*\}")
