"""Asks as requests, and responses as replies: /completions, or /chat/completions."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias, cast

from whorl.answer.thoughts import thought_first
from whorl.ask import Ask, Failure, Prompt, Replies, Reply, encodable
from whorl.chat import Chat
from whorl.engines.admission import NO_SCORES, fitting
from whorl.engines.fast_json import loads
from whorl.engines.server.given import echoing, read_given
from whorl.engines.server.http import Response
from whorl.engines.server.reading import Part, Said, read_said
from whorl.engines.server.transport import RefusedError, read_json
from whorl.steps import cut, first_stop

_Ended: TypeAlias = Literal["stop", "eos", "length"]

_ENDS: Mapping[str, _Ended] = {
    "stop": "eos",  # or a stop string, which is looked for
    "eos": "eos",
    "eos_token": "eos",
    "end_turn": "eos",
    "complete": "eos",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_length": "length",
}
"""Why samples end, in the words of OpenAI's servers, TGI's, Mistral's, Anthropic's and Cohere's.
After any other word a sample is not whole."""
_WITHHELD = {"content_filter", "safety", "refusal", "tool_calls", "tool_use", "function_call"}
"""Words after which the same request would end the same way."""

_COUNTED: Mapping[str, object] = {"stream_options": {"include_usage": True}}
"""The wish for the counts of a stream, which come as its last event."""

_LONGER = ": start the server with a longer context, or search with fewer or shorter steps"

_SPARE = 1 << 20  # bytes of a response besides those of its tokens
_PER_TOKEN = 1 << 10  # bytes; an event of a stream, or a token with its log-probability, has half
_ECHOED = 8  # times the request: llama.cpp repeats it where it is to be verbose


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
    tells_end: it says whether a sample ended by itself or by the limit; else its tokens tell.
    seeds: it takes one. usage: it counts tokens. counts_streams: and takes the wish for that in
        those that it is read as.
    logprobs: so many alternatives it has to be asked for to tell the log-probabilities of what was
        sampled; None if it never does.
    context: tokens that prompt and sample may have together, None if it does not say.
    ends: it takes what ends a turn as stop strings beside those of the ask.
    """

    route: Literal["ids", "text", "chat"]
    extra: Mapping[str, object] = field(default_factory=dict)
    adds_bos: bool = False
    continues: bool = True
    samples: bool = True
    several: int = 1
    tells_stop: int = 1
    tells_end: bool = True
    seeds: bool = True
    logprobs: int | None = 0
    usage: bool = True
    counts_streams: bool = False
    context: int | None = None
    ends: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """One request for `n` of an ask's samples.

    stop: the ask's strings. ends: what ends the turn as well, and is none of its text.
    length: of the prompt in tokens; None if there is no tokenizer.
    begun: what the samples begin with before anything is sampled.
    given: tokens of the prompt and of a text behind it that is scored; 0: it is for samples.
    """

    path: str
    body: Mapping[str, object]
    stop: tuple[str, ...]
    n: int
    max_tokens: int
    length: int | None
    streamed: bool
    ends: tuple[str, ...] = ()
    begun: str = ""
    given: int = 0

    def most(self, sent: int) -> int:
        """Bytes that a response may have at most, where the request has `sent`: a KiB for every
        token asked for, eight times the request, and a MiB."""
        return _SPARE + _ECHOED * sent + _PER_TOKEN * self.n * self.max_tokens


