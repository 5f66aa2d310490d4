"""The terminal: whatever a command writes, its own colours aside, goes there as text."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, cast

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.segment import Segment

from whorl.errors import Visible, visible

ENDLESS = 10_000  # characters of a line that nobody wraps


@contextmanager
def shown_as_text() -> Iterator[None]:
    """Context in which stdout and stderr write control characters of texts, ids and errors in a
    form that a terminal shows and does not obey."""
    out, err = cast(Any, Visible(sys.stdout)), cast(Any, Visible(sys.stderr))
    with redirect_stdout(out), redirect_stderr(err):
        yield


def console(
    *, stderr: bool = False, soft_wrap: bool = True, width: int | None = None, quiet: bool = False
) -> Console:
    """A console whose colours pass, and whose texts are shown as `shown_as_text` has them.

    width: in characters; None: the terminal's, and as wide as need be in a file or a pipe, unless
        the environment says how wide (`COLUMNS`).
    """
    stream = sys.stderr if stderr else sys.stdout
    if isinstance(stream, Visible):
        stream = stream.stream
    if width is None and not stream.isatty() and "COLUMNS" not in os.environ:
        width = ENDLESS
    made = Console(file=stream, highlight=False, soft_wrap=soft_wrap, width=width, quiet=quiet)
    made.push_render_hook(_AsText())
    return made


class _AsText(RenderHook):
    """Has every renderable rendered as `_Shown`."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Shown(renderable) for renderable in renderables]


class _Shown:
    """A renderable whose texts are made visible after it was laid out; colours are set later."""

    def __init__(self, inner: ConsoleRenderable) -> None:
        self._inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self._inner, options):
            if segment.control:
                yield segment
            else:
                yield Segment(visible(segment.text), segment.style)
