"""Summary of a run for its report: the overview, telling trees, and attempts whose verdict changed.

It takes no recipe, so trees of one that is not installed are reported too.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from sqlite3 import Row

from whorl.errors import UserError
from whorl.evaluate import Record
from whorl.report import Changed, Report
from whorl.view.attempts import Evaluations, records_of
from whorl.view.index import Index
from whorl.view.overview import overview
from whorl.view.shelf import Shown
from whorl.view.treepage import grown_at

TREES = 100  # that a page may show
ATTEMPTS = 12  # of each kind


def summary(shown: Shown) -> Report:
    """The report of a run. Raises `UserError` if it holds no trees."""
    for index in shown.forests.values():
        index.refresh()
    chosen = list(islice(_chosen(list(shown.forests.values())), TREES))
    if not chosen:
        raise UserError(f"{shown.path} holds no trees; `whorl grow` writes them")
    return replace(
        overview(shown),
        attempts=tuple(_changed(shown)),
        trees=tuple(grown_at(index, row) for index, row in chosen),
    )


def _chosen(forests: list[Index]) -> Iterator[tuple[Index, Row]]:
    """The trees that a report shows, best first: one of each outcome of a revision, then revised
    ones, then the others."""
    seen = set()
    for query in (
        "SELECT *, min(number) FROM trees WHERE refined GROUP BY before, after ORDER BY number",
        f"SELECT * FROM trees ORDER BY refined DESC, number LIMIT {TREES}",
    ):
        for index in forests:
            for row in index.read(query):
                key = index.trees, row["number"]
                if key not in seen:
                    seen.add(key)
                    yield index, row


def _changed(shown: Shown) -> Iterator[Changed]:
    """Held-out problems that the last model of a run answers otherwise than the first, those that
    were broken before those that were fixed."""
    names = [name for name in shown.evaluations if name.startswith("scores-")]
    if len(names) < 2:
        return
    places = {name: shown.evaluations[name] for name in (names[0], names[-1])}
    lines = Evaluations().lines(places[names[-1]], places[names[0]])
    found = [
        (kind, line.score.id)
        for kind in ("broken", "fixed")
        for line in islice((line for line in lines if line.change == kind), ATTEMPTS)
    ]
    ids = {id for _, id in found}
    records = {name: records_of(place, ids) for name, place in places.items()}
    for kind, id in found:
        sides = ((name, records[name][id]) for name in places if id in records[name])
        yield Changed(kind, tuple((name, _first(record)) for name, record in sides))


def _first(record: Record) -> Record:
    """A record with its first attempt alone, by which problems are fixed or broken."""
    return replace(record, attempts=record.attempts[:1])
