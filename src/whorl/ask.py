"""The conversation between a search and the engines: prompts, asks, replies and the engine seam."""

import hashlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from json.encoder import encode_basestring
from pathlib import Path
from typing import Literal, Protocol, TypeAlias, TypeVar, runtime_checkable

Role = Literal["policy", "critic", "reviser", "teacher", "small", "prm", "judge"]
"""Who is asked. A run maps each role to an engine; roles may share one."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A conversation to be continued: three texts that can be written as UTF-8, see `encodable`.

    system: instructions; a chat template may leave them out.
    user: the user's turn.
    prefix: the assistant's turn so far, verbatim; the model continues it.
    """

    system: str
    user: str
    prefix: str = ""

    def __post_init__(self) -> None:
        if not (self.system.isascii() and self.user.isascii() and self.prefix.isascii()):
            for name in ("system", "user", "prefix"):
                object.__setattr__(self, name, encodable(getattr(self, name)))


@dataclass(frozen=True, slots=True)
class Given:
    """A completion that is there already: an engine is asked how likely it is, instead of sampling.

    ended: the end of the assistant's turn follows, and is scored too.
    """

    text: str
    ended: bool = True

    def __post_init__(self) -> None:
        if not self.text.isascii():
            object.__setattr__(self, "text", encodable(self.text))


@dataclass(frozen=True, slots=True)
class Ask:
    """A question to one role: a prompt, and how samples are drawn.

    n: independent samples wanted.
    stop: strings that end a sample; the match is cut off and `Reply.finished` says `stop`.
    max_tokens: sampled tokens per sample at most.
    temperature: 0 is greedy decoding.
    top_p: nucleus mass in (0, 1].
    seed: fixes the samples; `drive` sets it from (run seed, search key, ordinal of the ask).
    thought: tokens that the model may think before the text, beside `max_tokens`; None: what it
        thinks by itself is text like any other. No engine looks at this: `drive` makes several asks
        of one (`prompts.thinking`).
    given: what is scored; then nothing is sampled, and all of the above but the prompt is idle. An
        engine that cannot score answers with a `Failure`.
    """

    prompt: Prompt
    role: Role = "policy"
    n: int = 1
    stop: tuple[str, ...] = ()
    max_tokens: int = 512
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0
    thought: int | None = None
    given: Given | None = None

    def seeded(self, seed: int) -> "Ask":
        """The same ask with another seed; `dataclasses.replace` takes four times as long."""
        return Ask(
            self.prompt,
            self.role,
            self.n,
            self.stop,
            self.max_tokens,
            self.temperature,
            self.top_p,
            seed,
            self.thought,
            self.given,
        )


@dataclass(frozen=True, slots=True)
class Reply:
    """A sample of a model, or a verdict of the judge.

    text: the sampled text, without prompt, stop string and end-of-sequence token; a judge's reason.
        A thought stands in it as `<think>...</think>`, whatever the model's own marks are.
    finished: `stop` (a stop string), `eos` (the model ended its turn) or `length` (max_tokens).
    tokens: number of sampled tokens, the end-of-sequence token included.
    value: a score instead of text: the judge's 1.0 right, 0.0 wrong; None is undecided.
    logprob: sum of the sampled tokens' log-probabilities at temperature 1, in nats.
    prompt_tokens: tokens of the prompt that were read for it; where one reading served several
        samples, the first has them and the others 0. 0 as well where an engine does not say.
    cached_tokens: of those, the ones that the engine knew from earlier prompts.
    logprobs: of each token of `Ask.given`, in nats, at temperature 1; empty for a sample. With them
        `tokens` counts the scored ones, `logprob` is the sum, and there is no text.

    The text can be written as UTF-8, whatever it is made of, see `encodable`.
    """

    text: str = ""
    finished: Literal["stop", "eos", "length"] = "eos"
    tokens: int = 0
    value: float | None = None
    logprob: float | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    logprobs: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.text.isascii():
            object.__setattr__(self, "text", encodable(self.text))


