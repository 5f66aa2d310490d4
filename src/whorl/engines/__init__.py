"""Whatever answers asks: models, judges, functions. `open_engine` opens one by its name."""

import os
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

from whorl.ask import Engine
from whorl.errors import UserError


def open_engine(spec: str, *, processes: int | None = None) -> Engine:
    """The engine that `spec`, SCHEME:REST, names: `local:PATH` is a model folder.

    processes: how many it runs in; 0 is inside this one. If not given, a small model gets one
    process with one thread per core, a large one a single process that has all of them.
    Raises `UserError` if there is no such scheme or what it names cannot be used.
    """
    scheme, _, rest = spec.partition(":")
    if scheme not in _SCHEMES:
        near = get_close_matches(scheme, _SCHEMES, n=1)
        known = ", ".join(f"{name}:..." for name in _SCHEMES)
        hint = f"; did you mean {near[0]}:?" if near else ""
        raise UserError(f"{spec!r} names no engine; known are {known}{hint}")
    return _SCHEMES[scheme](rest, processes)


def _open_local(path: str, processes: int | None) -> Engine:
    if processes == 0:
        from whorl.engines.local import Local

        return Local(Path(path))
    from whorl.chat import Chat
    from whorl.engines.workers import Workers

    Chat.load(Path(path))  # what can be refused is refused here, not in another process
    cores = len(os.sched_getaffinity(0))
    size = sum(file.stat().st_size for file in Path(path).glob("*.safetensors"))
    if processes is None:
        processes = cores if size < _SMALL else 1
    return Workers(f"local:{path}", processes, threads=max(1, cores // processes))


_SMALL = 200 << 20  # bytes of weights of which every process can have its own copy
_SCHEMES: dict[str, Callable[[str, int | None], Engine]] = {"local": _open_local}
