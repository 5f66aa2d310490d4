"""Requests and what becomes of them, against small servers of the standard library."""

import asyncio
import shutil
import ssl
import subprocess
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from tests.engines.server.conftest import Handle, Served, says

from whorl.engines.server.http import BrokenError, Client, Enough, Response, UnreachableError

MOST = 1 << 23
LIMITS = {"timeout": 10.0, "most": MOST}


def sent(
    url: str, *, count: int = 1, timeout: float = 10.0, most: int = MOST, **request: object
) -> list[Response | BrokenError]:
    """What comes of so many requests at once, of a client that sends a key."""

    async def send() -> list[Response | BrokenError]:
        client = Client({"Authorization": "Bearer sesame"}, connections=4)
        try:
            requests = (
                client.send(url, timeout=timeout, most=most, **request) for _ in range(count)
            )  # type: ignore[arg-type]
            found = await asyncio.gather(*requests, return_exceptions=True)
        finally:
            await client.close()
        return [one for one in found if isinstance(one, (Response, BrokenError))]

    found = asyncio.run(send())
    assert len(found) == count
    return found


def echo(handler: BaseHTTPRequestHandler) -> None:
    length = int(handler.headers.get("Content-Length") or 0)
    said = f"{handler.command} {handler.path} {handler.headers.get('Authorization')} ".encode()
    says(handler, 200, said + handler.rfile.read(length), Content_Type="Text/Plain; charset=utf-8")


def test_requests_and_responses_are_whole(served: Served) -> None:
    url = served(echo)
    (got,) = sent(f"{url}/models")
    assert got == Response(200, "text/plain", b"GET /models Bearer sesame ", 0)
    body = bytes(range(256)) * 8192  # 2 MiB: more than one piece, and zeros in it
    for posted in sent(f"{url}/x", count=20, data=body):
        assert posted == Response(200, "text/plain", b"POST /x Bearer sesame " + body, 0)


def test_a_handle_that_posted_can_get(served: Served) -> None:
    url = served(echo)

    async def one_after_the_other() -> list[bytes]:
        client = Client({}, connections=1)
        bodies = [
            (await client.send(url, data, **LIMITS)).body for data in (b"one", None, b"two", None)
        ]
        await client.close()
        return bodies

    words = [body.split() for body in asyncio.run(one_after_the_other())]
    assert [word[0] for word in words] == [b"POST", b"GET", b"POST", b"GET"]
    assert [word[3:] for word in words] == [[b"one"], [], [b"two"], []]


def test_a_busy_server_says_how_long(served: Served) -> None:
    url = served(lambda handler: says(handler, 429, b"later", Retry_After="7"))
    assert sent(url) == [Response(429, "", b"later", 7)]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_what_is_posted_is_posted_on_and_a_key_not_to_another_host(
    status: int, served: Served
) -> None:
    there = served(echo).replace("127.0.0.1", "localhost")
    away = served(
        lambda handler: says(handler, status, Location=f"{there}/moved", Connection="close")
    )
    (response,) = sent(away, data=b"body")
    assert isinstance(response, Response)
    assert response.body == b"POST /moved None body"


def test_enough_ends_the_connection(served: Served) -> None:
    gone = threading.Event()

    def flow(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b"data\n")
                time.sleep(0.002)
        except OSError:
            gone.set()

    seen = bytearray()

    def enough(piece: bytes) -> bool:
        seen.extend(piece)
        return len(seen) >= 50

    (response,) = sent(served(flow), data=b"", enough=enough)
    assert isinstance(response, Response)
    assert response.status == 200
    assert response.body == bytes(seen)
    assert 50 <= len(seen) < 5000
    assert gone.wait(5)


def flood(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    with suppress(OSError):
        while True:
            handler.wfile.write(b"7" * 10_000)


@pytest.mark.parametrize("enough", [None, lambda piece: False])
def test_a_body_without_an_end_is_broken(served: Served, enough: Enough | None) -> None:
    url = served(flood)
    for error in sent(url, count=20, most=100_000, enough=enough):
        assert isinstance(error, BrokenError)
        assert str(error) == "its body has more than 100,000 bytes"


def test_a_body_of_just_the_limit_is_whole(served: Served) -> None:
    url = served(lambda handler: says(handler, 200, b"7" * 100_000))
    (response,) = sent(url, most=100_000)
    assert isinstance(response, Response) and len(response.body) == 100_000


def cut(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100")
    handler.end_headers()
    handler.wfile.write(b"half")
    handler.close_connection = True


def silent(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True


def rubbish(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"no HTTP at all\r\n\r\n")
    handler.close_connection = True


def endless(handler: BaseHTTPRequestHandler) -> None:
    says(handler, 302, Location="/again")
    handler.close_connection = True  # the body was not read


def late(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(2)


def dripping(handler: BaseHTTPRequestHandler) -> None:
    """A stream that says a little now and then, and comes to no end."""
    handler.send_response(200)
    handler.send_header("Content-Type", "text/event-stream")
    handler.end_headers()
    with suppress(OSError):
        for _ in range(100):
            handler.wfile.write(b"data: {}\n\n")
            time.sleep(0.05)


def test_a_stream_that_drips_has_the_time_of_one_request(served: Served) -> None:
    begun = time.monotonic()
    (error,) = sent(served(dripping), data=b"{}", timeout=0.5, enough=lambda piece: False)
    assert isinstance(error, BrokenError)
    assert time.monotonic() - begun < 3


@pytest.mark.parametrize("handle", [cut, silent, rubbish, endless, late])
def test_what_is_no_whole_response_is_broken(served: Served, handle: Handle) -> None:
    (error,) = sent(served(handle), data=b"{}", timeout=0.5)
    assert isinstance(error, BrokenError)
    assert not isinstance(error, UnreachableError)
    assert str(error)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://no-such-host.invalid"])
def test_where_nobody_listens_is_out_of_reach(url: str) -> None:
    (error,) = sent(url)
    assert isinstance(error, UnreachableError)


def test_a_cancelled_request_leaves_the_others_alone(served: Served) -> None:
    def slow_echo(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(0.3)
        echo(handler)

    url = served(slow_echo)

    async def cancel_one() -> list[bytes]:
        client = Client({}, connections=4)
        first, *others = (
            asyncio.create_task(client.send(url, b"%d" % n, **LIMITS)) for n in range(4)
        )
        await asyncio.sleep(0.1)
        first.cancel()
        bodies = [response.body for response in await asyncio.gather(*others)]
        assert first.cancelled()
        bodies.append((await client.send(url, b"after", **LIMITS)).body)
        await client.close()
        return bodies

    assert [body.split()[-1] for body in asyncio.run(cancel_one())] == [b"1", b"2", b"3", b"after"]


@pytest.mark.skipif(not shutil.which("openssl"), reason="makes a certificate with openssl")
def test_only_a_trusted_certificate_is_taken(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    make = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=x"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out"]
    subprocess.run([*make.split(), *names, str(certificate)], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    url = served(echo, context)
    (refused,) = sent(url)
    assert isinstance(refused, UnreachableError)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    (response,) = sent(url)
    assert isinstance(response, Response) and response.status == 200
