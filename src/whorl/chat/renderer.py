"""Chat templates at work: each in a process of its own, which may not take long nor much memory.

A template is a program that comes with a model. What it does to one conversation it need not do to
the next, so every rendering has limits, and a template that exceeds them ends its own process only.
"""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from math import ceil
from multiprocessing.connection import Connection
from threading import Lock
from typing import Any

from whorl.chat.template import Message, Template, variables

SECONDS = 5
"""Of the processor, for one conversation."""

_WALL_SECONDS = 60.0  # on a busy machine
_DEATHS = 3  # over one conversation, for no reason of the template's
_BYTES = 1 << 30  # of memory, Python's own included
_CHARACTERS = 1 << 20  # of a rendered text, besides four times the conversation


@dataclass(frozen=True, slots=True)
class Outcome:
    """Text of a conversation, or the reason why there is none; beyond: that is a limit."""

    text: str = ""
    error: str = ""
    beyond: bool = False


@lru_cache(maxsize=16)  # a model is opened more than once in a run
def renderer(source: str, tokens: tuple[tuple[str, str], ...] = ()) -> "Renderer":
    """The renderer of `Template(source, tokens)`; processes of renderers that nobody uses end."""
    return Renderer(source, tokens)


class Renderer:
    """The process that renders by one template; it is started when it is first asked.

    source, tokens: as a `Template` has them.
    """

    def __init__(self, source: str, tokens: Sequence[tuple[str, str]] = ()) -> None:
        self._told = json.dumps([source, tokens]).encode()
        self._lock = Lock()  # a search and a server's thread may share a renderer
        self._child: _Child | None = None

    def render(self, messages: Sequence[Message], *, opened: bool) -> Outcome:
        """What `Template.render` makes of a conversation."""
        return self._ask([messages, opened])

    def variables(self) -> Outcome:
        """Names that the template looks at beside the conversation, in a text of lines: to find
        them, parts of it are computed."""
        return self._ask(None)

    def _ask(self, what: object) -> Outcome:
        asked = json.dumps(what).encode()
        with self._lock:
            for _ in range(_DEATHS):
                child = self._started()
                with suppress(EOFError, OSError):
                    child.connection.send_bytes(asked)
                    if child.connection.poll(_WALL_SECONDS):
                        return Outcome(**json.loads(child.connection.recv_bytes()))
                    child.late = True
                child.end()
                self._child = None
                if child.late or child.process.returncode == -signal.SIGXCPU:
                    return Outcome(error=f"it takes more than {_counted(SECONDS)}", beyond=True)
            return Outcome(error="it cannot be run")

    def _started(self) -> "_Child":
        """The process; a fork of the one that started it has one of its own."""
        if self._child is None or self._child.parent != os.getpid():
            self._child = _Child()
            self._child.connection.send_bytes(self._told)
            weakref.finalize(self, self._child.end)
        return self._child


class _Child:
    """A process that renders. late: it was past its time."""

    def __init__(self) -> None:
        here, there = socket.socketpair()
        with there:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__, str(there.fileno()), str(SECONDS)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[there.fileno()],
                process_group=0,  # Ctrl-C in a terminal is not for it
            )
        self.connection = Connection(here.detach())
        self.parent = os.getpid()
        self.late = False

    def end(self) -> None:
        """End the process; a fork of its parent only forgets it."""
        self.connection.close()
        if self.parent == os.getpid():
            self.process.kill()
            self.process.wait()


def _main(descriptor: int, seconds: int) -> None:
    """The renderer's process: answer until the parent is gone."""
    connection = Connection(descriptor)
    with suppress(ValueError, OSError):  # not every system has this limit
        resource.setrlimit(resource.RLIMIT_AS, (_BYTES, _BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    template = Template(*json.loads(connection.recv_bytes()))
    with suppress(EOFError, OSError):
        while True:
            asked = connection.recv_bytes()
            _, hard = resource.getrlimit(resource.RLIMIT_CPU)
            resource.setrlimit(resource.RLIMIT_CPU, (ceil(time.process_time()) + seconds, hard))
            outcome = _outcome(template, json.loads(asked), _CHARACTERS + 4 * len(asked))
            connection.send_bytes(json.dumps(asdict(outcome)).encode())


def _outcome(template: Template, asked: Any, most: int) -> Outcome:
    try:
        if asked is None:
            return Outcome("\n".join(sorted(variables(template.source))))
        messages, opened = asked
        text = template.render(messages, opened=opened)
    except MemoryError:
        return Outcome(error=f"it takes more than {_BYTES >> 20:,} MiB of memory", beyond=True)
    except Exception as error:  # whatever a template comes to
        return Outcome(error=_line(error))
    if len(text) > most:
        return Outcome(error=f"it makes {len(text):,} characters, and {most:,} would be a lot")
    return Outcome(text)


def _counted(seconds: int) -> str:
    return "a second" if seconds == 1 else f"{seconds} seconds"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


if __name__ == "__main__":
    _main(*map(int, sys.argv[1:]))
