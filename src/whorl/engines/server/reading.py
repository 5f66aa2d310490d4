"""What servers say, read: one reader for completions, conversations, streams and counts.

Servers are programs of other people: what is read here may be any JSON at all. It is understood, or
it is a ValueError, which has the request repeated.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_MOST = 10**8  # tokens that a server may count in one response; more are a slip of its counter
_SHOWN = 200  # characters of what cannot be read

_THOUGHTS = ("reasoning_content", "reasoning", "thinking")
"""Fields of thoughts: of vLLM and SGLang, of OpenRouter and newer vLLM, of gateways to Ollama."""


@dataclass(frozen=True, slots=True)
class Part:
    """What a server says of one sample, or of a piece of one in a stream.

    text: what was sampled, without the thought.
    thought: what was thought before it, where a server keeps that apart.
    finish: why the sample ended, in the server's word; None if it does not say.
    stopped_by: the stop string that ended it, where the server names it.
    logprobs: of the sampled tokens; None if they are not told.
    """

    text: str
    thought: str = ""
    finish: str | None = None
    stopped_by: str | None = None
    logprobs: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """What a server says in one response, or in one event of a stream.

    sampled, read, cached: tokens of all samples, of the prompt, and those of the prompt that it
        knew; None if it does not say.
    verbose: it answers as llama.cpp does where it is to say more.
    """

    parts: tuple[Part, ...]
    sampled: int | None = None
    read: int | None = None
    cached: int | None = None
    verbose: bool = False


def read_said(said: object, *, whole: bool = True) -> Said:
    """A response of /completions or /chat/completions, or with `whole` false an event of a stream,
    which may lack whatever came before or will come. Raises ValueError if it is neither."""
    if not isinstance(said, Mapping):
        raise ValueError(f"no JSON object but {_shown(said)}")
    choices = said.get("choices")
    if said.get("error") and not choices:
        raise ValueError(f"an error: {_shown(said['error'])}")
    if choices is None and not whole:
        choices = ()
    if not isinstance(choices, list | tuple):
        raise ValueError(f"choices are {_shown(choices)}")
    usage, verbose = _object(said.get("usage")), said.get("__verbose")
    parts = [_part(choice, whole=whole) for choice in choices]
    # llama.cpp says of the first one alone, and elsewhere, what ended it
    if parts and isinstance(verbose, Mapping) and verbose.get("stop_type") == "word":
        word = verbose.get("stopping_word")
        parts[0] = Part(
            parts[0].text,
            parts[0].thought,
            parts[0].finish,
            word if isinstance(word, str) else None,
            parts[0].logprobs,
        )
    details = _object(usage.get("prompt_tokens_details"))
    sampled, read = count(usage.get("completion_tokens")), count(usage.get("prompt_tokens"))
    cached = count(details.get("cached_tokens"))
    return Said(tuple(parts), sampled, read, cached, verbose is not None)


def count(said: object) -> int | None:
    """A number of tokens; None if what is said can be none, so that we count ourselves."""
    if isinstance(said, float) and said.is_integer():
        said = int(said)
    if isinstance(said, int) and not isinstance(said, bool) and 0 <= said <= _MOST:
        return said
    return None


def number(said: object) -> float:
    """A number that is one. Raises ValueError."""
    if isinstance(said, int | float) and not isinstance(said, bool):
        try:
            value = float(said)
        except OverflowError:
            value = math.nan
        if not math.isnan(value):
            return value
    raise ValueError(f"no number but {_shown(said)}")


def _part(choice: object, *, whole: bool) -> Part:
    if not isinstance(choice, Mapping):
        raise ValueError(f"a choice is {_shown(choice)}")
    finish = choice.get("finish_reason")
    if finish is not None and not isinstance(finish, str):
        raise ValueError(f"the finish_reason is {_shown(finish)}")
    text, thought = _words(choice, whole=whole)
    if not text and _refused(choice):
        finish = "refusal"
    stopped_by = choice.get("stop_reason", choice.get("matched_stop"))
    return Part(
        text,
        thought,
        finish or None,
        stopped_by if isinstance(stopped_by, str) else None,
        _logprobs(choice.get("logprobs")),
    )


def _words(choice: Mapping[str, Any], *, whole: bool) -> tuple[str, str]:
    """Text and thought of a choice, in the form of either endpoint."""
    message = choice.get("message", choice.get("delta"))
    if message is None and "text" in choice:
        text = choice["text"]
        if text is not None and not isinstance(text, str):
            raise ValueError(f"the text is {_shown(text)}")
        return text or "", _thought(choice)
    if message is None and not whole:
        return "", ""
    if not isinstance(message, Mapping):
        raise ValueError(f"the message is {_shown(message)}")
    text, thought = _content(message.get("content"))
    return text, _thought(message) or thought


def _thought(message: Mapping[str, Any]) -> str:
    return next(filter(None, (_told(message.get(name)) for name in _THOUGHTS)), "")


def _told(said: object) -> str:
    """A thought as text, or as parts of text; empty if it is neither."""
    if isinstance(said, str):
        return said
    pieces = [said] if isinstance(said, Mapping) else said if isinstance(said, list) else []
    texts = (one.get("text") if isinstance(one, Mapping) else one for one in pieces)
    return "".join(text for text in texts if isinstance(text, str))


def _refused(choice: Mapping[str, Any]) -> bool:
    """Whether a choice says that the model refuses, in a field of the message or as its content."""
    message = _object(choice.get("message", choice.get("delta")))
    content = message.get("content")
    parts = content if isinstance(content, list) else []
    return bool(message.get("refusal")) or any(_object(p).get("type") == "refusal" for p in parts)


def _content(said: object) -> tuple[str, str]:
    """Text and thought of a message's content: a text, or a list of parts of several kinds."""
    if said is None or isinstance(said, str):
        return said or "", ""
    if not isinstance(said, list):
        raise ValueError(f"the content is {_shown(said)}")
    text, thought = "", ""
    for part in said:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if isinstance(part, str):
            text += part
        elif kind in ("text", "output_text"):
            text += _piece(part, "text")
        elif kind in ("thinking", "reasoning"):
            thought += _piece(part, kind)
        elif kind == "refusal":
            continue  # see `_refused`
        else:
            raise ValueError(f"a part of the content is {_shown(part)}")
    return text, thought


