"""A run as a static site: the viewer's pages as files, for any web server or for a folder."""

import time
from collections.abc import Iterator
from pathlib import Path

from whorl.data.atomic import filling
from whorl.view import templates
from whorl.view.address import Files
from whorl.view.attempts import Evaluations, records_of, usual_against
from whorl.view.fork import example_at
from whorl.view.index import Index
from whorl.view.listing import Query, listing, neighbours
from whorl.view.overview import overview
from whorl.view.shelf import Shown
from whorl.view.status import live_part, status_of
from whorl.view.treepage import grown_at, whole

ROWS = 500  # of a list on a page
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; base-uri 'none'; form-action 'none'"
)


def bundle(shown: Shown, out: Path) -> int:
    """Write the pages of a run into the folder `out`; returns how many there are.

    Raises `UserError` if the folder is not empty, or cannot be written to.
    """
    count = 0
    with filling(out, "the pages") as folder:
        for name in ("view.css", "view.js"):
            (folder / name).write_text(templates.read(name), encoding="utf-8")
        for name, page in _pages(shown):
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(page, encoding="utf-8")
            count += 1
    return count


def _pages(shown: Shown) -> Iterator[tuple[str, str]]:
    """The pages, each with its name as a file."""
    for index in shown.forests.values():
        index.refresh()
    live = live_part(shown, status_of(shown), time.time())
    yield "index.html", _page("run.html", shown, 0, told=overview(shown), live=live)
    for name, index in shown.forests.items():
        yield from _lists(shown, name, index)
        for row in index.read("SELECT * FROM trees ORDER BY number"):
            grown = grown_at(index, row)
            starts = dict.fromkeys(one.start for one in grown.taught)
            file = index.trees.with_name("examples.jsonl")
            found = [(start, example_at(file, start)) for start in starts]
            yield (
                f"trees/{name}/{row['number']}.html",
                _page(
                    "tree.html",
                    shown,
                    2,
                    forest=name,
                    page=whole(grown, Files(2)),
                    neighbours=neighbours(index, row["number"]),
                    examples=[(start, example) for start, example in found if example],
                ),
            )
    for name in shown.evaluations:
        yield from _evaluation(shown, name)


def _lists(shown: Shown, name: str, index: Index) -> Iterator[tuple[str, str]]:
    def file(page: int) -> str:
        return "index.html" if page == 1 else f"index-{page}.html"

    number, last = 1, 1
    while number <= last:
        found = listing(index, Query(page=number), ROWS)
        page = _page("trees.html", shown, 2, forest=name, listing=found, complete=True, pages=file)
        yield f"trees/{name}/{file(number)}", page
        number, last = number + 1, found.pages


def _evaluation(shown: Shown, name: str) -> Iterator[tuple[str, str]]:
    place, against = shown.evaluations[name], usual_against(shown, name)
    before = shown.evaluations.get(against.rpartition("/")[2])
    lines = Evaluations().lines(place, before)
    told = {"evaluation": name, "against": against, "lines": lines, "page": 1, "pages": 1}
    yield f"attempts/{name}/index.html", _page("attempts.html", shown, 2, **told)
    ids = {line.score.id for line in lines}
    after, then = records_of(place, ids), records_of(before, ids) if before else {}
    for line in lines:
        id = line.score.id
        if id in after:
            own = (f"{shown.name}/{name}", after[id])
            sides = [(against, then[id]), own] if id in then else [own]
            page = _page("attempt.html", shown, 2, evaluation=name, record=own[1], sides=sides)
            yield f"attempts/{name}/{line.number}.html", page


def _page(name: str, shown: Shown, deep: int, **content: object) -> str:
    told = {"shelf": {shown.name: shown}, "to": Files(deep), "policy": POLICY}
    return templates.page(name, shown=shown, **told, **content)
