"""A server of a model on some machine of a cluster, kept alive there."""

import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from whorl.engines.model import find_model
from whorl.errors import UserError

NAME = "whorl"
"""What its model is called at a server, whatever folder its weights come from."""

_STILLBORN = 3  # times that a server may end before it has answered, one after the other
_PAUSE = 0.3  # seconds before it is started again, and between looks at it
_LOOK = 10.0  # seconds between questions whether it lives
_SILENT = 180.0  # seconds without an answer after which one that had answered is killed
_SHOWN = 3  # lines of what a server said last


class Replica:
    """A server as an actor of Ray: a process beside it, which ends with it and is started again, at
    the same port, when it ends by itself or says nothing for long."""

    def __init__(self, program: Sequence[str], model: str, arguments: Sequence[str]) -> None:
        """program: what serves, before the folder of the model. model: as engines are named."""
        import ray

        self._host = ray.util.get_node_ip_address()
        self._program, self._model, self._arguments = program, model, arguments
        self._url = ""
        self._fault = ""
        threading.Thread(target=self._keep, daemon=True).start()

    def ready(self) -> str:
        """The URL of the server, up to /v1, as soon as it answers. Raises `UserError` if it cannot
        be started."""
        while not (self._url or self._fault):
            time.sleep(0.1)
        if self._fault:
            raise UserError(f"{platform.node()}: {self._fault}")
        return self._url

    def _keep(self) -> None:
        """Start the server, again and again."""
        try:
            folder = find_model(self._model).folder
            program = _found(self._program[0])
        except UserError as error:
            self._fault = str(error)
            return
        port = _free_port()
        url = f"http://{self._host}:{port}/v1"
        command = [program, *self._program[1:], str(folder), *self._arguments, f"--port={port}"]
        with tempfile.TemporaryDirectory() as place:
            log = Path(place) / "log"
            stillborn = 0
            while stillborn < _STILLBORN:
                stillborn = 0 if self._lived(command, url, log) else stillborn + 1
                time.sleep(_PAUSE)
            said = " / ".join(log.read_text(errors="replace").strip().splitlines()[-_SHOWN:])
            self._fault = f"{' '.join(command)} ended {stillborn} times before it answered: {said}"

    def _lived(self, command: Sequence[str], url: str, log: Path) -> bool:
        """Start the server and wait for its end; returns whether it ever answered."""
        heard = 0.0
        ward = [sys.executable, "-m", "whorl.engines.cluster.ward", *command]
        with (
            log.open("wb") as out,
            subprocess.Popen(ward, stdin=subprocess.PIPE, stdout=out, stderr=out) as process,
        ):
            asked = 0.0
            while process.poll() is None:
                now = time.monotonic()
                if not heard or now - asked > _LOOK:
                    asked = now
                    if _answers(url):
                        heard, self._url = time.monotonic(), url
                if heard and now - heard > _SILENT:
                    assert process.stdin is not None
                    process.stdin.close()
                    process.wait()
                time.sleep(_PAUSE)
        return heard > 0


def _found(program: str) -> str:
    """A program of this Python's environment, or else of the PATH."""
    found = shutil.which(program, path=Path(sys.executable).parent) or shutil.which(program)
    if not found:
        raise UserError(f"there is no program {program} on this machine: pip install {program}")
    return found


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/models", timeout=_LOOK) as response:
            return bool(response.status == 200)
    except (OSError, ValueError):
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])