def _piece(part: Mapping[str, Any], name: str) -> str:
    """The words of a part: a text, or a list of parts that have one."""
    inner = part.get(name, part.get("text"))
    if isinstance(inner, list):
        found = [one.get("text") if isinstance(one, Mapping) else one for one in inner]
        texts = [text for text in found if isinstance(text, str)]
        if len(texts) == len(found):
            return "".join(texts)
    if isinstance(inner, str):
        return inner
    raise ValueError(f"a part of the content is {_shown(part)}")


def _logprobs(said: object) -> tuple[float, ...] | None:
    """Log-probabilities of the sampled tokens, in either endpoint's form; an empty list is none, as
    a sample has a token at least."""
    if not isinstance(said, Mapping):
        return None
    if isinstance(tokens := said.get("content"), list) and tokens:
        return tuple(number(_object(token).get("logprob")) for token in tokens)
    values = said.get("token_logprobs")
    return tuple(map(number, values)) if isinstance(values, list) and values else None


def _object(said: object) -> Mapping[str, Any]:
    """An object; an empty one where something else stands."""
    return said if isinstance(said, Mapping) else {}


def _shown(said: object) -> str:
    """A value in a few words; one that holds others may be of any size and depth."""
    if said is None:
        return "missing"
    if isinstance(said, Mapping) and isinstance(said.get("message"), str):
        said = said["message"]
    if isinstance(said, Mapping | list):
        return "an object" if isinstance(said, Mapping) else "a list"
    words = " ".join(repr(said).split())
    return words if len(words) <= _SHOWN else words[:_SHOWN] + "..."
