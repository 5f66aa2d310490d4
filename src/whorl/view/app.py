"""The viewer's pages by address."""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from whorl.view import templates
from whorl.view.address import Served, quoted
from whorl.view.attempts import KINDS, SHOWN, Evaluations, record_of, usual_against
from whorl.view.fork import example_at
from whorl.view.index import Index
from whorl.view.listing import MARKS, OUTCOMES, SORTS, Query, listing, neighbours
from whorl.view.overview import differing_settings, overview
from whorl.view.shelf import Shown
from whorl.view.status import live_part, status_of
from whorl.view.treepage import grown_at, opened
from whorl.watch.status import Reader, Status

TO = Served()
HOSTS = ("localhost", "127.0.0.1", "[::1]")
PATIENCE = 1.0  # seconds that a page waits for an index that is being made
LOOK = 0.5  # seconds between looks at files that may grow

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """Guard that every request and every answer passes: the host has to be this machine by one of
    its names, so that no other page reaches the viewer under its own, and reading is all."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message["headers"], *own]
            await send(message)

        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or _without_port(hosts[0]) not in HOSTS:
            refused = Response("this viewer answers to localhost only\n", 421)
            return await refused(scope, receive, guarded)
        if scope["method"] not in ("GET", "HEAD"):
            return await Response("reading only\n", 405)(scope, receive, guarded)
        await self._app(scope, receive, guarded)


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host


class Viewer:
    """The pages of what is on the shelf."""

    def __init__(self, shelf: Sequence[Shown]) -> None:
        self.shelf = {shown.name: shown for shown in shelf}
        self._evaluations = Evaluations()
        self._ended = threading.Event()

    def app(self) -> Starlette:
        """The application; while it runs a thread keeps the indices up to date."""

        def got(path: str, page: Callable[[Request], str]) -> Route:
            return Route(path, lambda request: HTMLResponse(page(request)), methods=["GET"])

        routes = [
            Route("/", self._home),
            Route("/static/{name}", self._static),
            got("/compare", self._compare),
            got("/r/{run}/", self._run),
            Route("/r/{run}/live", self._live),
            got("/r/{run}/trees/{forest}/", self._trees),
            got("/r/{run}/trees/{forest}/t/{key:path}", self._tree),
            got("/r/{run}/trees/{forest}/example/{start:int}", self._example),
            got("/r/{run}/attempts/{name}/", self._attempts),
            got("/r/{run}/attempts/{name}/p/{id:path}", self._attempt),
        ]
        return Starlette(
            routes=routes,
            middleware=[Middleware(Guard)],
            exception_handlers={404: _missing, 500: _broken},
            lifespan=self._lifespan,
        )

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        thread = threading.Thread(target=self._keep, name="index", daemon=True)
        thread.start()
        yield
        self._ended.set()

    def _keep(self) -> None:
        """Keep the indices up to date."""
        while not self._ended.is_set():
            for shown in self.shelf.values():
                for index in shown.forests.values():
                    with contextlib.suppress(Exception):  # a page says what is missing
                        index.refresh()
            self._ended.wait(LOOK)

    def _shown(self, request: Request) -> Shown:
        try:
            return self.shelf[request.path_params["run"]]
        except KeyError:
            raise HTTPException(404, "no such run") from None

    def _index(self, request: Request) -> tuple[Shown, str, Index]:
        shown, name = self._shown(request), request.path_params["forest"]
        index = shown.forests.get(name)
        if index is None:
            raise HTTPException(404, "no such trees")
        return shown, name, index

    async def _home(self, request: Request) -> Response:
        if len(self.shelf) == 1:
            (shown,) = self.shelf.values()
            return RedirectResponse(f"/r/{quoted(shown.name)}/", 302)
        now = time.time()
        lines = [(shown, status_of(shown), shown.forests) for shown in self.shelf.values()]
        return HTMLResponse(self._page("home.html", lines=lines, now=now, shown=None))

    def _page(self, name: str, **content: object) -> str:
        return templates.page(name, to=TO, shelf=self.shelf, **content)

    async def _static(self, request: Request) -> Response:
        kinds = {"view.css": "text/css", "view.js": "text/javascript"}
        name = request.path_params["name"]
        if name not in kinds:
            raise HTTPException(404, "no such file")
        return Response(templates.read(name), media_type=kinds[name])

    def _run(self, request: Request) -> str:
        shown = self._shown(request)
        return self._page(
            "run.html",
            shown=shown,
            told=overview(shown),
            live=live_part(shown, status_of(shown), time.time()),
        )

    async def _live(self, request: Request) -> Response:
        return StreamingResponse(
            _events(self._shown(request), request.is_disconnected), media_type="text/event-stream"
        )

    def _trees(self, request: Request) -> str:
        shown, name, index = self._index(request)
        index.ready(PATIENCE)
        found = listing(index, Query.read(request.query_params))
        return self._page(
            "trees.html",
            shown=shown,
            forest=name,
            listing=found,
            complete=index.ready(),
            outcomes=OUTCOMES,
            marks=MARKS,
            sorts=SORTS,
            pages=lambda page: found.query.address(page=page),
            live=live_part(shown, status_of(shown), time.time()),
        )

    def _tree(self, request: Request) -> str:
        shown, name, index = self._index(request)
        problem, _, arm = request.path_params["key"].rpartition("#")
        index.ready(PATIENCE)
        rows = index.read("SELECT * FROM trees WHERE problem=? AND arm=?", problem, arm)
        if not rows:
            raise HTTPException(404, "no such tree; it may not be in the index yet")
        page = opened(grown_at(index, rows[0]), TO, _number(request, "node", 0))
        if request.query_params.get("part") == "fork":
            return templates.page("fork.html", page=page)
        return self._page(
            "tree.html",
            shown=shown,
            forest=name,
            page=page,
            neighbours=neighbours(index, rows[0]["number"]),
            examples=(),
        )

    def _example(self, request: Request) -> str:
        shown, name, index = self._index(request)
        row = example_at(index.trees.with_name("examples.jsonl"), request.path_params["start"])
        if row is None:
            raise HTTPException(404, "no such example")
        return self._page("example.html", shown=shown, forest=name, row=row)

    def _attempts(self, request: Request) -> str:
        shown, name = self._shown(request), request.path_params["name"]
        places = shown.evaluations
        if name not in places:
            raise HTTPException(404, "no such evaluation")
        kind = request.query_params.get("kind", "")
        kind = kind if kind in KINDS else ""
        others = {
            f"{other.name}/{key}": place
            for other in self.shelf.values()
            for key, place in other.evaluations.items()
            if (other, key) != (shown, name)
        }
        against = request.query_params.get("against", usual_against(shown, name))
        lines = self._evaluations.lines(places[name], others.get(against))
        fitting = [line for line in lines if line.fits(kind)]
        page = max(1, _number(request, "page", 1))
        return self._page(
            "attempts.html",
            shown=shown,
            evaluation=name,
            against=against if against in others else "",
            others=list(others),
            kind=kind,
            kinds={k: (label, sum(line.fits(k) for line in lines)) for k, label in KINDS.items()},
            lines=fitting[(page - 1) * SHOWN : page * SHOWN],
            page=page,
            pages=max(1, -(-len(fitting) // SHOWN)),
        )

    def _attempt(self, request: Request) -> str:
        shown, name = self._shown(request), request.path_params["name"]
        id = request.path_params["id"]
        if name not in shown.evaluations:
            raise HTTPException(404, "no such evaluation")
        record = record_of(shown.evaluations[name], id)
        if record is None:
            raise HTTPException(404, "no such problem")
        run, _, key = request.query_params.get("against", "").rpartition("/")
        place = self.shelf[run].evaluations.get(key) if run in self.shelf else None
        before = record_of(place, id) if place else None
        if before and before.problem.question != record.problem.question:
            before = None  # another problem of the same id
        sides = [(f"{run}/{key}", before)] if before else []
        return self._page(
            "attempt.html",
            shown=shown,
            evaluation=name,
            record=record,
            sides=[*sides, (f"{shown.name}/{name}", record)],
        )

    def _compare(self, request: Request) -> str:
        names = [request.query_params.get(key, "") for key in ("a", "b")]
        if any(name not in self.shelf for name in names):
            raise HTTPException(404, "no such run")
        sides = [(self.shelf[name], overview(self.shelf[name])) for name in names]
        differing = differing_settings(sides[0][1], sides[1][1])
        return self._page("compare.html", shown=None, sides=sides, differing=differing)


def _number(request: Request, name: str, usual: int) -> int:
    """A number of an address; the usual one if it is none."""
    said = request.query_params.get(name, "")
    return int(said) if said.isdecimal() and len(said) < 9 else usual


async def _events(shown: Shown, gone: Callable[[], Awaitable[bool]]) -> AsyncIterator[str]:
    """Server-sent events: the status whenever it is another one, and how many trees are listed."""
    reader, status, told = Reader(shown.events), Status(), ""
    while not await gone():
        for event in await asyncio.to_thread(lambda: list(reader.read())):
            status.hear(event)
        counts = {name: _trees(index) for name, index in shown.forests.items()}
        said = json.dumps({"html": live_part(shown, status, time.time()), "trees": counts})
        if said != told:
            told = said
            yield f"data: {said}\n\n"
        await asyncio.sleep(LOOK)


def _trees(index: Index) -> int:
    rows = index.read("SELECT count(*) FROM trees")
    return int(rows[0][0]) if rows else 0


async def _missing(request: Request, error: Exception) -> Response:
    why = getattr(error, "detail", "")
    return HTMLResponse(templates.page("missing.html", why=why, to=TO, shown=None, shelf={}), 404)


async def _broken(request: Request, error: Exception) -> Response:
    why = " ".join(f"{type(error).__name__}: {error}".split())
    return HTMLResponse(templates.page("missing.html", why=why, to=TO, shown=None, shelf={}), 500)
