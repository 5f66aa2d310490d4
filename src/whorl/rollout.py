"""Rollouts: asks for steps and whole solutions, replies made nodes, and ends judged.

The outcome of a finished solution is 1.0 (right) or 0.0 (wrong).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from whorl import prompts
from whorl.answer import Verdict, concluded
from whorl.answer.checks import ANSWER, CHECKS
from whorl.ask import Ask, Asking, Prompt, Replies, Reply, Role, together
from whorl.credit import backup_all, prune, state_prompt
from whorl.steps import BlankLine, Segmenter
from whorl.tree import ROOT, Author, Node, Tree

PIECES = 16
"""Pieces of a step that a search asks for at most, before it takes what it has."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """Settings of sampling: decoding, token limits, and where a step ends.

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

    def step(self, prompt: Prompt, n: int = 1, role: Role = "policy", *, spent: int = 0) -> Ask:
        """Ask for the next step after `prompt`, `n` times. `spent` tokens of it are there."""
        most = min(self.step_tokens, self.steps.tokens or self.step_tokens)
        return Ask(
            prompt,
            role,
            n=n,
            stop=self.steps.stop,
            max_tokens=max(1, most - spent),
            temperature=self.temperature,
            top_p=self.top_p,
        )

    def solution(self, prompt: Prompt, n: int = 1, role: Role = "policy", *, spent: int = 0) -> Ask:
        """Ask for the rest of a solution after `prompt`, `n` times. spent: tokens of
        `solution_tokens` that the prompt's prefix has used up."""
        return Ask(
            prompt,
            role,
            n=n,
            max_tokens=max(1, self.solution_tokens - spent),
            temperature=self.temperature,
            top_p=self.top_p,
        )


class Voice(NamedTuple):
    """The writer of steps: the role that is asked, the prompt before the steps so far, and the
    author in the nodes."""

    prompt: Prompt
    role: Role = "policy"
    author: Author = "policy"

    @classmethod
    def of_policy(cls, tree: Tree) -> "Voice":
        """The policy, asked the plain question."""
        return cls(prompts.plain(tree))

    def after(self, tree: Tree, node: int) -> Prompt:
        """The prompt for what follows `node`."""
        return _after(self.prompt, tree.text(node))


def next_steps(
    sampling: Sampling, prompt: Prompt, n: int, role: Role = "policy"
) -> Asking[Replies]:
    """Sample the next step after `prompt` `n` times. A reply that its stop string cut where no step
    ends goes on, within the tokens of a step: see `Segmenter.whole`."""
    steps = sampling.steps
    (begun,) = yield [sampling.step(prompt, n, role)]
    replies = list(begun)
    for _ in range(PIECES):
        parts: dict[str, list[int]] = {}
        for number, reply in enumerate(replies):
            left = sampling.step_tokens > reply.tokens
            if (
                reply.finished == "stop"
                and left
                and reply.text.strip()
                and not _whole(reply, steps)
            ):
                parts.setdefault(reply.text, []).append(number)
        if not parts:
            break
        more = yield [
            sampling.step(
                _after(prompt, text + steps.glue), len(own), role, spent=replies[own[0]].tokens
            )
            for text, own in parts.items()
        ]
        for own, continued in zip(parts.values(), more, strict=True):
            for number, rest in zip(own, continued, strict=True):
                replies[number] = _joined(replies[number], steps.glue, rest)
    if steps.tokens:  # so many tokens are a step, and not one that was cut off
        replies = [replace(r, finished="stop") if r.finished == "length" else r for r in replies]
    return tuple(replies)


def sample(
    tree: Tree,
    n: int,
    sampling: Sampling,
    *,
    at: int = ROOT,
    voice: Voice | None = None,
) -> Asking[list[int]]:
    """Sample `n` solutions to their end from node `at` and judge them; returns the `n` last nodes.

    voice: who is asked; None: the policy, after the plain question.

    Solutions that begin with the same steps share those nodes. Nothing is backed up.
    """
    voice = voice or Voice.of_policy(tree)
    (replies,) = yield [sampling.solution(voice.after(tree, at), n, voice.role)]
    ends = [add_solution(tree, at, reply, sampling.steps, author=voice.author) for reply in replies]
    yield from judge_ends(tree, list(dict.fromkeys(ends)))
    return ends


def complete(tree: Tree, state: int, n: int, sampling: Sampling) -> Asking[None]:
    """Sample `n` completions of `state` in one ask, add each distinct one as a node, judge them and
    back them up.

    `sampling.solution_tokens` bounds state and completion together, the state's length being the
    tokens that the nodes along its path name. What reaches the bound is cut off, even if it holds
    an answer.
    """
    spent = sum(tree.nodes[i].tokens for i in tree.path(state))
    (replies,) = yield [sampling.solution(state_prompt(tree, state), n, spent=spent)]
    added: dict[tuple[str, bool], int] = {}
    for reply in replies:
        name = reply.text, reply.finished == "length"
        if name in added:
            tree.nodes[added[name]].copies += 1
        else:
            added[name] = tree.add(_completion_node(state, reply))
    ends = list(added.values())
    yield from judge_ends(tree, ends)
    backup_all(tree, [end for end in ends for _ in range(tree.nodes[end].copies)])


