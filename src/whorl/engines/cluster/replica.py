"""A server of a model on some machine of a cluster, kept alive there."""

import os
import platform
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from whorl.engines.model import find_model
from whorl.errors import UserError

NAME = "whorl"
"""What its model is called at a server, whatever folder its weights come from."""

STARTING = 3600.0  # seconds that a server has for its first answer

_STILLBORN = 3  # times in a row that a server may end before it has answered
_BRIEF = 10  # times in a row that one may end within `_SOON` of its first answer
_SOON = 60.0  # seconds
_PAUSE = 0.3  # seconds before it is started again, and between looks at it
_LOOK = 10.0  # seconds between questions whether it lives
_SILENT = 180.0  # seconds without an answer after which one that had answered is killed
_SHOWN = 3  # lines of what a server said last
_READ = 4096  # bytes of its log that they are looked for in
_LONG = 64 << 20  # bytes of its log, as a server of days has, that are too many to be kept


@dataclass(frozen=True, slots=True)
class Standing:
    """How a server is doing. url: where it answers, up to /v1. ended: times that it ended by itself
    or was killed. said: its last words then."""

    url: str
    ended: int
    said: str


class Replica:
    """A server as an actor of Ray: a process beside it, which ends with it and is started again, at
    the same port, when it ends by itself or says nothing for long."""

    def __init__(
        self, program: Sequence[str], model: str, arguments: Sequence[str], folder: str
    ) -> None:
        """program: what serves, before the folder of the model. model: as engines are named.
        folder: in which the command was given, where this machine has it."""
        import ray

        self._host = ray.util.get_node_ip_address()
        self._program, self._model, self._arguments = program, model, arguments
        if Path(folder).is_dir():
            os.chdir(folder)
        self._standing = Standing("", 0, "")
        self._fault = ""
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (for as long as the actor lives)
        self._closing = threading.Event()
        self._keeping = threading.Thread(target=self._keep, daemon=True)
        self._keeping.start()

    def ready(self) -> Standing:
        """How the server is doing, as soon as it has answered once. Raises `UserError` if it cannot
        be started."""
        while not (self._standing.url or self._fault):
            time.sleep(0.1)
        if self._fault:
            raise UserError(f"{platform.node()}: {self._fault}")
        return self._standing

    def words(self) -> str:
        """What the server said last."""
        return _last_words(self._log)

    def close(self) -> None:
        """End the server, and wait for that."""
        self._closing.set()
        self._keeping.join()
        self._log.close()

    def _keep(self) -> None:
        """Keep the server alive; whatever ends that is the fault that `ready` tells."""
        try:
            self._serve()
        except UserError as error:
            self._fault = str(error)
        except Exception as error:
            self._fault = f"{type(error).__name__}: {error}"

    def _serve(self) -> None:
        """Start the server, again and again. Raises `UserError` if it is given up."""
        folder = find_model(self._model).folder
        program = [_found(self._program[0]), *self._program[1:], str(folder), *self._arguments]
        stillborn = brief = port = 0
        while not self._closing.wait(_PAUSE):
            port = port if port and not stillborn else _free_port()  # or somebody has taken it
            command = [*program, f"--port={port}"]
            lived = self._lived(command, port)
            stillborn = 0 if lived else stillborn + 1
            brief = 0 if lived > _SOON else brief + 1
            if stillborn == _STILLBORN:
                raise self._given_up(command, f"ended {stillborn} times before it answered")
            if brief == _BRIEF:
                raise self._given_up(command, f"ended {brief} times soon after it answered")
            ended = self._standing.ended + 1
            self._standing = replace(self._standing, ended=ended, said=self.words())

    def _lived(self, command: Sequence[str], port: int) -> float:
        """Start the server and wait for its end; returns the seconds between its first and its last
        answer, 0 if there was none. Raises `UserError` if there is none for very long."""
        url = f"http://{self._host}:{port}/v1"
        log = self._log
        _clear(log)
        ward = [sys.executable, "-m", "whorl.engines.cluster.ward", *command]
        with subprocess.Popen(ward, stdin=subprocess.PIPE, stdout=log, stderr=log) as process:
            assert process.stdin is not None
            began = time.monotonic()
            first = heard = asked = 0.0
            while process.poll() is None:
                now = time.monotonic()
                if not first or now - asked > _LOOK:
                    asked = now
                    if answers(url):
                        heard = time.monotonic()
                        first = first or heard
                        self._standing = replace(self._standing, url=url)
                    if os.fstat(log.fileno()).st_size > _LONG:
                        _clear(log)
                if not first and now - began > STARTING:
                    raise self._given_up(command, f"has not answered in {STARTING:.0f} s")
                silent = first and now - heard > _SILENT
                if silent or self._closing.wait(_PAUSE):
                    process.stdin.close()
                    process.wait()
        return heard - first + _PAUSE if first else 0.0

    def _given_up(self, command: Sequence[str], why: str) -> UserError:
        return UserError(f"{shlex.join(command)} {why}: {self.words()}")


def answers(url: str) -> bool:
    """Whether a server answers at a URL up to /v1."""
    try:
        with urllib.request.urlopen(f"{url}/models", timeout=_LOOK) as response:
            return bool(response.status == 200)
    except (OSError, ValueError):
        return False


def _found(program: str) -> str:
    """A program of this Python's environment, or else of the PATH."""
    found = shutil.which(program, path=Path(sys.executable).parent) or shutil.which(program)
    if not found:
        raise UserError(f"there is no program {program} on this machine: pip install {program}")
    return found


def _last_words(log: IO[bytes]) -> str:
    start = max(0, os.fstat(log.fileno()).st_size - _READ)
    text = os.pread(log.fileno(), _READ, start).decode("utf-8", "replace")
    return " / ".join(text.strip().splitlines()[-_SHOWN:])


def _clear(log: IO[bytes]) -> None:
    """Empty a log. Where it is written next is the same for all who have it from this process."""
    os.ftruncate(log.fileno(), 0)
    os.lseek(log.fileno(), 0, os.SEEK_SET)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])
