"""Moves of tree search that recipes compose: each yields asks and is sent replies, and sees no
engine.

Trees keep sums of outcomes; the reward scale of a method is applied where the sums are read.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TypeAlias, TypeVar

from whorl.answer.thoughts import shown, without_thoughts
from whorl.ask import Ask, Asking, Prompt, Reply, together
from whorl.budget import OutOfBudget
from whorl.credit import backup, backup_all, outcome, prune
from whorl.errors import UserError
from whorl.rollout import Sampling, Voice, judge_ends, kind_of, next_steps, step_node
from whorl.search.selection import SELECTIONS, Frontier, Selection, Uct, puct, select
from whorl.steps import same_words
from whorl.tree import ROOT, Mark, Node, Tree

__all__ = [
    "SELECTIONS",
    "Check",
    "Expansion",
    "Fault",
    "Frontier",
    "Selection",
    "Uct",
    "Virtual",
    "chain",
    "cut_off",
    "expand",
    "faults",
    "mcts",
    "other_script",
    "puct",
    "repeats",
    "score",
    "select",
    "simulate",
    "too_deep",
    "waves",
    "within_budget",
]

T = TypeVar("T")

Virtual: TypeAlias = defaultdict[int, int]
"""Simulations under way through each node, and expansions under way at it under the key
`-1 - node`; shared by the simulations of one wave."""


Expansion: TypeAlias = Callable[[int], Asking[list[int]]]
"""A way to add next steps after a node, like `expand`; returns their indices."""

Check: TypeAlias = Callable[[Node, Reply], Mark]
"""Why no solution should go through a new step that a reply brought; empty if it may. The step is
not in the tree yet."""

Fault: TypeAlias = Callable[[Tree, int], Check]
"""A rule that closes steps: the check of the steps after a node of a tree."""


@contextmanager
def within_budget(tree: Tree) -> Iterator[None]:
    """Context in which growing may end early: when the search is out of budget, `tree` is kept as
    it is and cut short.

    It says so in `Tree.cut_short`. Ends that no verdict has reached are undecided.
    """
    try:
        yield
    except OutOfBudget as end:
        tree.cut_short = str(end)
        for node in tree.nodes:
            if node.terminal and node.reward is None:
                prune(node, "undecided")


def mcts(
    tree: Tree,
    sampling: Sampling,
    uct: Uct,
    *,
    root: int = ROOT,
    selection: Selection | None = None,
    expansion: Expansion | None = None,
) -> Asking[None]:
    """Grow `tree` by Monte Carlo tree search from `root`.

    selection: how to descend; None: as `uct` says.
    expansion: what to sample where nothing is known; None: `uct.children` steps by the policy, of
        which the `uct.depth`-th has to end the solution.
    """
    descend = selection or SELECTIONS[uct.selection]
    voice, fault = Voice.of_policy(tree), too_deep(uct.depth)
    grow = expansion or partial(
        expand, tree, sampling=sampling, n=uct.children, voice=voice, fault=fault
    )
    yield from waves(tree, root, uct, partial(simulate, tree, root, uct, descend, grow))


def waves(
    tree: Tree, root: int, uct: Uct, simulate: Callable[[Virtual], Asking[None]]
) -> Asking[None]:
    """Run `uct.simulations` simulations from `root`, or fewer if the root turns out a dead end.

    Waves of `uct.parallel` run side by side, step by step, so the tree depends on the replies but
    not on the order in which they arrive.
    """
    left = uct.simulations
    while left and not tree.nodes[root].pruned:
        wave = min(uct.parallel, left)
        virtual: Virtual = defaultdict(int)
        yield from together([simulate(virtual) for _ in range(wave)])
        left -= wave


def simulate(
    tree: Tree, root: int, uct: Uct, selection: Selection, expansion: Expansion, virtual: Virtual
) -> Asking[None]:
    """One simulation: descend from `root`, expand until a solution ends, back it up."""
    nodes = tree.nodes
    leaf = root
    path = [leaf]
    virtual[leaf] += 1
    while not nodes[leaf].terminal:
        if not nodes[leaf].children:
            yield from _expand_once(tree, leaf, uct, expansion, virtual)
        child = selection(tree, leaf, uct, virtual)
        if child is None:
            prune(nodes[leaf], "dead end")
            break
        leaf = child
        path.append(leaf)
        virtual[leaf] += 1
    reward = outcome(nodes[leaf], dead_ends="leaf")
    if reward is not None:
        backup(tree, leaf, reward)
    for node in path:
        virtual[node] -= 1


def expand(
    tree: Tree,
    at: int,
    sampling: Sampling,
    n: int,
    *,
    voice: Voice | None = None,
    fault: Fault | None = None,
) -> Asking[list[int]]:
    """Sample `n` next steps after `at` in one ask and add the distinct ones; returns their indices.

    voice: who is asked; None: the policy, after the plain question.
    fault: prunes new steps; see `too_deep` and its like.

    A step that `voice` wrote here before is another copy of its node, if that ended as this one or
    is closed. One that ends the solution is judged at once. One that leads nowhere (cut off, empty,
    no answer at the end, an undecided answer, a fault) is pruned, with the reason as its mark.
    """
    voice = voice or Voice.of_policy(tree)
    replies = yield from next_steps(sampling, voice.after(tree, at), n, voice.role)
    nodes = tree.nodes
    check = fault(tree, at) if fault else None
    own = [c for c in nodes[at].children if nodes[c].author == voice.author]
    known = {(nodes[c].text, kind_of(nodes[c])): c for c in own}
    closed = {nodes[c].text: c for c in own if nodes[c].pruned and kind_of(nodes[c]) == "step"}
    drawn: dict[int, None] = {}
    for reply in replies:
        node = step_node(tree, at, reply, sampling, author=voice.author)
        name = node.text, kind_of(node)
        same = known.get(name, closed.get(node.text))
        if same is None:
            if check and not node.pruned and (reason := check(node, reply)):
                prune(node, reason)
            same = known[name] = tree.add(node)
        else:
            nodes[same].copies += 1
        drawn[same] = None
    new = list(drawn)
    yield from judge_ends(tree, new)
    return new


def chain(tree: Tree, at: int, sampling: Sampling, depth: int) -> Asking[int]:
    """Sample one solution from `at` to its end, step by step, of at most `depth` steps; returns its
    last node, and backs it up. A step that is there already is walked."""
    fault = too_deep(depth)
    while not (tree.nodes[at].terminal or tree.nodes[at].pruned):
        (at,) = yield from expand(tree, at, sampling, 1, fault=fault)
    backup_all(tree, [at])
    return at


def faults(*kinds: Fault) -> Fault:
    """The rule that closes what any of `kinds` closes, for the first reason there is."""

    def fault(tree: Tree, at: int) -> Check:
        checks = [kind(tree, at) for kind in kinds]

        def check(node: Node, reply: Reply) -> Mark:
            found = (check(node, reply) for check in checks)
            return next(filter(None, found), "")

        return check

    return fault


def too_deep(depth: int, root: int = ROOT) -> Fault:
    """The rule that closes a step which is the `depth`-th below `root` and does not end the
    solution."""

    def fault(tree: Tree, at: int) -> Check:
        if tree.depth(at) + 1 < depth + tree.depth(root):
            return lambda node, reply: ""
        return lambda node, reply: "" if node.terminal else "too deep"

    return fault


def cut_off(tree: Tree, at: int) -> Check:
    """The rule that closes a step which was cut off at the token limit, even if it states an
    answer."""
    return lambda node, reply: "cut off" if reply.finished == "length" else ""


def repeats(tree: Tree, at: int) -> Check:
    """The rule that closes a step which repeats an earlier one on its path, blanks and case
    aside."""
    earlier = {same_words(shown(tree.nodes[i].text)) for i in tree.path(at)}
    return lambda node, reply: "repeated" if same_words(shown(node.text)) in earlier else ""


def other_script(tree: Tree, at: int) -> Check:
    """The rule that closes a step which is written in a script of other languages than the
    question."""
    known = _scripts(tree.problem.question)
    return lambda node, reply: "other script" if _scripts(shown(node.text)) - known else ""


def score(tree: Tree, steps: Sequence[int]) -> Asking[None]:
    """Set the value in [0, 1] of each of `steps` by asking the role `prm`, which is shown the bare
    question and the solution up to the step: the words of a reward model are its engine's, and
    thoughts are none of the solution. Raises `UserError` if it says anything else."""
    question = tree.problem.question
    solutions = [without_thoughts(tree.text(step)).lstrip("\n") for step in steps]
    replies = yield [Ask(Prompt("", question, text), role="prm") for text in solutions]
    for step, (reply,) in zip(steps, replies, strict=True):
        if reply.value is None or not 0 <= reply.value <= 1:
            raise UserError(f"`prm` must give a value in [0, 1], not {reply.value}")
        tree.nodes[step].value = reply.value


def _expand_once(
    tree: Tree, leaf: int, uct: Uct, expansion: Expansion, virtual: Virtual
) -> Asking[None]:
    """Expand `leaf`, or wait while another simulation of this wave expands it."""
    expanding = -1 - leaf
    if virtual[expanding]:
        while virtual[expanding]:
            yield []
        return
    virtual[expanding] = 1
    new = yield from expansion(leaf)
    del virtual[expanding]
    if uct.dead_ends == "propagate":
        backup_all(tree, [child for child in new if tree.nodes[child].pruned])


def _scripts(text: str) -> set[str]:
    letters = (unicodedata.name(c, "") for c in text if not c.isascii() and c.isalpha())
    return {name for name in (letter.partition(" ")[0] for letter in letters) if name in _SCRIPTS}


_SCRIPTS = (
    *("ARABIC", "CJK", "CYRILLIC", "DEVANAGARI", "HANGUL"),
    *("HEBREW", "HIRAGANA", "KATAKANA", "THAI"),
)  # of languages; Greek and other letters belong to mathematics
