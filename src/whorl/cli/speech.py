"""Speech of the command that runs: how much it says, and what it has said so far."""

from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass(slots=True)
class Speech:
    """Settings of what a command says. quiet: only errors and results; as_json: an object is its
    last line; lines: said so far; wrote: files that are complete, and what each holds."""

    quiet: bool = False
    as_json: bool = False
    lines: list[str] = field(default_factory=list)
    wrote: dict[str, str] = field(default_factory=dict)


SPEECH: ContextVar[Speech] = ContextVar("speech")
"""Of the running command, set by `common`; so no stage has to pass on how much is said."""