Replies = tuple[Reply, ...]
"""The `Ask.n` replies to one ask."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An ask that could not be answered, and why, in one line.

    made: those of its samples that were made all the same. They are paid for, so they are counted
        and recorded, and the next time only the others are asked for.
    withheld: samples that were made and are kept from us, without their texts. They are paid for,
        and no use to anybody.
    """

    error: str
    made: Replies = ()
    withheld: Replies = ()


def encodable(text: str) -> str:
    """The text with lone surrogates replaced, so that UTF-8 can write it. Models and servers do say
    halves of surrogate pairs: two that belong together become their character, any other one the
    replacement character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def made(answer: Replies | Failure) -> Replies:
    """The samples in an answer, be they all or some."""
    return answer.made if isinstance(answer, Failure) else answer


def paid(answer: Replies | Failure) -> Replies:
    """All samples that an answer costs, those included that are withheld."""
    return made(answer) + answer.withheld if isinstance(answer, Failure) else answer


def repeated(reply: Reply, n: int) -> Replies:
    """A greedy sample `n` times: it was made, and is paid for, once."""
    again = replace(reply, tokens=0, prompt_tokens=0, cached_tokens=0)
    return (reply, *(again,) * (n - 1))


T = TypeVar("T")

Asking: TypeAlias = Generator[Sequence[Ask], list[Replies], T]
"""A search, or a part of one: yields asks to be answered together, is sent their replies in the
same order, returns its result. It does no I/O."""


def together(moves: Sequence[Asking[T]]) -> Asking[list[T]]:
    """Run searches side by side: each round puts the asks of all of them into one batch.

    A search may yield an empty batch to wait for the others' next round.
    """
    results: dict[int, T] = {}
    batches: dict[int, Sequence[Ask]] = {}

    def resume(index: int, replies: list[Replies] | None) -> None:
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


class Engine(Protocol):
    """The seam between searches and whatever answers them: a model here, a server, judges, a
    function."""

    def submit(self, ticket: int, ask: Ask) -> None:
        """Take an ask; `poll` will return `ticket` exactly once. Tickets are unique per engine."""

    def poll(self, timeout: float) -> Sequence[tuple[int, Replies | Failure]]:
        """Answers since the last call, by ticket, in any order. Waits up to `timeout` seconds for
        the first one; may do a slice of the work itself."""

    def close(self) -> None:
        """Release processes, files and memory. Further calls are errors."""


@runtime_checkable
class Lasting(Protocol):
    """An engine that can take new weights, or outlast a training, without being opened anew. These
    calls come only while no ask waits for an answer."""

    @property
    def lost(self) -> bool:
        """Whether a part of the engine has died, so that the engine should be opened anew."""

    def rest(self) -> bool:
        """Give back the model's memory until `reload`; returns False if the memory is kept."""

    def reload(self, folder: Path) -> bool:
        """Answer from now on as if opened on `folder`; returns False if the engine can only be
        closed."""


def _named(given: Given) -> str:
    ended = "true" if given.ended else "false"
    return f'"given": {{"ended": {ended}, "text": {encode_basestring(given.text)}}}, '


def digest(ask: Ask) -> str:
    """Name of an ask, 32 hex digits: equal asks, seed included, have equal names."""
    prompt, quoted = ask.prompt, encode_basestring
    stop = ", ".join(map(quoted, ask.stop))
    thought = "" if ask.thought is None else f'"thought": {ask.thought}, '
    given = "" if ask.given is None else _named(ask.given)
    text = (  # JSON, written here because `json.dumps` takes four times as long
        f'{{{given}"max_tokens": {ask.max_tokens}, "n": {ask.n}, "prompt": {{"prefix": '
        f'{quoted(prompt.prefix)}, "system": {quoted(prompt.system)}, "user": '
        f'{quoted(prompt.user)}}}, "role": {quoted(ask.role)}, "seed": {ask.seed}, "stop": '
        f'[{stop}], "temperature": {ask.temperature!r}, {thought}"top_p": {ask.top_p!r}}}'
    )
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