def roll_out(tree: Tree, step: int, n: int, sampling: Sampling) -> Asking[list[int]]:
    """Play `step` out to the end of a solution `n` times; returns the last nodes.

    A step that ends a solution, or is pruned, is its own end, once. Nothing is backed up.
    """
    node = tree.nodes[step]
    if node.terminal or node.pruned:
        return [step]
    voice = Voice.of_policy(tree)._replace(author="rollout")
    return (yield from sample(tree, n, sampling, at=step, voice=voice))


def estimate(tree: Tree, steps: Sequence[int], n: int, sampling: Sampling) -> Asking[None]:
    """Set the value of each of `steps` by Monte Carlo: the share of `n` rollouts that are right
    (Math-Shepherd, 2312.08935); at the end of a solution its outcome. Outcomes are backed up."""

    def played(step: int) -> Asking[None]:
        node = tree.nodes[step]
        ends = yield from roll_out(tree, step, n, sampling)
        if ends == [step]:
            node.value = node.reward
            return
        backup_all(tree, ends, dead_ends="leaf")
        node.value = sum(tree.nodes[end].reward == 1.0 for end in ends) / n

    yield from together([played(step) for step in steps])


def add_solution(
    tree: Tree, at: int, reply: Reply, steps: Segmenter, *, author: Author, share: bool = True
) -> int:
    """Add a reply that runs to the end of a solution, one node per step; returns the last node.

    With `share`, steps that exist already below `at` are walked, not added again. The last node is
    terminal if the reply ended by itself or by giving an answer; `judge_ends` judges it.
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
    author: Author = "policy",
) -> Node:
    """The node that a reply adds below `parent`: terminal, pruned or to be continued."""
    text = reply.text if text is None else text
    answered = concluded(text) is not None
    node = Node(
        parent,
        text,
        author=author,
        terminal=answered or reply.finished == "eos",
        tokens=reply.tokens,
        logprob=reply.logprob,
    )
    if reply.finished == "length" and answered:
        node.mark = "cut off"
    elif reply.finished == "length":
        prune(node, "cut off")
    elif not text.strip():
        prune(node, "empty")
    elif not node.terminal:
        node.text += steps.glue
    return node


def judge_ends(tree: Tree, ends: Sequence[int]) -> Asking[None]:
    """Judge the terminal nodes among `ends`: reward 1.0 or 0.0; undecided ones are pruned."""
    finished = [i for i in ends if tree.nodes[i].terminal and tree.nodes[i].reward is None]
    answers = [concluded(tree.text(i)) for i in finished]
    found = yield from verdicts(tree.problem.answer, answers, tree.problem.check)
    for index, answer, verdict in zip(finished, answers, found, strict=True):
        node = tree.nodes[index]
        if answer is None:
            prune(node, "no answer")
        elif verdict.right is None:
            prune(node, "undecided")
        else:
            node.reward = float(verdict.right)


def verdicts(
    gold: str, answers: Sequence[str | None], check: str = ANSWER
) -> Asking[list[Verdict]]:
    """The verdict on each answer by a problem's check; no answer, or an empty one, is wrong.

    What the exact comparison with a gold answer cannot settle is put to the role `judge`.
    """
    known = {a: CHECKS[check](gold, a) if a else Verdict(False, "no final answer") for a in answers}
    open_answers = sorted(a for a, verdict in known.items() if a and verdict.right is None)
    if open_answers and check == ANSWER:
        asks = [Ask(Prompt("", gold, answer), role="judge") for answer in open_answers]
        replies = yield asks
        for answer, (reply,) in zip(open_answers, replies, strict=True):
            right = None if reply.value is None else bool(reply.value)
            known[answer] = Verdict(right, reply.text)
    return [known[answer] for answer in answers]


def _whole(reply: Reply, steps: Segmenter) -> bool:
    """Whether a reply is a step; what states an answer is one."""
    return steps.whole(reply.text) or concluded(reply.text) is not None


def _joined(first: Reply, glue: str, rest: Reply) -> Reply:
    """A step in two pieces as one; nothing behind the first piece ends it as it stands."""
    known = first.logprob is not None and rest.logprob is not None
    return replace(
        rest,
        text=first.text + (glue + rest.text if rest.text.strip() else ""),
        tokens=first.tokens + rest.tokens,
        logprob=first.logprob + rest.logprob if known else None,  # type: ignore[operator]
        prompt_tokens=first.prompt_tokens + rest.prompt_tokens,
        cached_tokens=first.cached_tokens + rest.cached_tokens,
    )


def _after(prompt: Prompt, text: str) -> Prompt:
    return Prompt(prompt.system, prompt.user, prompt.prefix + text)


def _completion_node(state: int, reply: Reply) -> Node:
    node = Node(state, reply.text, tokens=reply.tokens, logprob=reply.logprob)
    node.terminal = reply.finished != "length"
    if not node.terminal:
        prune(node, "cut off")
    return node


def _alike(node: Node, other: Node) -> bool:
    return (node.text, node.author, node.terminal) == (other.text, other.author, other.terminal)
