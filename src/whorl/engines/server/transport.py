"""Requests to the endpoints of an address: spread, limited, and repeated where that may help."""

import asyncio
import json
import logging
import random
import resource
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeAlias, TypeVar

from whorl.ask import Replies
from whorl.engines import affinity
from whorl.engines.fast_json import dumps, loads
from whorl.engines.server.address import Address
from whorl.engines.server.http import BrokenError, Client, Enough, Response, UnreachableError
from whorl.engines.server.secret import line, redacted
from whorl.engines.server.window import Window
from whorl.errors import UserError

T = TypeVar("T")
_LOG = logging.getLogger("whorl.engines")

Read: TypeAlias = Callable[[Response], T]
"""Makes something of a response. Raises ValueError if it cannot; the request is repeated."""

_TRIES = 6  # of a request whose answer is broken
_PASSED_OVER = 30  # times that a busy server may refuse one and answer others: it never takes it
_PROBES = 3  # of one that finds out what a server can do
_PAUSE = 0.5  # seconds before the first repetition; doubled each time, and drawn by lot below that
_LONGEST = 30.0
_UNSAID = 1.0  # seconds that a busy server is left alone if it does not say how long
_OUT = 5.0  # seconds that an endpoint out of reach is left alone, at most
_SHOWN = 200  # characters of a server's own words
_READ = 4096  # bytes of them
_PROBED = 8 << 20  # bytes of a response that finds out what a server can do, at most
_FILES = 128  # that are open besides
_BUSY = {408, 429, 503}
_PASSING = _BUSY | {502, 504, 529}
"""What says nothing of the request: besides, what gateways say of the server behind them, and that
it is overloaded. 500 is not here: some servers say it of a field that they do not know."""


class RefusedError(Exception):
    """The server will not answer this request, in one line. made, withheld: samples that it gave
    of it, and that it made and keeps, see `Failure`."""

    def __init__(self, said: str, made: Replies = (), withheld: Replies = ()) -> None:
        super().__init__(said)
        self.made = made
        self.withheld = withheld


class OutOfReachError(UserError):
    """An endpoint cannot be reached, or is too busy, as its server is found out about."""


class LostError(UserError):
    """No endpoint has been in reach for longer than the address's patience.

    made: samples of an ask that came before that.
    """

    made: Replies = ()


def read_json(response: Response) -> Any:
    """The body as JSON; ValueError if it is none."""
    return loads(response.body)


@dataclass(slots=True, eq=False)
class _Endpoint:
    url: str
    window: Window
    down_since: float | None = None
    back_at: float = 0.0


@dataclass(slots=True)
class _Refusals:
    """Refusals of one request by busy endpoints.

    last: who refused it last. seconds: for how long it has been refused, and nothing been answered:
        while others are, it waits for its turn among our own. passed_over: how often it was refused
        again after others were answered.
    """

    last: _Endpoint | None = None
    seconds: float = 0.0
    passed_over: int = 0
    _first: float = 0.0
    _latest: float = 0.0

    def add(self, endpoint: _Endpoint, pause: float, answered: float) -> None:
        """Count one, after which the endpoint is left alone for `pause` seconds. answered: when a
        request was answered last."""
        now = asyncio.get_running_loop().time()
        if self.last is None:
            self._first = now
        elif answered > self._latest:
            self.passed_over += 1
        self.last, self._latest = endpoint, now
        self.seconds = now + pause - max(self._first, answered)


