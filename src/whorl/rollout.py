"""Rollouts: asks for steps and whole solutions, replies made nodes, and ends judged.

The outcome of a finished solution is 1.0 (right) or 0.0 (wrong).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from whorl import prompts
from whorl.answer import Verdict, boxed, concluded
from whorl.answer.checks import ANSWER, CHECKS
from whorl.answer.thoughts import CLOSE, OPEN, parted, thinks, without_thoughts
from whorl.ask import Ask, Asking, Prompt, Replies, Reply, Role, together
from whorl.credit import backup_all, prune, state_prompt
from whorl.errors import UserError
from whorl.prompts.thinking import STOP, closing, tokens
from whorl.steps import BlankLine, Segmenter
from whorl.tree import ROOT, Author, Node, Tree

PIECES = 16
"""Pieces of a step that a search asks for at most, before it takes what it has."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """Settings of sampling: decoding, token limits, and where a step ends.

    temperature, top_p: as in `Ask`.
    step_tokens, solution_tokens: sampled tokens at most, per step, and per solution that is sampled
        whole or to its end, a thought before it aside. What is searched step by step ends by the
        depth of the search.
    steps: where a step ends.
    thought_tokens: sampled tokens of the thought before a solution, at most; then it is closed. 0
        closes it at once. None: what a model thinks by itself has to fit into the other limits.
    inside: where a step of the thought ends, to search in it too; None: the thought goes with the
        first step of the solution, whatever its length, and is none itself.
    """

    temperature: float = 0.7
    top_p: float = 1.0
    step_tokens: int = 256
    solution_tokens: int = 1024
    steps: Segmenter = BlankLine()  # noqa: RUF009 (frozen, so sharing it is safe)
    thought_tokens: int | None = field(default=None, metadata={"quiet": True})
    inside: Segmenter | None = field(default=None, metadata={"quiet": True})

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float("inf") or not 0 < self.top_p <= 1:
            raise ValueError("temperature must be a number from 0 on, and top_p must be in (0, 1]")
        if min(self.step_tokens, self.solution_tokens) < 1:
            raise ValueError("step_tokens and solution_tokens must be at least 1")
        if self.thought_tokens is not None and self.thought_tokens < 0:
            raise ValueError("thought_tokens must not be negative")
        if self.thought_tokens == 0 and self.inside:
            raise ValueError("there is nothing inside a thought of 0 tokens; leave inside out")

    @property
    def step_at_most(self) -> int:
        """Tokens of one step at most, with a thought before it."""
        return min(self.step_tokens, self.steps.tokens or self.step_tokens) + (
            self.thought_tokens or 0
        )

    def step(self, prompt: Prompt, n: int = 1, role: Role = "policy", *, spent: int = 0) -> Ask:
        """Ask for the next step after `prompt`, `n` times. `spent` tokens of it are there."""
        rule = self.rule(prompt.prefix)
        most = min(self.step_tokens - spent, rule.tokens or self.step_tokens)
        thought = None if self.inside else self.thought_tokens
        return Ask(
            prompt, role, n, rule.stop, max(1, most), self.temperature, self.top_p, thought=thought
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
            thought=self.thought_tokens,
        )

    def rule(self, text: str) -> Segmenter:
        """Where the step that follows `text` ends."""
        return (self.inside or _TO_ITS_END) if thinks(text) else self.steps

    def split(self, text: str) -> list[str]:
        """Steps of a solution; its thought goes with the first one or, with `inside`, has steps of
        its own, of which the last goes with the first of the solution."""
        thought, rest = parted(text)
        if not thought:
            return self.steps.split(text)
        before = self.inside.split(thought) if self.inside else [thought]
        first, *others = self.steps.split(rest) or [""]
        return [*before[:-1], before[-1] + first, *others]


_TO_ITS_END = BlankLine(stop=(STOP,), glue=CLOSE.lstrip("\n"))
"""A thought that is no step is sampled up to its end."""


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
    ends goes on, within the tokens of a step: see `Segmenter.whole`, and `Sampling.inside`."""
    lead = OPEN if sampling.inside and not prompt.prefix.strip() else ""
    replies = [Reply(lead, "stop", logprob=0.0)] * n
    parts = {_within_budget(sampling, prompt.prefix, lead): list(range(n))}
    for _ in range(PIECES + 1):
        asks = [
            sampling.step(
                _after(prompt, text), len(own), role, spent=spent(sampling, replies[own[0]])
            )
            for text, own in parts.items()
        ]
        found = yield asks
        more: dict[str, list[int]] = {}
        for (text, own), ask, pieces in zip(parts.items(), asks, found, strict=True):
            rule = sampling.rule(ask.prompt.prefix)
            for number, piece in zip(own, pieces, strict=True):
                if rule.tokens and piece.finished == "length":
                    piece = replace(piece, finished="stop")  # so many tokens are a step
                reply = _joined(replies[number], text, piece, rule) if text else piece
                replies[number] = reply
                if reply.finished == "stop" and _goes_on(
                    sampling, prompt.prefix, reply, piece, rule
                ):
                    so_far = _within_budget(sampling, prompt.prefix, reply.text + rule.glue)
                    more.setdefault(so_far, []).append(number)
        if not more:
            break
        parts = more
    return tuple(replies)


