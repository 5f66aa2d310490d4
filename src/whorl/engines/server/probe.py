"""What a server can do, found out by asking it: servers differ, and mostly do not say so."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import TypeAlias

from whorl.ask import Ask, Prompt
from whorl.chat import Chat
from whorl.engines.server.reading import Said, count, read_said
from whorl.engines.server.transport import RefusedError, Transport
from whorl.engines.server.wire import Abilities, Wire, messages
from whorl.errors import UserError

_PROMPT = Prompt("", "Count from one to twenty, each number on its own.", "one two three four five")
_BARE = replace(_PROMPT, prefix="")
_TOKENS = 16
_HOT = 1.8  # a temperature at which hardly any model says the same thrice
_COLD = 1e-3  # one at which all say the same, though it is sampled
_MOST = 128  # samples of one request that are tried
_SHOWN = 5  # names of models

_EXACT: Mapping[str, object] = {"add_special_tokens": False}
_UNTOUCHED: Mapping[str, object] = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
"""What vLLM, SGLang and llama.cpp would otherwise set by the model's folder or by their own taste:
training has to know the distribution that was sampled from."""
_LLAMA: Mapping[str, object] = {"samplers": ["temperature", "top_p"], "verbose": True}
"""llama.cpp cuts the nucleus before it heeds the temperature, unless it is told the order, and says
what ended a sample only if it is to be verbose."""

_Answer: TypeAlias = Callable[[Ask], Awaitable[Said]]


class OtherTokenizer(UserError):
    """The tokenizer is not that of the server's model."""


@dataclass(frozen=True, slots=True)
class Served:
    """A model at an endpoint. context: in tokens, if that is said. listed: all models there, of
    which it need not be one: some servers list others than those they serve."""

    name: str
    context: int | None = None
    listed: tuple[str, ...] = ()


async def served(transport: Transport, url: str) -> Served:
    """The address's model at an endpoint, or the only one there. Raises `UserError` if one must be
    chosen."""
    wanted = transport.address.model
    try:
        said = await transport.once(url, "/models", None)
        found = {str(model["id"]): _context(model) for model in said["data"]}
    except (RefusedError, KeyError, TypeError, AttributeError) as error:
        if wanted:
            return Served(wanted)
        why = error if isinstance(error, RefusedError) else f"{url}/models is no list of models"
        raise UserError(
            f"{why}; is that its address, up to /v1? If it lists no models, name one: model=NAME"
        ) from error
    if not wanted and len(found) != 1:
        names = ", ".join(sorted(found)[:_SHOWN])
        raise UserError(f"{url} serves {len(found)} models; name one: model=NAME, of {names}")
    name = wanted or next(iter(found))
    return Served(name, found.get(name), tuple(sorted(found)))


async def probe(transport: Transport, url: str, model: Served, chat: Chat | None) -> Abilities:
    """Try an endpoint out with some short requests. Raises `UserError` if it answers none of them,
    and `OtherTokenizer` if it counts the tokens of a prompt otherwise than `chat` does."""
    asked = _Asked(transport, url, model.name)
    try:
        route = await _completions(asked, chat) if chat is not None else None
        abilities = replace(route or await _conversation(asked), context=model.context)
    except RefusedError as error:
        hint = ""
        if not model.listed:
            hint = "; is that the address of an OpenAI-style server, up to /v1?"
        elif model.name not in model.listed:
            hint = f"; it lists {', '.join(model.listed[:_SHOWN])}: name one with model=NAME"
        raise UserError(f"{error}{hint}") from error
    greedy = Ask(_PROMPT if abilities.continues else _BARE, max_tokens=_TOKENS, temperature=0.0)

    async def answer(ask: Ask) -> Said:
        able = replace(abilities, several=ask.n, tells_stop=ask.n)
        (request,) = Wire(model.name, able, chat).requests(ask)
        return await asked.post(request.path, **request.body)

    for ends, seeds, logprobs in product(
        (True, False) if chat else (False,), (True, False), (0, 1, None)
    ):
        abilities = replace(abilities, ends=ends, seeds=seeds, logprobs=logprobs)
        try:
            plain = await answer(greedy)
        except RefusedError as error:
            trouble = error
            continue
        if logprobs is None or plain.parts[0].logprobs:
            break
    else:
        raise UserError(f"{trouble}; the server answers no request of ours")
    abilities = replace(
        abilities,
        usage=plain.sampled is not None,
        tells_end=any(part.finish is not None for part in plain.parts),
    )
    several = await _several(answer, replace(greedy, temperature=_HOT, max_tokens=1))
    samples = await _samples(answer, replace(greedy, temperature=_HOT))
    tells_stop = await _tells_stop(answer, replace(greedy, temperature=_COLD), plain, several)
    return replace(
        abilities,
        samples=samples,
        several=several,
        tells_stop=tells_stop,
        counts_streams=not tells_stop and await _counts_streams(asked, abilities, chat, greedy),
    )


