"""HTTP on an event loop by libcurl, which costs half of what a client written in Python does."""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import pycurl

Enough: TypeAlias = Callable[[bytes], bool]
"""Told each piece of a body as it comes: whether the rest need not come."""

_CONNECTING = 30.0  # seconds that an endpoint has for taking a connection, at most
_REDIRECTED = 5  # times

_UNREACHABLE = {
    pycurl.E_COULDNT_CONNECT,
    pycurl.E_COULDNT_RESOLVE_HOST,
    pycurl.E_COULDNT_RESOLVE_PROXY,
    pycurl.E_PEER_FAILED_VERIFICATION,
    pycurl.E_SSL_CACERT_BADFILE,
    pycurl.E_SSL_CONNECT_ERROR,
}


class BrokenError(Exception):
    """No whole response came."""


class UnreachableError(BrokenError):
    """No connection could be made."""


@dataclass(frozen=True, slots=True)
class Response:
    """What came. kind: the body's type, without its parameters. retry_after: seconds that the
    server asks to be left alone, 0 if it does not."""

    status: int
    kind: str
    body: bytes
    retry_after: float


class Client:
    """Keeps up to `connections` open, of the event loop that it is used in.

    headers: sent with every request.
    """

    def __init__(self, headers: Mapping[str, str], *, connections: int) -> None:
        self._headers = [f"{name}: {value}" for name, value in headers.items()]
        self._headers.append("Expect:")  # waiting for the leave to send a body costs a round trip
        self._trusted = ssl.get_default_verify_paths().cafile
        self._multi = pycurl.AsyncCurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, connections)
        self._idle: list[Any] = []

    async def close(self) -> None:
        """End all requests that are under way."""
        await self._multi.aclose()

    async def send(
        self,
        url: str,
        data: bytes | None = None,
        *,
        timeout: float,
        most: int,
        enough: Enough | None = None,
    ) -> Response:
        """The response to a POST of `data`, or to a GET if there is none.

        timeout: seconds for it, redirections included. most: bytes that its body may have.
        Once there is `enough` the connection is closed, so that the server stops working on it, and
        the body is what has come. Raises `BrokenError`.
        """
        curl = self._idle.pop() if self._idle else self._handle()
        pieces: list[bytes] = []
        left, cut = most, False

        def take(piece: bytes) -> int:
            nonlocal cut, left
            left -= len(piece)
            if left < 0:
                return -1
            pieces.append(piece)
            cut = enough is not None and enough(piece)
            return -1 if cut else len(piece)

        curl.setopt(pycurl.URL, url)
        curl.setopt(pycurl.TIMEOUT_MS, max(1, round(1000 * timeout)))
        curl.setopt(pycurl.WRITEFUNCTION, take)
        if data is None:
            curl.setopt(pycurl.HTTPGET, True)
        else:
            curl.setopt(pycurl.POSTFIELDS, data)
        try:
            await self._multi.perform(curl)
        except pycurl.error as error:
            if left < 0:
                raise BrokenError(f"its body has more than {most:,} bytes") from None
            if not cut:
                raise self._fault(curl, *error.args) from None
        response = Response(
            curl.getinfo(pycurl.RESPONSE_CODE),
            (curl.getinfo(pycurl.CONTENT_TYPE) or "").partition(";")[0].strip().lower(),
            b"".join(pieces),
            curl.getinfo(pycurl.RETRY_AFTER),
        )
        self._idle.append(curl)
        return response

    def _handle(self) -> Any:
        curl = pycurl.Curl()
        curl.setopt(pycurl.HTTPHEADER, self._headers)
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        curl.setopt(pycurl.FOLLOWLOCATION, True)  # a key is not sent on to another host
        curl.setopt(pycurl.POSTREDIR, pycurl.REDIR_POST_301 | pycurl.REDIR_POST_302)  # else a GET
        curl.setopt(pycurl.MAXREDIRS, _REDIRECTED)
        curl.setopt(pycurl.TCP_KEEPALIVE, True)
        curl.setopt(pycurl.NOSIGNAL, True)  # we are in a thread
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, round(1000 * _CONNECTING))
        if self._trusted:  # else what libcurl brings along
            curl.setopt(pycurl.CAINFO, self._trusted)
        return curl

    def _fault(self, curl: Any, code: int, said: str) -> BrokenError:
        never_sent = not curl.getinfo(pycurl.REQUEST_SIZE)
        if code in _UNREACHABLE or (code == pycurl.E_OPERATION_TIMEDOUT and never_sent):
            return UnreachableError(said)
        return BrokenError(said)