@dataclass(slots=True)
class Transport:
    """The connection to one address. Lives in one event loop."""

    address: Address
    secret: str
    _endpoints: list[_Endpoint] = field(init=False)
    _client: Client = field(init=False)
    _answered: float = field(default=0.0, init=False)  # when an answer came last

    def __post_init__(self) -> None:
        urls = self.address.urls
        most = _open_files(self.address.in_flight * len(urls)) // len(urls)
        self._endpoints = [_Endpoint(url, Window(most)) for url in urls]
        headers = {"Content-Type": "application/json"}
        if self.secret:
            headers["Authorization"] = f"Bearer {self.secret}"
        connections = most * len(urls)
        self._client = Client(headers, connections=connections)

    async def close(self) -> None:
        await self._client.close()

    async def each(self, find: Callable[[str], Awaitable[T]]) -> dict[str, T]:
        """What `find` finds out about every endpoint, by its URL. One that is out of reach is left
        out for as long as this lives, and that is logged, unless all are: then raises
        `OutOfReachError`."""

        async def found(url: str) -> T | OutOfReachError:
            try:
                return await find(url)
            except OutOfReachError as error:
                return error

        urls = [endpoint.url for endpoint in self._endpoints]
        said = dict(zip(urls, await asyncio.gather(*map(found, urls)), strict=True))
        there = {url: it for url, it in said.items() if not isinstance(it, OutOfReachError)}
        lost = [it for it in said.values() if isinstance(it, OutOfReachError)]
        if not there:
            raise lost[0]
        for error in lost:
            _LOG.warning("%s It is left out.", error)
        self._endpoints = [one for one in self._endpoints if one.url in there]
        return there

    async def once(
        self,
        url: str,
        path: str,
        body: Mapping[str, object] | None,
        read: Read[Any] = read_json,
    ) -> Any:
        """What `read` makes of one endpoint's response, a GET if there is no body: for finding out
        what it can do. Raises `RefusedError` if there is none after some tries, which have the
        address's time-out together, and `UserError` if the endpoint does not take the key,
        cannot be reached or is busy for longer than the address's patience: neither says anything
        of what it can do."""
        data, trouble = None if body is None else dumps(body), ""
        loop = asyncio.get_running_loop()
        tried, left, busy_since = 0, self.address.timeout, 0.0
        while tried < _PROBES and left > 0:
            begun = loop.time()
            try:
                response = await self._client.send(url + path, data, timeout=left, most=_PROBED)
                if response.status == 200:
                    return read(response)
                trouble = self._complaint(url, response)
                if response.status in (401, 403):
                    raise UserError(f"{trouble}; the key is read from {self.address.key}")
                if response.status in _PASSING:
                    if not busy_since:
                        busy_since = begun
                        _LOG.info("%s; waiting up to %g s", trouble, self.address.patience)
                    await self._wait_out(busy_since, trouble, _pause(response))
                    continue
                if response.status < 500:
                    break
            except UnreachableError as error:
                raise OutOfReachError(
                    f"no answer from {url}: {self.shown(error)}; is the server running, and is "
                    "this its address?"
                ) from error
            except (BrokenError, ValueError) as error:
                trouble = f"{url}{path} gave no JSON: {self.shown(error)}"
            tried += 1
            left -= loop.time() - begun
            await asyncio.sleep(_backoff(tried))
        raise RefusedError(trouble)

    async def _wait_out(self, since: float, trouble: str, pause: float) -> None:
        """Wait until a busy endpoint may be asked again. Raises `OutOfReachError` if that is later
        than patience allows."""
        patience = self.address.patience
        if asyncio.get_running_loop().time() + pause - since > patience:
            raise OutOfReachError(
                f"{trouble} (for {patience:.0f} s); what it can do cannot be found out while it is "
                "busy: try again later, or wait longer with patience=SECONDS."
            )
        await asyncio.sleep(pause + _backoff(1))

    async def post(
        self,
        path: str,
        body: Mapping[str, object],
        read: Read[T],
        home: str,
        *,
        most: Callable[[int], int],
        watch: Callable[[], Enough] | None = None,
    ) -> T:
        """What `read` makes of the answer to a request, from whichever endpoint has room.

        Requests with the same `home` go to the same endpoint, whose cache knows their prefix,
        unless that one is busy or has far more to do than another. What may pass is tried again:
        broken answers some times, a busy server until patience ends, another endpoint if one is
        down or busy. How long a request waits for its turn here is nothing that it is refused.
        All tries that break off have the address's time-out and patience together. `most` says how
        many bytes a response to so many may have, `watch` makes what decides of each try when
        enough has come. Raises `RefusedError` if this request has no answer, `LostError` if no
        endpoint is in reach.
        """
        data, timeout = dumps(body), self.address.timeout
        loop = asyncio.get_running_loop()
        broken, left, refusals = 0, timeout + self.address.patience, _Refusals()
        while True:
            endpoint, since = await self._place(home, refusals)
            try:
                enough = watch() if watch is not None else None
                response = await self._client.send(
                    endpoint.url + path,
                    data,
                    timeout=min(timeout, left),
                    most=most(len(data)),
                    enough=enough,
                )
                endpoint.down_since = None
                if response.status == 200:
                    answer = read(response)
                    endpoint.window.answered()
                    self._answered = loop.time()
                    return answer
                trouble = self._complaint(endpoint.url, response)
                if response.status in _BUSY:
                    pause = _pause(response)
                    endpoint.window.refused(since, pause)
                    refusals.add(endpoint, pause, self._answered)
                    if refusals.seconds > self.address.patience:
                        raise RefusedError(f"{trouble} (for {self.address.patience:.0f} s)")
                    if refusals.passed_over > _PASSED_OVER:
                        raise RefusedError(f"{trouble} (others are answered)")
                    if self._choose(home, refusals) is not endpoint:
                        endpoint.window.send_away()
                elif response.status < 500:
                    raise RefusedError(trouble)
                else:
                    broken += 1
            except UnreachableError as error:
                trouble = f"no answer from {endpoint.url}: {self.shown(error)}"
                self._mark_down(endpoint, trouble)
            except (BrokenError, ValueError) as error:
                trouble = f"broken answer from {endpoint.url}: {self.shown(error)}"
                broken += 1
                left -= loop.time() - since
            finally:
                endpoint.window.leave()
            if broken >= _TRIES or left <= 0:
                raise RefusedError(f"{trouble} ({broken} times)")
            await asyncio.sleep(_backoff(broken))

    async def _place(self, home: str, refusals: _Refusals) -> tuple[_Endpoint, float]:
        """An endpoint at which a request has a place, and when that was given."""
        while True:
            endpoint = self._choose(home, refusals)
            if (pause := endpoint.back_at - asyncio.get_running_loop().time()) > 0:  # none is up
                await asyncio.sleep(pause)
            if (since := await endpoint.window.enter()) is not None:
                return endpoint, since

    def _choose(self, home: str, refusals: _Refusals) -> _Endpoint:
        now = asyncio.get_running_loop().time()
        up = [endpoint for endpoint in self._endpoints if endpoint.back_at <= now]
        up = up or [min(self._endpoints, key=lambda endpoint: endpoint.back_at)]
        open_ = [one for one in up if one is not refusals.last and not one.window.closed]
        return affinity.home(home, open_ or up, lambda endpoint: endpoint.window.load)

    def _mark_down(self, endpoint: _Endpoint, trouble: str) -> None:
        now = asyncio.get_running_loop().time()
        endpoint.down_since = endpoint.down_since if endpoint.down_since is not None else now
        endpoint.back_at = now + min(_OUT, max(_PAUSE, (now - endpoint.down_since) / 4))
        last = max(now if e.down_since is None else e.down_since for e in self._endpoints)
        if now - last > self.address.patience:
            raise LostError(
                f"{trouble}, for {now - last:.0f} seconds; start the server, then repeat the "
                "command: it goes on where it was"
            )

    def _complaint(self, url: str, response: Response) -> str:
        """A response that is no answer, in one line."""
        said = ""
        if response.kind != "text/html":  # a page says it at length
            said = _message(response.body[:_READ].decode("utf-8", "replace"))
        said = self.shown(said) if said else _reason(response.status)
        return f"{url} says {response.status}: {said}"

    def shown(self, said: object) -> str:
        """A server's words, or an error about them, in one line and without the key."""
        return line(redacted(str(said), self.secret), _SHOWN) or type(said).__name__


def _open_files(wanted: int) -> int:
    """Let this process have `wanted` connections open at once, or as many as the system allows;
    returns how many. The usual limit is below what one server can work on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted + _FILES:
        unlimited = hard == resource.RLIM_INFINITY
        soft = wanted + _FILES if unlimited else min(hard, wanted + _FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        return max(1, min(wanted, soft - _FILES))
    return wanted


def _message(text: str) -> str:
    """What a server says of an error, wherever its kind puts it: at whatever length."""
    try:
        said: Any = loads(text.encode())
    except ValueError:
        said = text
    for name in ("error", "detail", "message"):
        if isinstance(said, dict) and name in said:
            said = said[name]
    return (said if isinstance(said, str) else json.dumps(said)).strip()


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "nothing else"


def _pause(response: Response) -> float:
    """Seconds that a busy server is left alone."""
    return min(_LONGEST, response.retry_after or _UNSAID)


def _backoff(broken: int) -> float:
    """Seconds before a request is repeated; drawn by lot, so that not all come back at once."""
    return random.uniform(0.5, 1.0) * min(_LONGEST, _PAUSE * 2.0 ** max(0, broken - 1))
