"""What a server can do, found out by asking it: servers differ, and mostly do not say so."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias

from whorl.ask import Ask, Prompt
from whorl.chat import Chat
from whorl.engines.server.transport import RefusedError, Transport
from whorl.engines.server.wire import Abilities, Wire, messages
from whorl.errors import UserError

_PROMPT = Prompt("", "Count from one to twenty, each number on its own.", "one two three four five")
_BARE = replace(_PROMPT, prefix="")
_TOKENS = 16
_HOT = 1.8  # a temperature at which hardly any model says the same thrice
_SHOWN = 5  # names of models

_EXACT: Mapping[str, object] = {"add_special_tokens": False}
_UNTOUCHED: Mapping[str, object] = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
"""What vLLM, SGLang and llama.cpp would otherwise set by the model's folder or by their own taste:
training has to know the distribution that was sampled from."""

_Answer: TypeAlias = Callable[[Ask], Awaitable[dict[str, Any]]]


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
        found = {str(model["id"]): model for model in said["data"]}
    except (RefusedError, KeyError, TypeError) as error:
        if wanted:
            return Served(wanted)
        why = error if isinstance(error, RefusedError) else f"{url}/models is no list of models"
        raise UserError(f"{why}; name the model: model=NAME") from error
    if not wanted and len(found) != 1:
        names = ", ".join(sorted(found)[:_SHOWN])
        raise UserError(f"{url} serves {len(found)} models; name one: model=NAME, of {names}")
    name = wanted or next(iter(found))
    return Served(name, _context(found.get(name, {})), tuple(sorted(found)))


async def probe(transport: Transport, url: str, model: Served, chat: Chat | None) -> Abilities:
    """Try an endpoint out with some short requests. Raises `UserError` if it answers none of them,
    or counts the tokens of a prompt otherwise than `chat` does."""
    asked = _Asked(transport, url, model.name)
    try:
        route = await _completions(asked, chat) if chat is not None else None
        abilities = replace(route or await _conversation(asked), context=model.context)
    except RefusedError as error:
        others = model.name not in model.listed and model.listed[:_SHOWN]
        hint = f"; it lists {', '.join(others)}" if others else ""
        raise UserError(f"{error}{hint}") from error
    greedy = Ask(_PROMPT if abilities.continues else _BARE, max_tokens=_TOKENS, temperature=0.0)

    async def answer(ask: Ask) -> dict[str, Any]:
        (request,) = Wire(model.name, abilities, chat).requests(ask)
        return await asked.post(request.path, **request.body)

    for seeds, logprobs in ((True, True), (True, False), (False, True), (False, False)):
        abilities = replace(abilities, seeds=seeds, logprobs=logprobs)
        try:
            plain = await answer(greedy)
            break
        except RefusedError as error:
            trouble = error
    else:
        raise UserError(f"{trouble}; the server answers no request of ours")
    abilities = replace(
        abilities, logprobs=bool(_choice(plain).get("logprobs")), usage="usage" in plain
    )
    return replace(
        abilities,
        samples=await _samples(answer, replace(greedy, temperature=_HOT)),
        several=await _several(answer, replace(greedy, n=2, temperature=_HOT)),
        tells_stop=await _tells_stop(answer, greedy, _text(plain)),
    )


async def _samples(answer: _Answer, ask: Ask) -> bool:
    """Whether it says different things at a high temperature."""
    said = set()
    for seed in range(1, 4):
        with suppress(RefusedError):
            said.add(_text(await answer(replace(ask, seed=seed))))
    return len(said) > 1


async def _several(answer: _Answer, ask: Ask) -> bool:
    try:
        return len((await answer(ask))["choices"]) == ask.n
    except RefusedError:
        return False


async def _tells_stop(answer: _Answer, ask: Ask, text: str) -> bool:
    """Whether it names the stop string, a piece of what it says without one."""
    piece = text[len(text) // 2 : len(text) // 2 + 2]
    if not piece:
        return False
    try:
        choice = _choice(await answer(replace(ask, stop=(piece,))))
    except RefusedError:
        return False
    return piece in (choice.get("stop_reason"), choice.get("matched_stop"))


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
        ("several at once", "yes" if abilities.several else "no: a request for each"),
        ("stop strings", "yes" if abilities.tells_stop else "not told: read as a stream and cut"),
        ("seeds", "yes" if abilities.seeds else "refused: samples cannot be repeated"),
        ("log-probabilities", "yes" if abilities.logprobs else "no"),
        ("tokens are counted", "by the server" if abilities.usage else "here"),
        ("context", context),
    ]


def differences(one: Abilities, other: Abilities) -> list[str]:
    """The names in which two endpoints differ."""
    return [f.name for f in fields(Abilities) if getattr(one, f.name) != getattr(other, f.name)]


class _Asked:
    """Short greedy requests to one endpoint."""

    def __init__(self, transport: Transport, url: str, model: str) -> None:
        self._transport = transport
        self._url = url
        self._base = {"model": model, "max_tokens": _TOKENS, "temperature": 0.0}

    async def post(self, path: str, **body: object) -> dict[str, Any]:
        """Raises `RefusedError` if there is no answer with choices."""
        said = await self._transport.once(self._url, path, {**self._base, **body})
        if not _choice(said):
            raise RefusedError(f"{self._url}{path} gave no choices")
        return dict(said)


async def _completions(asked: _Asked, chat: Chat) -> Abilities | None:
    """How /completions takes a prompt; None if it takes none."""
    text, ids = chat.render(_PROMPT), chat.encode(_PROMPT)
    for extra in ({**_EXACT, **_UNTOUCHED}, _EXACT, {}):
        try:
            by_ids = await asked.post("/completions", prompt=ids, **extra)
            if _prompt_tokens(by_ids) == len(ids):
                return Abilities("ids", extra)
        except RefusedError:
            pass
        try:
            by_text = await asked.post("/completions", prompt=text, **extra)
        except RefusedError:
            continue
        counted = _prompt_tokens(by_text)
        if counted in (None, len(ids)):
            return Abilities("text", extra)
        if not extra:
            bos = str(chat.tokenizer.bos_token)
            if counted == len(ids) + 1 and text.startswith(bos):
                return Abilities("text", adds_bos=True)
            raise UserError(
                f"the server counts {counted} tokens in a prompt of {len(ids)}: it adds some of "
                "its own, or tokenizer=FOLDER is not that of its model"
            )
    return None


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
        counts = [_prompt_tokens(said) for said in (bare, first, second)]
        if None not in counts:
            start, short, long = (count or 0 for count in counts)
            if short > start and (short - start) - (long - short) <= 1:
                return Abilities("chat", extra)
    return Abilities("chat", continues=False)


def _prompt_tokens(said: Mapping[str, Any]) -> int | None:
    usage = said.get("usage")
    return usage.get("prompt_tokens") if isinstance(usage, dict) else None


def _choice(said: Any) -> dict[str, Any]:
    choices = said.get("choices") if isinstance(said, dict) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else {}


def _text(said: Any) -> str:
    choice = _choice(said)
    message = choice.get("message") or {}
    return str(choice.get("text") or message.get("content") or "")


def _context(model: Mapping[str, Any]) -> int | None:
    """vLLM and SGLang say `max_model_len`, llama.cpp hides it in `meta`."""
    meta = model.get("meta") or {}
    found = model.get("max_model_len") or meta.get("n_ctx") or meta.get("n_ctx_train")
    return int(found) if found else None