@dataclass(frozen=True, slots=True)
class Wire:
    """One model's way of speaking. chat: its tokenizer; without it prompts go as messages."""

    model: str
    abilities: Abilities
    chat: Chat | None

    def requests(self, ask: Ask) -> list[Request]:
        """The requests that make up an ask, none if there is no room for a token of it; a greedy
        one needs one sample, whatever its `n`.

        Raises `RefusedError` for what the server cannot do, and for a prompt that is too long.
        """
        can = self.abilities
        if ask.given is not None:
            return [self._reading(ask)]
        if ask.temperature > 0 and not can.samples:
            raise RefusedError(
                "this server says the same at any temperature, so there is nothing to search; "
                'transformers serve samples if generation_config.json has "do_sample": true'
            )
        prompt, length = self._prompt(ask.prompt)
        max_tokens = ask.max_tokens
        if can.context is not None and length is not None:
            max_tokens = min(max_tokens, can.context - length)
        if max_tokens < 1 or ask.n < 1:
            return []
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
        ends, begun = self._turn(ask.prompt)
        stops = [*map(self._own, ask.stop), *(ends if can.ends else ())]
        if streamed:
            body["stream"] = True
            if can.counts_streams:
                body |= _COUNTED
        elif stops:
            body["stop"] = stops
        if can.logprobs is not None and not streamed:
            body["logprobs"] = True if can.route == "chat" else can.logprobs
        path = "/chat/completions" if can.route == "chat" else "/completions"
        requests = []
        for start in range(0, wanted, each):
            n = min(each, wanted - start)
            own = body | ({"n": n} if n > 1 else {})
            own |= {"seed": (ask.seed + start) % 2**31} if can.seeds else {}
            requests.append(
                Request(path, own, ask.stop, n, max_tokens, length, streamed, ends, begun)
            )
        return requests

    def _reading(self, ask: Ask) -> Request:
        """The request that has a given text read; it asks for a token, and is answered with all."""
        if self.chat is None or self.abilities.route != "ids":
            raise RefusedError(NO_SCORES)
        body, start = echoing(ask, self.chat, self.abilities.context)
        total = len(cast(list[int], body["prompt"]))
        body = {"model": self.model, **body}
        return Request("/completions", body, (), 1, total, start, False, given=total)

    def _turn(self, prompt: Prompt) -> tuple[tuple[str, ...], str]:
        """What ends the assistant's turn and what it begins with, as far as the template is
        known."""
        if self.chat is None:
            return (), ""
        return self.chat.endings, self.chat.begun(prompt)

    def _own(self, stop: str) -> str:
        return stop if self.chat is None else self.chat.thoughts.own_stop(stop)

    def _ours(self, part: Part) -> Part:
        """A part in which thoughts stand between our marks."""
        if self.chat is None or not self.chat.thoughts.ids:
            return part
        return replace(part, text=self.chat.thoughts.ours(part.text))

    def read(self, request: Request, response: Response) -> Replies:
        """The samples of a response. Raises ValueError if it does not hold what was asked for, and
        `RefusedError`, with the others, if some are kept from us."""
        if request.given:
            return read_given(read_json(response), request.length or 0, request.given)
        if request.streamed and response.kind == "text/event-stream":
            said, pieces = _joined(request, response.body)
        else:
            said, pieces = read_said(read_json(response)), 0
        parts = [self._ours(part) for part in said.parts]
        if len(parts) != request.n:
            raise ValueError(f"{len(parts) or 'no'} choices instead of {request.n}")
        read = said.read or self._sent(request)
        cached = min(said.cached or 0, read)
        replies: list[Reply] = []
        withheld: list[Reply] = []
        why = ""
        for part, tokens in zip(parts, self._counts(said, pieces), strict=True):
            ended = self._ended(part, request, tokens)
            if ended is None:
                why = str(part.finish)
                withheld.append(Reply(tokens=tokens))
            else:
                replies.append(_reply(part, request, tokens, ended))
        first = replies or withheld
        first[0] = replace(first[0], prompt_tokens=read, cached_tokens=cached)
        if withheld:
            trouble = f"the server ended a sample with {why}"
            raise RefusedError(trouble, tuple(replies), tuple(withheld))
        return tuple(replies)

    def _prompt(self, prompt: Prompt) -> tuple[dict[str, object], int | None]:
        """The fields that hold a prompt, and its length in tokens."""
        if self.abilities.route != "chat":
            assert self.chat is not None
            ids = fitting(prompt, self.chat.encode, self.abilities.context, _LONGER)
            if isinstance(ids, Failure):
                raise RefusedError(ids.error)
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

    def _ended(self, part: Part, request: Request, tokens: int) -> _Ended | None:
        """How a sample ended; None if the server keeps it from us. Raises ValueError if it is not
        whole, whatever the server calls that."""
        if (found := cut(part.text, (*request.stop, *request.ends))) is not None:
            return "stop" if found[1] in request.stop else "eos"
        if part.stopped_by in [self._own(stop) for stop in request.stop]:
            return "stop"
        if part.stopped_by in request.ends:
            return "eos"
        if part.finish is None:
            if self.abilities.tells_end:
                raise ValueError("it is not said why a sample ended")
            return "length" if tokens >= request.max_tokens else "eos"
        word = part.finish.lower()
        if word in _WITHHELD:
            return None
        if word not in _ENDS:
            raise ValueError(f"a sample ended with {part.finish[:40]!r}")
        ended = _ENDS[word]
        return "eos" if ended == "stop" and not request.stop else ended

    def _counts(self, said: Said, pieces: int = 0) -> list[int]:
        """Sampled tokens of each part, so that they add up to what the server says."""
        parts = said.parts
        lengths = [len(part.logprobs) for part in parts if part.logprobs is not None]
        if len(lengths) == len(parts) and not (said.sampled is not None and len(parts) == 1):
            return lengths
        if said.sampled is not None:
            each, rest = divmod(said.sampled, len(parts))
            return [each + (slot < rest) for slot in range(len(parts))]
        return [max(pieces, self._length(part.thought + part.text)) + 1 for part in parts]

    def _sent(self, request: Request) -> int:
        """Tokens of a prompt that the server does not count; of messages, those of their texts."""
        if request.length is not None:
            return request.length
        turns = cast(list[dict[str, str]], request.body.get("messages", []))
        return sum(self._length(turn["content"]) for turn in turns)

    def _length(self, text: str) -> int:
        """Tokens of a text; without a tokenizer, at four characters each."""
        if self.chat is None:
            return -(-len(text) // 4)
        return len(self.chat.tokenizer(encodable(text), add_special_tokens=False)["input_ids"])


def _reply(part: Part, request: Request, tokens: int, ended: _Ended) -> Reply:
    """Where a stop string is in the text, the text ends there, whatever the server did; so it does
    where the turn ends and the server went on."""
    known = part.logprobs
    # llama.cpp leaves out the stop string's tokens, and then the sum would not be the sample's
    logprob = sum(known) if known is not None and len(known) >= tokens else None
    text = part.text
    if (found := cut(text, (*request.stop, *request.ends))) is not None:
        text = found[0]
        logprob = logprob if found[1] in request.stop else None
    text = thought_first(part.thought, text) if part.thought else request.begun + text
    return Reply(text, ended, tokens, None, logprob)


def _joined(request: Request, body: bytes) -> tuple[Said, int]:
    """One sample that came piece by piece, until a stop string or its end, and the pieces."""
    text, thought, finish, pieces, told = "", "", None, 0, Said(())
    for said in _events(body.splitlines()):
        told = said if said.sampled is not None else told
        for part in said.parts[:1]:
            text += part.text
            thought += part.thought
            finish = part.finish or finish
            pieces += bool(part.text or part.thought)
        if first_stop(text, (*request.stop, *request.ends)) is not None:
            break  # what follows may be half a line
    if finish is None and first_stop(text, (*request.stop, *request.ends)) is None:
        raise ValueError("the stream ended before the sample did")
    return replace(told, parts=(Part(text, thought, finish),)), pieces


class Watch:
    """Follows a stream as it comes: true once its text holds one of `stop`."""

    def __init__(self, stop: tuple[str, ...]) -> None:
        self._stop = stop
        self._line = b""  # its beginning, as far as it has come
        self._text = ""

    def __call__(self, piece: bytes) -> bool:
        *lines, self._line = (self._line + piece).split(b"\n")
        try:
            for said in _events(lines):
                self._text += "".join(part.text for part in said.parts[:1])
        except ValueError:  # it is read again as a whole, which says so
            return True
        return first_stop(self._text, self._stop) is not None


def _events(lines: Iterable[bytes]) -> Iterator[Said]:
    """What lines of server-sent events say. Raises ValueError."""
    for line in lines:
        data = line.strip().removeprefix(b"data:").strip()
        if line.startswith(b"data:") and data != b"[DONE]":
            yield read_said(loads(data), whole=False)


def messages(prompt: Prompt) -> list[dict[str, str]]:
    """A prompt as the turns of a conversation; the assistant's is unfinished."""
    turns = {"system": prompt.system, "user": prompt.user, "assistant": prompt.prefix}
    return [{"role": role, "content": text} for role, text in turns.items() if text]
