"""JSON objects in which chat models give what they were asked for as labelled lines."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from whorl.prompts.forms import name_of
from whorl.prompts.wrapping import read_json

_BEGINS = re.compile(r"(?:\A|```(?:json)?|:|\n)[ \t]*(?=[{\[]\s*[\"'{\[])")
_NESTED = 4  # values, one in the other, at most


def fields_of(text: str, names: tuple[str, ...]) -> dict[str, str]:
    """The fields of the object in a reply, or of the one object that its value holds, as text under
    those of the `names` that it has; empty if there is none."""
    said = _value(text)
    for _ in range(_NESTED):
        if isinstance(said, Mapping) and (fields := _fields(said, names)):
            return fields
        inner = [*said.values()] if isinstance(said, Mapping) else said
        if not isinstance(inner, list) or len(inner) != 1:
            break
        (said,) = inner
    return {}


def fields_by_step(text: str, names: tuple[str, ...]) -> dict[int, dict[str, str]]:
    """The fields of each step, by its number: of a list of objects in a reply, or of an object that
    holds one or names them; empty if there are none."""
    said = _value(text)
    if isinstance(said, Mapping) and len(said) == 1:
        (inner,) = said.values()
        said = inner if isinstance(inner, list) else said
    if isinstance(said, list):
        objects = [(k, each) for k, each in enumerate(said, start=1)]
    elif isinstance(said, Mapping):
        named = ((re.search(r"\d{1,4}", key), each) for key, each in said.items())
        objects = [(int(number[0]), each) for number, each in named if number]
    else:
        return {}
    found = ((k, _fields(each, names)) for k, each in objects if isinstance(each, Mapping))
    return {k: fields for k, fields in found if fields}


def _value(text: str) -> Any:
    """The JSON value in a reply, perhaps with words or a code fence round it; None without one."""
    begins = _BEGINS.search(text)
    try:
        return read_json(text[begins.end() :]) if begins else None
    except (ValueError, RecursionError):
        return None


def _fields(said: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, str]:
    own = {name_of(key, names): value for key, value in said.items()}
    return {name: "\n".join(("", "", *_texts(value))) for name, value in own.items() if name}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for each in value:
            yield from (f"- {text}" for text in _texts(each))
    elif value is not None:
        yield value if isinstance(value, str) else json.dumps(value)