def _goes_on(sampling: Sampling, prefix: str, reply: Reply, piece: Reply, rule: Segmenter) -> bool:
    """Whether a step goes on behind a reply that a stop string cut, of which `piece` came last, by
    `rule`."""
    if _blank(reply.text, rule):
        return False
    if spent(sampling, reply) >= sampling.step_tokens:
        return False
    if rule.nats:
        if piece.logprob is None:
            raise UserError(
                "steps by entropy need log-probabilities, which this engine does not tell; take "
                "blank_line or tokens, or another engine"
            )
        if -piece.logprob < rule.nats * piece.tokens:
            return True
    body = reply.text
    if "<" in body or "<" in prefix:  # else there is no thought, as in most steps
        if thinks(prefix + body):
            return sampling.inside is None or not sampling.inside.whole(body)
        body = without_thoughts(body)
        if rule.tokens and not sampling.steps.tokens:
            return True  # the thought's rule has cut the first step of the solution
    whole = not _blank(body, sampling.steps) and sampling.steps.whole(body)
    return not whole and concluded(reply.text) is None


def _blank(text: str, rule: Segmenter) -> bool:
    """Whether a piece of a step that ends by `rule` says nothing. Of so many tokens some may all be
    blanks, behind which the solution goes on."""
    return not (text if rule.tokens else text.strip())


def spent(sampling: Sampling, step: Reply | Node) -> int:
    """Tokens of a step that count against the limits: without those of its thought, by characters,
    unless that is searched in."""
    if sampling.inside or "<" not in step.text:
        return step.tokens
    return step.tokens * len(without_thoughts(step.text)) // len(step.text)


def solution_tokens(sampling: Sampling, tree: Tree, node: int) -> int:
    """Tokens of the solution up to `node` that count against `Sampling.solution_tokens`: its
    thought's do not."""
    thoughtful = replace(sampling, inside=None)
    return sum(spent(thoughtful, tree.nodes[i]) for i in tree.path(node))


def _within_budget(sampling: Sampling, prefix: str, text: str) -> str:
    """`text`, which follows `prefix`; a thought that has no tokens left is closed."""
    most = sampling.thought_tokens
    if not sampling.inside or most is None or not thinks(prefix + text):
        return text
    return text if tokens(prefix + text) < most else closing(text, cut=most > 0)


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
    ends = [add_solution(tree, at, reply, sampling, author=voice.author) for reply in replies]
    yield from judge_ends(tree, list(dict.fromkeys(ends)))
    return ends


