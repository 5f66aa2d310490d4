"""The moves of tree search. A recipe composes them; each takes and returns asks, never an engine.

The outcome of a finished solution is 1.0 (right) or 0.0 (wrong). Trees keep sums of outcomes; the
reward scale of a method is applied where the sums are read.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeVar

from whorl import prompts
from whorl.answer import Verdict, compare, extract
from whorl.ask import Ask, Moves, Prompt, Reply, Role
from whorl.budget import OutOfBudget
from whorl.steps import BlankLine, Segmenter
from whorl.tree import NO_PARENT, ROOT, Node, Tree

T = TypeVar("T")

ROLLOUT = "rollout"
"""Author of steps that a simulation was only played out with; selection passes them by."""
SPINE = "spine"
"""Author of a step sampled before, repeated where a search starts anew with statistics of its own;
selection passes it by."""
DEAD_END = "every continuation is a dead end"
UNDECIDED = "undecided answer"
CUT_OFF = "cut off at the token limit"


@dataclass(frozen=True, slots=True)
class Sampling:
    """How solutions are sampled.

    temperature, top_p: as in `Ask`.
    step_tokens, solution_tokens: sampled tokens at most, per step and per whole solution.
    steps: where a step ends.
    """

    temperature: float = 0.7
    top_p: float = 1.0
    step_tokens: int = 256
    solution_tokens: int = 1024
    steps: Segmenter = BlankLine()  # noqa: RUF009 (frozen, so sharing it is safe)

    def __post_init__(self) -> None:
        if self.temperature < 0 or not 0 < self.top_p <= 1:
            raise ValueError("temperature must not be negative, and top_p must be in (0, 1]")
        if min(self.step_tokens, self.solution_tokens) < 1:
            raise ValueError("step_tokens and solution_tokens must be at least 1")


@dataclass(frozen=True, slots=True)
class Uct:
    """How a tree is searched.

    constant: weight of exploration, in units of the reward scale.
    wrong, right: the reward scale: what an outcome of 0 and of 1 is worth.
    children: samples per expansion; equal texts become one node.
    depth: steps; what is not finished by then is a dead end.
    simulations: descents to the end of a solution, per tree.
    parallel: simulations under way at once, kept apart by virtual loss; 1 is sequential search.
    dead_ends: `leaf` closes a dead end and tells its ancestors nothing (rStar-Math); `propagate`
        also counts it as a wrong outcome on the whole path (AlphaMath).
    """

    constant: float = 2.0
    wrong: float = -1.0
    right: float = 1.0
    children: int = 3
    depth: int = 16
    simulations: int = 32
    parallel: int = 4
    dead_ends: Literal["leaf", "propagate"] = "leaf"

    def __post_init__(self) -> None:
        for name in ("children", "depth", "simulations", "parallel"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.right <= self.wrong:
            raise ValueError("right must be worth more than wrong")


@contextmanager
def kept(tree: Tree) -> Iterator[None]:
    """Growing that may end early: where the search is out of budget, `tree` stays as it stands.

    It says so in `Tree.cut_short`. Ends that no verdict has reached are undecided.
    """
    try:
        yield
    except OutOfBudget as end:
        tree.cut_short = str(end)
        for node in tree.nodes:
            if node.terminal and node.reward is None:
                _prune(node, UNDECIDED)


def mcts(tree: Tree, sampling: Sampling, uct: Uct) -> Moves[None]:
    """Grow `tree` by Monte Carlo tree search from its root.

    Waves of `uct.parallel` simulations run side by side, step by step, so the tree depends on the
    replies but not on the order in which they arrive.
    """
    left = uct.simulations
    while left and not tree.nodes[ROOT].pruned:
        wave = min(uct.parallel, left)
        virtual: defaultdict[int, int] = defaultdict(int)
        yield from together([simulate(tree, sampling, uct, virtual) for _ in range(wave)])
        left -= wave


def simulate(
    tree: Tree, sampling: Sampling, uct: Uct, virtual: defaultdict[int, int]
) -> Moves[None]:
    """One simulation: select down the tree, expand what is new until a solution ends, back it up.

    virtual: simulations under way through each node, shared by the simulations of a wave.
    """
    nodes = tree.nodes
    leaf = ROOT
    path = [leaf]
    virtual[leaf] += 1
    while not nodes[leaf].terminal:
        if not nodes[leaf].children:
            yield from _expand_once(tree, leaf, sampling, uct, virtual)
        child = select(tree, leaf, uct, virtual)
        if child is None:
            _prune(nodes[leaf], DEAD_END)
            break
        leaf = child
        path.append(leaf)
        virtual[leaf] += 1
    outcome = nodes[leaf].reward
    if outcome is not None:
        backup(tree, leaf, outcome)
    for node in path:
        virtual[node] -= 1


def select(tree: Tree, node: int, uct: Uct, virtual: Mapping[int, int]) -> int | None:
    """The child to descend to: highest `Q_c + constant * sqrt(ln N / N_c)`; an unvisited one first.

    UCT as in SIGMA (2506.06470; papers.md 1.2). A simulation under way counts as a visit that ended
    wrong (virtual loss). None if every child of the policy's is pruned.
    """
    nodes, under_way = tree.nodes, virtual.get
    here = nodes[node]
    log_visits = math.log(here.visits + under_way(node, 0) or 1)
    wrong, scale, constant = uct.wrong, uct.right - uct.wrong, uct.constant
    best: int | None = None
    best_score = -math.inf
    for index in here.children:
        child = nodes[index]
        if child.pruned or child.author != "policy":
            continue
        visits = child.visits + under_way(index, 0)
        if not visits:
            return index
        q = wrong + scale * child.total / visits
        score = q + constant * math.sqrt(log_visits / visits)
        if score > best_score:
            best, best_score = index, score
    return best


def expand(
    tree: Tree, leaf: int, sampling: Sampling, *, children: int, depth: int | None = None
) -> Moves[list[int]]:
    """Sample `children` next steps in one ask and add the distinct ones; returns their indices.

    A step that was sampled here before is another copy of its node. A step that ends the solution
    is judged at once. A step that leads nowhere (cut off, empty, no answer at the end, an undecided
    answer, `depth` steps and no end) is pruned, with the reason in its note.
    """
    prompt = prompts.solve(tree.problem.question)
    ask = Ask(
        Prompt(prompt.system, prompt.user, tree.text(leaf)),
        n=children,
        stop=sampling.steps.stop,
        max_tokens=sampling.step_tokens,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
    )
    (replies,) = yield [ask]
    nodes = tree.nodes
    known = {nodes[c].text: c for c in nodes[leaf].children if nodes[c].author == "policy"}
    drawn: dict[int, None] = {}
    for reply in replies:
        node = step_node(leaf, reply, sampling.steps)
        if node.text in known:
            nodes[known[node.text]].copies += 1
        else:
            known[node.text] = tree.add(node)
        drawn[known[node.text]] = None
    new = list(drawn)
    yield from settle(tree, new)
    if depth is not None and tree.depth(leaf) + 1 >= depth:
        for child in new:
            if not tree.nodes[child].terminal and not tree.nodes[child].pruned:
                _prune(tree.nodes[child], f"not finished after {depth} steps")
    return new


def backup(tree: Tree, leaf: int, outcome: float) -> None:
    """Count one simulation that ended at `leaf` with `outcome` in [0, 1], up to the root."""
    nodes, index = tree.nodes, leaf
    while index != NO_PARENT:
        node = nodes[index]
        node.visits += 1
        node.total += outcome
        index = node.parent


def sample(
    tree: Tree,
    n: int,
    sampling: Sampling,
    *,
    role: Role = "policy",
    at: int = ROOT,
    author: str | None = None,
) -> Moves[list[int]]:
    """Sample `n` solutions to their end from node `at` and judge them; returns the `n` last nodes.

    Solutions that begin with the same steps share those nodes. Nothing is backed up. The nodes'
    author is `role` unless `author` says otherwise.
    """
    prompt = prompts.solve(tree.problem.question)
    ask = Ask(
        Prompt(prompt.system, prompt.user, tree.text(at)),
        role=role,
        n=n,
        max_tokens=sampling.solution_tokens,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
    )
    (replies,) = yield [ask]
    author = role if author is None else author
    ends = [add_solution(tree, at, reply, sampling.steps, author=author) for reply in replies]
    yield from settle(tree, list(dict.fromkeys(ends)))
    return ends


def add_solution(
    tree: Tree, at: int, reply: Reply, steps: Segmenter, *, author: str, share: bool = True
) -> int:
    """Add a reply that runs to the end of a solution, one node per step; returns the last node.

    With `share`, steps that exist already below `at` are walked, not added again. The last node is
    terminal if the reply ended by itself or by giving an answer; `settle` judges it.
    """
    pieces = steps.split(reply.text) or [reply.text]
    for number, piece in enumerate(pieces, start=1):
        last = number == len(pieces)
        node = Node(at, piece, author=author)
        if last:
            node = step_node(at, reply, steps, text=piece, author=author)
        twin = next(
            (c for c in tree.nodes[at].children if share and _alike(tree.nodes[c], node)), None
        )
        if twin is None:
            at = tree.add(node)
        else:
            at = twin
            tree.nodes[at].copies += 1
    return at


def step_node(
    parent: int,
    reply: Reply,
    steps: Segmenter,
    *,
    text: str | None = None,
    author: str = "policy",
) -> Node:
    """The node that a reply adds below `parent`: terminal, pruned or to be continued."""
    text = reply.text if text is None else text
    answered = extract(text) is not None
    node = Node(
        parent,
        text,
        author=author,
        terminal=answered or reply.finished == "eos",
        tokens=reply.tokens,
        logprob=reply.logprob,
    )
    if reply.finished == "length" and not answered:
        _prune(node, CUT_OFF)
    elif not text.strip():
        _prune(node, "empty step")
    elif not node.terminal:
        node.text += steps.glue
    return node


def settle(tree: Tree, ends: Sequence[int]) -> Moves[None]:
    """Judge the terminal nodes among `ends`: reward 1.0 or 0.0; pruned if there is no telling."""
    finished = [i for i in ends if tree.nodes[i].terminal and tree.nodes[i].reward is None]
    answers = [extract(tree.text(i)) for i in finished]
    found = yield from verdicts(tree.problem.answer, answers)
    for index, answer, verdict in zip(finished, answers, found, strict=True):
        node = tree.nodes[index]
        if answer is None:
            _prune(node, "no final answer")
        elif verdict.right is None:
            _prune(node, UNDECIDED)
        else:
            node.reward = float(verdict.right)


def verdicts(gold: str, answers: Sequence[str | None]) -> Moves[list[Verdict]]:
    """The verdict on each answer; none, or an empty one, is wrong.

    What the exact comparison cannot settle is put to the role `judge`.
    """
    known = {a: compare(gold, a) if a else Verdict(False, "no final answer") for a in answers}
    open_answers = sorted(a for a, verdict in known.items() if a and verdict.right is None)
    if open_answers:
        asks = [Ask(Prompt("", gold, answer), role="judge") for answer in open_answers]
        replies = yield asks
        for answer, (reply,) in zip(open_answers, replies, strict=True):
            right = None if reply.value is None else bool(reply.value)
            known[answer] = Verdict(right, reply.text)
    return [known[answer] for answer in answers]


def together(moves: Sequence[Moves[T]]) -> Moves[list[T]]:
    """Run searches side by side: each round puts the asks of all of them into one batch.

    A search may yield an empty batch to wait for the others' next round.
    """
    results: dict[int, T] = {}
    batches: dict[int, Sequence[Ask]] = {}

    def resume(index: int, replies: list[tuple[Reply, ...]] | None) -> None:
        try:
            batches[index] = moves[index].send(replies)  # type: ignore[arg-type]
        except StopIteration as stop:
            batches.pop(index, None)
            results[index] = stop.value

    for index in range(len(moves)):
        resume(index, None)
    while batches:
        waiting = list(batches.items())
        replies = yield [ask for _, batch in waiting for ask in batch]
        start = 0
        for index, batch in waiting:
            resume(index, replies[start : start + len(batch)])
            start += len(batch)
    return [results[index] for index in range(len(moves))]


def _expand_once(
    tree: Tree, leaf: int, sampling: Sampling, uct: Uct, virtual: defaultdict[int, int]
) -> Moves[None]:
    """Expand `leaf`, or wait while another simulation of this wave does."""
    expanding = -1 - leaf  # a key no node has
    if virtual[expanding]:
        while virtual[expanding]:
            yield []
        return
    virtual[expanding] = 1
    new = yield from expand(tree, leaf, sampling, children=uct.children, depth=uct.depth)
    del virtual[expanding]
    if uct.dead_ends == "propagate":
        for child in new:
            if tree.nodes[child].pruned:
                backup(tree, child, 0.0)


def _alike(node: Node, other: Node) -> bool:
    return (node.text, node.author, node.terminal) == (other.text, other.author, other.terminal)


def _prune(node: Node, reason: str) -> None:
    node.pruned = True
    node.terminal = False
    node.note = reason
