"""Asks as requests, and responses as replies: /completions, or /chat/completions."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from whorl.ask import Ask, Prompt, Replies, Reply
from whorl.chat import Chat
from whorl.engines.server.http import Response
from whorl.engines.server.transport import RefusedError, read_json
from whorl.fast_json import loads
from whorl.steps import first_stop


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a server can do, as `probe` found it.

    route: how a prompt is sent: as token ids, as text in the model's own template, or as messages.
    extra: fields of the body that make it continue just that; of messages, those with a prefix.
    adds_bos: it puts the token that begins a text before a prompt itself.
    continues: a prefix of the assistant's turn is continued.
    samples: it heeds the temperature. several: so many samples one request may bring.
    tells_stop: of so many samples of a request it says whether a stop string or the end of the turn
        ended them. One that says it of none is read as a stream, which is cut off at the string.
    seeds: it takes one. usage: it counts tokens.
    logprobs: so many alternatives it has to be asked for to tell the log-probabilities of what was
        sampled; None if it never does.
    context: tokens that prompt and sample may have together, None if it does not say.
    """

    route: Literal["ids", "text", "chat"]
    extra: Mapping[str, object] = field(default_factory=dict)
    adds_bos: bool = False
    continues: bool = True
    samples: bool = True
    several: int = 1
    tells_stop: int = 1
    seeds: bool = True
    logprobs: int | None = 0
    usage: bool = True
    context: int | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One request for `n` of an ask's samples.

    length: of the prompt in tokens; None if there is no tokenizer.
    """

    path: str
    body: Mapping[str, object]
    stop: tuple[str, ...]
    n: int
    max_tokens: int
    length: int | None
    streamed: bool


@dataclass(frozen=True, slots=True)
class Wire:
    """One model's way of speaking. chat: its tokenizer; without it prompts go as messages."""

    model: str
    abilities: Abilities
    chat: Chat | None

    def requests(self, ask: Ask) -> list[Request]:
        """The requests that make up an ask; a greedy one needs one sample, whatever its `n`.

        Raises `RefusedError` for what the server cannot do, and for a prompt that is too long.
        """
        can = self.abilities
        if ask.temperature > 0 and not can.samples:
            raise RefusedError(
                "this server says the same at any temperature, so there is nothing to search; "
                'transformers serve samples if generation_config.json has "do_sample": true'
            )
        prompt, length = self._prompt(ask.prompt)
        max_tokens = ask.max_tokens
        if can.context is not None and length is not None:
            if length >= can.context:
                raise RefusedError(
                    f"prompt has {length} tokens, the model takes {can.context}: start the server "
                    "with a longer context, or search with fewer or shorter steps"
                )
            max_tokens = min(max_tokens, can.context - length)
        streamed = bool(ask.stop) and not can.tells_stop
        wanted = 1 if ask.temperature == 0 else ask.n
        each = max(1, can.tells_stop) if ask.stop else can.several
        body = {
            "model": self.model,
            **prompt,
            "max_tokens": max_tokens,
            "temperature": ask.temperature,
            "top_p": ask.top_p,
        }
        if can.route != "chat" or ask.prompt.prefix:
            body |= can.extra
        if streamed:
            body["stream"] = True
        elif ask.stop:
            body["stop"] = list(ask.stop)
        if can.logprobs is not None and not streamed:
            body["logprobs"] = True if can.route == "chat" else can.logprobs
        path = "/chat/completions" if can.route == "chat" else "/completions"
        requests = []
        for start in range(0, wanted, each):
            n = min(each, wanted - start)
            own = body | ({"n": n} if n > 1 else {})
            own |= {"seed": (ask.seed + start) % 2**31} if can.seeds else {}
            requests.append(Request(path, own, ask.stop, n, max_tokens, length, streamed))
        return requests

    def read(self, request: Request, response: Response) -> Replies:
        """The samples of a response. Raises ValueError if it does not hold what was asked for."""
        if request.streamed and response.kind == "text/event-stream":
            return (self._read_stream(request, response.body),)
        said = read_json(response)
        choices = choices_of(said)
        if len(choices) != request.n:
            raise ValueError(f"{len(choices) or 'no'} choices instead of {request.n}")
        parts = [_Part.of(choice) for choice in choices]
        usage = _usage(said)
        first, *others = zip(parts, self._counts(parts, usage), strict=True)
        return (
            first[0].reply(request, first[1], *_read_tokens(request, usage)),
            *(part.reply(request, tokens) for part, tokens in others),
        )

    def _prompt(self, prompt: Prompt) -> tuple[dict[str, object], int | None]:
        """The fields that hold a prompt, and its length in tokens."""
        if self.abilities.route != "chat":
            assert self.chat is not None
            ids = self.chat.encode(prompt)
            if self.abilities.route == "ids":
                return {"prompt": ids}, len(ids)
            bos = str(self.chat.tokenizer.bos_token) if self.abilities.adds_bos else ""
            return {"prompt": self.chat.render(prompt).removeprefix(bos)}, len(ids)
        if prompt.prefix and not self.abilities.continues:
            raise RefusedError(
                "this server cannot continue a prefix: it has no /completions and begins a new "
                "turn; use a recipe that samples whole solutions, such as rft, or another server"
            )
        return {"messages": messages(prompt)}, None

    def _read_stream(self, request: Request, body: bytes) -> Reply:
        """One sample that came piece by piece, until a stop string or its end."""
        text, finished, pieces = "", None, 0
        for part in _events(body.splitlines()):
            text += part.text
            finished = part.finish or finished
            pieces += bool(part.text)
            if first_stop(text, request.stop) is not None:
                break  # what follows may be half a line
        if finished is None and first_stop(text, request.stop) is None:
            raise ValueError("the stream ended before the sample did")
        part = _Part(text, finished, None, None)
        (tokens,) = self._counts([part], None, pieces)
        return part.reply(request, tokens, *_read_tokens(request, None))

    def _counts(
        self, parts: Sequence["_Part"], usage: Mapping[str, Any] | None, pieces: int = 0
    ) -> list[int]:
        """Sampled tokens of each part, so that they add up to what the server says."""
        if all(part.logprobs is not None for part in parts) and not (usage and len(parts) == 1):
            return [len(part.logprobs or ()) for part in parts]
        if usage:
            each, rest = divmod(int(usage.get("completion_tokens") or 0), len(parts))
            return [each + (slot < rest) for slot in range(len(parts))]
        return [max(pieces, self._length(part.text)) + 1 for part in parts]

    def _length(self, text: str) -> int:
        """Tokens of a text; without a tokenizer, at four characters each."""
        if self.chat is None:
            return -(-len(text) // 4)
        return len(self.chat.tokenizer(text, add_special_tokens=False)["input_ids"])


@dataclass(frozen=True, slots=True)
class _Part:
    """What is said of one sample. stopped_by: the stop string, where the server names it."""

    text: str
    finish: str | None
    stopped_by: str | None
    logprobs: Sequence[float] | None

    @classmethod
    def of(cls, choice: Any) -> "_Part":
        """Raises ValueError if the choice cannot be read."""
        try:
            message = choice.get("message") or choice.get("delta") or choice
            text = message.get("content" if message is not choice else "text") or ""
            return cls(
                str(text),
                choice.get("finish_reason"),
                stopped_by(choice),
                _logprobs(choice.get("logprobs")),
            )
        except (AttributeError, TypeError, KeyError) as error:
            raise ValueError(f"a choice cannot be read: {error}") from error

    def reply(self, request: Request, tokens: int, read: int = 0, cached: int = 0) -> Reply:
        """Where a stop string is in the text, the text ends there, whatever the server did."""
        end = first_stop(self.text, request.stop)
        known = self.logprobs or ()
        # llama.cpp leaves out the stop string's tokens, and then the sum would not be the sample's
        logprob = sum(known) if self.logprobs is not None and len(known) >= tokens else None
        text = self.text if end is None else self.text[:end]
        if end is not None or self.stopped_by in request.stop:
            return Reply(text, "stop", tokens, None, logprob, read, cached)
        full = self.finish is None and tokens >= request.max_tokens
        ended: Literal["length", "eos"] = "length" if self.finish == "length" or full else "eos"
        return Reply(text, ended, tokens, None, logprob, read, cached)


class Watch:
    """Follows a stream as it comes: true once its text holds one of `stop`."""

    def __init__(self, stop: tuple[str, ...]) -> None:
        self._stop = stop
        self._line = b""  # its beginning, as far as it has come
        self._text = ""

    def __call__(self, piece: bytes) -> bool:
        *lines, self._line = (self._line + piece).split(b"\n")
        try:
            self._text += "".join(part.text for part in _events(lines))
        except ValueError:  # it is read again as a whole, which says so
            return True
        return first_stop(self._text, self._stop) is not None


def _events(lines: Iterable[bytes]) -> Iterator[_Part]:
    """The pieces of a sample in lines of server-sent events. Raises ValueError."""
    for line in lines:
        data = line.strip().removeprefix(b"data:").strip()
        if line.startswith(b"data:") and data != b"[DONE]":
            for choice in choices_of(loads(data)):
                yield _Part.of(choice)


def choices_of(said: Any) -> list[Any]:
    """The samples in a response, as it gives them. llama.cpp says of the first one alone, and
    elsewhere, what ended it: that is put into it, where others put it."""
    choices = said.get("choices") if isinstance(said, dict) else None
    if not isinstance(choices, list) or not choices:
        return []
    verbose = said.get("__verbose")
    if isinstance(verbose, dict) and verbose.get("stop_type") == "word":
        choices[0]["stop_reason"] = verbose.get("stopping_word")
    return choices


def stopped_by(choice: Mapping[str, Any]) -> str | None:
    """The stop string that ended a sample, if the server names it."""
    said = choice.get("stop_reason", choice.get("matched_stop"))
    return said if isinstance(said, str) else None


def messages(prompt: Prompt) -> list[dict[str, str]]:
    """A prompt as the turns of a conversation; the assistant's is unfinished."""
    turns = {"system": prompt.system, "user": prompt.user, "assistant": prompt.prefix}
    return [{"role": role, "content": text} for role, text in turns.items() if text]


def _usage(said: Mapping[str, Any]) -> Mapping[str, Any] | None:
    usage = said.get("usage")
    return usage if isinstance(usage, dict) and usage.get("completion_tokens") is not None else None


def _read_tokens(request: Request, usage: Mapping[str, Any] | None) -> tuple[int, int]:
    """Tokens of the prompt, as the server says, else as they were counted here, and how many of
    them it knew."""
    usage = usage or {}
    details = usage.get("prompt_tokens_details") or {}
    read = int(usage.get("prompt_tokens") or request.length or 0)
    return read, int(details.get("cached_tokens") or 0)


def _logprobs(said: Any) -> Sequence[float] | None:
    """Log-probabilities of the sampled tokens, in either endpoint's form."""
    if not isinstance(said, dict):
        return None
    if isinstance(said.get("content"), list):
        return [float(token["logprob"]) for token in said["content"]]
    values = said.get("token_logprobs")
    return [float(value) for value in values] if isinstance(values, list) else None
