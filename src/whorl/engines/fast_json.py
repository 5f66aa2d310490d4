"""JSON of what models and servers say: as fast as orjson, as lenient as the standard library."""

import json
from typing import Any

import orjson


def dumps(value: object) -> bytes:
    """Compact JSON text of `value`. Lone surrogates, which models do say, are escaped; NaN and
    infinities, which JSON does not have, are null."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


def loads(data: bytes) -> Any:
    """The value of the JSON text `data`; lone surrogates, NaN and infinities are read. Raises
    ValueError if it is no JSON, or nested too deeply to be any message that we know."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(data)
    except RecursionError as error:
        raise ValueError("too deeply nested") from error
