"""An engine over simulated servers, and asks to it; small servers of the standard library."""

import itertools
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias

import pytest

from whorl.ask import Ask, Engine, Failure, Prompt, Replies
from whorl.engines import open_engine
from whorl.models import POLICY

Opened = Callable[..., Engine]
Handle: TypeAlias = Callable[[BaseHTTPRequestHandler], None]
Served: TypeAlias = Callable[..., str]
Spoken: TypeAlias = tuple[int, Any, Mapping[str, str]]
Chatting: TypeAlias = Callable[[Callable[[dict[str, Any]], Spoken]], str]
SOLVE = Prompt("", "Problem: Mia has 7 apples and buys 5 more. How many has she?")
STEP = Ask(SOLVE, n=3, stop=("\n\n",), max_tokens=64, seed=7)


def answers(
    engine: Engine, asks: Sequence[Ask], *, seconds: float = 30.0
) -> list[Replies | Failure]:
    """What the engine says to each ask."""
    for ticket, ask in enumerate(asks):
        engine.submit(ticket, ask)
    found: dict[int, Replies | Failure] = {}
    end = time.monotonic() + seconds
    while len(found) < len(asks):
        assert time.monotonic() < end, f"{len(found)} of {len(asks)} answers came"
        found.update(engine.poll(0.1))
    return [found[ticket] for ticket in range(len(asks))]


def answer(engine: Engine, ask: Ask) -> Replies:
    """The replies to one ask, which must not fail."""
    (said,) = answers(engine, [ask])
    assert not isinstance(said, Failure), said.error
    return said


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Opens an engine over the servers at `urls`, with the shipped policy's tokenizer unless
    another or none is wanted; closes it at the end."""
    with ExitStack() as stack:

        def open_(*urls: str, tokenizer: object = POLICY, **settings: object) -> Engine:
            said = {"tokenizer": tokenizer} if tokenizer else {}
            query = "&".join(f"{name}={value}" for name, value in (said | settings).items())
            engine = open_engine(f"server:{','.join(urls)}?{query}")
            stack.callback(engine.close)
            return engine

        yield open_


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64  # connections that wait to be taken


@pytest.fixture
def served() -> Iterator[Served]:
    """Starts a server that answers with `handle`; returns its URL."""
    with ExitStack() as stack:

        def start(handle: Handle, tls: ssl.SSLContext | None = None) -> str:
            class Handler(BaseHTTPRequestHandler):
                protocol_version = "HTTP/1.1"

                def do_GET(self) -> None:
                    handle(self)

                do_POST = do_GET

                def log_message(self, *_: object) -> None:
                    pass

            server = Server(("127.0.0.1", 0), Handler)
            if tls is not None:
                server.socket = tls.wrap_socket(server.socket, server_side=True)
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            return f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}"

        yield start


def says(handler: BaseHTTPRequestHandler, status: int, body: bytes = b"", **headers: str) -> None:
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


@pytest.fixture
def chatting(served: Served) -> Chatting:
    """Starts a server of conversations alone, of the model "m". What it says to a body is a status,
    JSON or bytes, and headers. Returns its URL, which ends in /v1."""

    def start(say: Callable[[dict[str, Any]], Spoken]) -> str:
        def handle(handler: BaseHTTPRequestHandler) -> None:
            status, said, headers = 404, {"error": "there is no such route"}, {}
            body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
            if handler.command == "GET":
                status, said = 200, {"data": [{"id": "m"}]}
            elif handler.path.endswith("/chat/completions"):
                status, said, headers = say(json.loads(body))
            written = said if isinstance(said, bytes) else json.dumps(said).encode()
            says(handler, status, written, **headers)

        return f"{served(handle)}/v1"

    return start


_NUMBERS = itertools.count()


def chat(body: Mapping[str, Any], finish: str = "stop") -> Spoken:
    """Samples of 10 tokens each, all different, of a prompt of 50."""
    choices = [
        {"message": {"content": f" six {next(_NUMBERS)}"}, "finish_reason": finish}
        for _ in range(body.get("n", 1))
    ]
    usage = {"prompt_tokens": 50, "completion_tokens": 10 * len(choices)}
    return 200, {"choices": choices, "usage": usage}, {}