def complete(tree: Tree, state: int, n: int, sampling: Sampling) -> Asking[None]:
    """Sample `n` completions of `state` in one ask, add each distinct one as a node, judge them and
    back them up.

    `sampling.solution_tokens` bounds state and completion together, the state's length being the
    tokens that the nodes along its path name. What reaches the bound is cut off, even if it holds
    an answer.
    """
    used = solution_tokens(sampling, tree, state)
    (replies,) = yield [sampling.solution(state_prompt(tree, state), n, spent=used)]
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
    tree: Tree, at: int, reply: Reply, sampling: Sampling, *, author: Author, share: bool = True
) -> int:
    """Add a reply that runs to the end of a solution, one node per step; returns the last node.

    With `share`, open steps that exist already below `at` are walked, not added again, and so is an
    end of the same kind. The last node is terminal if the reply ended by itself or by giving an
    answer; `judge_ends` judges it.
    """
    pieces = sampling.split(reply.text) or [reply.text]
    for number, piece in enumerate(pieces, start=1):
        last = number == len(pieces)
        node = Node(at, piece, author=author)
        if last:
            node = step_node(tree, at, replace(reply, text=piece), sampling, author=author)
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
    tree: Tree, parent: int, reply: Reply, sampling: Sampling, *, author: Author = "policy"
) -> Node:
    """The node that a reply adds below `parent`: terminal, pruned or to be continued. It is not in
    the tree yet."""
    text = reply.text
    so_far = tree.text(parent) + text if sampling.inside else text  # else thoughts are whole
    within = thinks(so_far)
    rule = sampling.rule(so_far) if within else sampling.steps
    answered = not within and _answers(tree, parent, text, rule)
    endless = within and not (sampling.inside or reply.finished == "eos")
    node = Node(
        parent,
        text,
        author=author,
        terminal=answered or reply.finished == "eos",
        tokens=reply.tokens,
        logprob=reply.logprob,
    )
    counted = bool(rule.tokens) and reply.finished == "stop"
    if answered and (counted or reply.finished == "length"):
        node.mark = "cut off"
    elif reply.finished == "length" or endless:
        prune(node, "cut off")
    elif _blank(text, rule) and not (rule.tokens and node.terminal):
        prune(node, "empty")  # where tokens are counted, the last step may be the end of the turn
    elif not node.terminal:
        node.text += rule.glue
    return node


def _answers(tree: Tree, parent: int, text: str, rule: Segmenter) -> bool:
    """Whether a step that ended by `rule` states the answer. A number of tokens cuts answers in
    their middle, too, so that only a box that closes in the step, wherever it was opened, does."""
    if not rule.tokens:
        return concluded(text) is not None
    before = tree.text(parent)
    if "}" not in text or "box" not in before + text:
        return False
    closed = boxed(without_thoughts(before + text)) > boxed(without_thoughts(before))
    return closed and concluded(before + text) is not None


def kind_of(node: Node) -> Literal["step", "end", "cut off", "empty"]:
    """How the sample that made a node came to its end, whatever judging has made of the node since.
    What is of another kind is no copy of it, though the texts are equal."""
    if node.mark == "cut off" or node.mark == "empty":
        return node.mark
    ended = node.terminal or node.reward is not None or node.mark in ("no answer", "undecided")
    return "end" if ended else "step"


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


def _joined(first: Reply, before: str, rest: Reply, rule: Segmenter) -> Reply:
    """A step in two pieces as one, of which the second, by `rule`, followed the text `before`;
    nothing behind the first piece ends it as it stands."""
    known = first.logprob is not None and rest.logprob is not None
    return replace(
        rest,
        text=first.text if _blank(rest.text, rule) else before + rest.text,
        tokens=first.tokens + rest.tokens,
        logprob=first.logprob + rest.logprob if known else None,  # type: ignore[operator]
        prompt_tokens=first.prompt_tokens + rest.prompt_tokens,
        cached_tokens=first.cached_tokens + rest.cached_tokens,
    )


def _after(prompt: Prompt, text: str) -> Prompt:
    if not text:
        return prompt
    return Prompt(prompt.system, prompt.user, prompt.prefix + text)


def _completion_node(state: int, reply: Reply) -> Node:
    node = Node(state, reply.text, tokens=reply.tokens, logprob=reply.logprob)
    node.terminal = reply.finished != "length"
    if not node.terminal:
        prune(node, "cut off")
    return node


def _alike(node: Node, other: Node) -> bool:
    """Whether a fresh sample, `other`, is one more copy of a node; a step that search has closed is
    not gone through."""
    if (node.text, node.author, kind_of(node)) != (other.text, other.author, kind_of(other)):
        return False
    return not node.pruned or kind_of(node) != "step"
