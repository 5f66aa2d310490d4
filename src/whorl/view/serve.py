"""Serving the viewer's pages to this machine, until Ctrl-C."""

import getpass
import os
import socket
from collections.abc import Callable, Sequence

import uvicorn

from whorl.errors import UserError
from whorl.view.app import Viewer
from whorl.view.shelf import Shown

HOST = "127.0.0.1"


def serve(shown: Sequence[Shown], port: int, say: Callable[[str], None]) -> None:
    """Serve the pages of what is `shown`. port: 0 takes one that is free.

    Raises `UserError` if the port is taken.
    """
    with _listening(port) as own:
        taken = own.getsockname()[1]
        say(f"http://localhost:{taken}/")
        if os.environ.get("SSH_CONNECTION"):
            where = f"{getpass.getuser()}@{socket.gethostname()}"
            say(f"on your machine: ssh -N -L {taken}:localhost:{taken} {where}")
        say("Ctrl-C ends it")
        config = uvicorn.Config(
            Viewer(shown).app(),
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        uvicorn.Server(config).run(sockets=[own])


def _listening(port: int) -> socket.socket:
    own = socket.socket(socket.AF_INET)
    own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        own.bind((HOST, port))
        own.listen()
    except OSError as error:
        own.close()
        raise UserError(f"port {port}: {error.strerror}; choose another --port") from error
    return own