async def _counts_streams(
    asked: "_Asked", abilities: Abilities, chat: Chat | None, ask: Ask
) -> bool:
    """Whether it takes the wish that a stream ends in counts."""
    able = replace(abilities, tells_stop=0, counts_streams=True)
    (request,) = Wire(asked.model, able, chat).requests(replace(ask, stop=("\n\n",)))
    with suppress(RefusedError):
        await asked.stream(request.path, request.body)
        return True
    return False


async def _samples(answer: _Answer, ask: Ask) -> bool:
    """Whether it says different things at a high temperature, as far as it says anything."""
    said: set[str] = set()
    answered = 0
    for seed in range(1, 4):
        with suppress(RefusedError):
            said.add((await answer(replace(ask, seed=seed))).parts[0].text)
            answered += 1
        if len(said) > 1:
            return True
    return answered < 2 or not any(said)


async def _several(answer: _Answer, ask: Ask) -> int:
    """How many samples a request may bring: some servers have as many slots and refuse more."""
    n = _MOST
    while n > 1:
        try:
            return len((await answer(replace(ask, n=n))).parts)
        except RefusedError:
            n //= 2
    return 1


async def _tells_stop(answer: _Answer, ask: Ask, plain: Said, several: int) -> int:
    """Of how many samples it names the stop string, which is a piece of what it says without."""
    text = plain.parts[0].text
    piece = text[len(text) // 2 : len(text) // 2 + 2]
    for n, told in ((2, several), (1, 1)):
        if piece and n <= several:
            with suppress(RefusedError):
                parts = (await answer(replace(ask, stop=(piece,), n=n))).parts
                if len(parts) == n and all(part.stopped_by == piece for part in parts):
                    return told
    return 0


def table(abilities: Abilities) -> list[tuple[str, str]]:
    """What was found, in words: what it is about, and how it is."""
    routes = {
        "ids": "token ids to /completions",
        "text": "text to /completions, in the model's own template",
        "chat": "messages to /chat/completions",
    }
    context = f"{abilities.context:,} tokens" if abilities.context else "not said"
    return [
        ("prompts", routes[abilities.route]),
        ("a prefix is continued", "yes" if abilities.continues else "no: only whole solutions"),
        ("samples", "yes" if abilities.samples else "no: it says the same at any temperature"),
        ("several at once", _many(abilities.several)),
        ("stop strings", _stops(abilities)),
        ("ends of a turn", "sent" if abilities.ends else "not sent: looked for in the text"),
        ("why a sample ended", "told" if abilities.tells_end else "not told: by its tokens"),
        ("seeds", "yes" if abilities.seeds else "refused: samples cannot be repeated"),
        ("log-probabilities", "no" if abilities.logprobs is None else "yes"),
        ("tokens are counted", "by the server" if abilities.usage else "here"),
        ("context", context),
    ]


def _many(several: int) -> str:
    if several < 2:
        return "no: a request for each"
    return "yes" if several == _MOST else f"up to {several}"


def _stops(abilities: Abilities) -> str:
    if not abilities.tells_stop:
        return "not told: read as a stream and cut"
    return "yes" if abilities.tells_stop == abilities.several else "yes, of one sample at a time"


def differences(one: Abilities, other: Abilities) -> list[str]:
    """The names in which two endpoints differ."""
    return [f.name for f in fields(Abilities) if getattr(one, f.name) != getattr(other, f.name)]


class _Asked:
    """Short greedy requests to one endpoint."""

    def __init__(self, transport: Transport, url: str, model: str) -> None:
        self._transport = transport
        self._url = url
        self.model = model
        self._base = {"model": model, "max_tokens": _TOKENS, "temperature": 0.0}

    async def post(self, path: str, **body: object) -> Said:
        """Raises `RefusedError` if there is no answer with choices."""
        answer = await self._transport.once(self._url, path, {**self._base, **body})
        try:
            said = read_said(answer)
        except ValueError as error:
            shown = self._transport.shown(error)
            raise RefusedError(f"{self._url}{path} cannot be read: {shown}") from error
        if not said.parts:
            raise RefusedError(f"{self._url}{path} gave no choices")
        return said

    async def stream(self, path: str, body: Mapping[str, object]) -> None:
        """Raises `RefusedError` if the body of a stream is not taken."""
        await self._transport.once(self._url, path, body, read=lambda _: None)


async def _completions(asked: _Asked, chat: Chat) -> Abilities | None:
    """How /completions takes a prompt; None if it takes none."""
    text, ids = chat.render(_PROMPT), chat.encode(_PROMPT)
    for extra in ({**_EXACT, **_UNTOUCHED, **_ending(chat)}, _EXACT, {}):
        try:
            by_ids = await asked.post("/completions", prompt=ids, **extra)
            if by_ids.read == len(ids):
                return Abilities("ids", await _verbose(asked, ids, extra))
        except RefusedError:
            pass
        try:
            by_text = await asked.post("/completions", prompt=text, **extra)
        except RefusedError:
            continue
        counted = by_text.read
        if counted in (None, len(ids)):
            return Abilities("text", await _verbose(asked, text, extra))
        if not extra:
            bos = str(chat.tokenizer.bos_token)
            if counted == len(ids) + 1 and text.startswith(bos):
                return Abilities("text", adds_bos=True)
            raise OtherTokenizer(
                f"the server counts {counted} tokens in a prompt of {len(ids)}: it adds some of "
                "its own, or tokenizer=FOLDER is not that of its model"
            )
    return None


def _ending(chat: Chat) -> Mapping[str, object]:
    """Fields by which vLLM and SGLang end a turn as the template does, and show the marks of a
    thought that are special tokens."""
    marks = {"skip_special_tokens": False} if chat.thoughts.ids else {}
    return {"stop_token_ids": sorted(chat.ends), **marks}


async def _verbose(
    asked: _Asked, prompt: object, extra: Mapping[str, object]
) -> Mapping[str, object]:
    """`extra`, and llama.cpp's own fields if they mean something to the server."""
    with suppress(RefusedError):
        said = await asked.post("/completions", prompt=prompt, **extra, **_LLAMA)
        if said.verbose:
            return {**extra, **_LLAMA}
    return extra


async def _conversation(asked: _Asked) -> Abilities:
    """How /chat/completions continues the assistant's turn, if it does.

    A new turn after the prefix costs some tokens, a continued one none. The cost of the prefix's
    own text is known from a prefix twice as long.
    """
    once, twice = _PROMPT, replace(_PROMPT, prefix=f"{_PROMPT.prefix} {_PROMPT.prefix}")
    bare = await asked.post("/chat/completions", messages=messages(_BARE))
    for extra in ({"add_generation_prompt": False, "continue_final_message": True}, {}):
        try:
            first = await asked.post("/chat/completions", messages=messages(once), **extra)
            second = await asked.post("/chat/completions", messages=messages(twice), **extra)
        except RefusedError:
            continue
        counts = [said.read for said in (bare, first, second)]
        if None not in counts:
            start, short, long = (count or 0 for count in counts)
            if short > start and (short - start) - (long - short) <= 1:
                return Abilities("chat", extra)
    return Abilities("chat", continues=False)


def _context(model: Mapping[str, object]) -> int | None:
    """vLLM and SGLang say `max_model_len`, llama.cpp hides it in `meta`."""
    meta = model.get("meta")
    hidden = meta if isinstance(meta, Mapping) else {}
    said = (model.get("max_model_len"), hidden.get("n_ctx"), hidden.get("n_ctx_train"))
    return next((tokens for tokens in map(count, said) if tokens), None)
