"""Whatever answers asks: models, judges, functions. `open_engine` opens one by its name."""

from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

from whorl.ask import Engine
from whorl.errors import UserError


def open_engine(spec: str) -> Engine:
    """The engine that `spec`, SCHEME:REST, names: `local:PATH` is a model folder.

    Raises `UserError` if there is no such scheme or what it names cannot be used.
    """
    scheme, _, rest = spec.partition(":")
    if scheme not in _SCHEMES:
        near = get_close_matches(scheme, _SCHEMES, n=1)
        known = ", ".join(f"{name}:..." for name in _SCHEMES)
        hint = f"; did you mean {near[0]}:?" if near else ""
        raise UserError(f"{spec!r} names no engine; known are {known}{hint}")
    return _SCHEMES[scheme](rest)


def _open_local(path: str) -> Engine:
    from whorl.engines.local import Local

    return Local(Path(path))


_SCHEMES: dict[str, Callable[[str], Engine]] = {"local": _open_local}
