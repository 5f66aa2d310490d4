"""Lists of trees: searched, filtered, sorted and cut into pages by the index."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from sqlite3 import Row
from urllib.parse import urlencode

from whorl.view.index import Index

PAGE = 50  # trees on a page

SORTS = {
    "": ("as in the file", "number"),
    "tokens": ("most tokens", "tokens DESC, number"),
    "nodes": ("most nodes", "nodes DESC, number"),
    "depth": ("deepest", "depth DESC, number"),
    "longest": ("longest step", "longest DESC, number"),
    "hardest": ("fewest right", "1.0 * right / max(1, solutions), number"),
    "value": ("highest value", "value IS NULL, value DESC, number"),
    "problem": ("by problem", "problem, arm"),
}

OUTCOMES = {
    "": ("before → after", "1"),
    "wrong-right": ("wrong → right", "before='wrong' AND after='right'"),
    "right-wrong": ("right → wrong", "before='right' AND after='wrong'"),
    "right-right": ("right → right", "before='right' AND after='right'"),
    "wrong-wrong": ("wrong → wrong", "before='wrong' AND after='wrong'"),
    "before-right": ("best path right", "before='right'"),
    "before-wrong": ("best path wrong", "before='wrong'"),
    "none": ("no solution chosen", "after=''"),
    "never": ("never right", "right=0"),
    "always": ("always right", "right=solutions AND solutions>0"),
}

_TAUGHT = "EXISTS(SELECT 1 FROM examples e WHERE e.problem=trees.problem AND e.arm=trees.arm)"
MARKS = {
    "": ("all trees", "1"),
    "taught": ("taught something", _TAUGHT),
    "nothing": ("taught nothing", f"NOT {_TAUGHT}"),
    "refined": ("revised", "refined=1"),
    "undecided": ("undecided answers", "undecided>0"),
    "disagree": ("verifiers disagree", "disagree>0"),
    "cut": ("cut short", "cut_short<>''"),
}


@dataclass(frozen=True, slots=True)
class Query:
    """Query of a list: words, an outcome, a mark, a reason why something was left out, an arm, the
    least depth, an order, and a page."""

    words: str = ""
    outcome: str = ""
    mark: str = ""
    dropped: str = ""
    arm: str = ""
    deep: int = 0
    sort: str = ""
    page: int = 1

    @classmethod
    def read(cls, said: Mapping[str, str]) -> "Query":
        """The query of an address; what is not known is as if it were not said."""

        def one(name: str, known: Mapping[str, object]) -> str:
            return said.get(name, "") if said.get(name) in known else ""

        def count(name: str, least: int) -> int:
            text = said.get(name, "")
            return max(least, int(text)) if text.isdecimal() and len(text) < 9 else least

        return cls(
            said.get("words", "")[:200],
            one("outcome", OUTCOMES),
            one("mark", MARKS),
            said.get("dropped", "")[:200],
            said.get("arm", "")[:200],
            count("deep", 0),
            one("sort", SORTS),
            count("page", 1),
        )

    def address(self, **changes: object) -> str:
        """The query as the end of an address, with changes."""
        said = {name: getattr(self, name) for name in self.__slots__} | changes
        return "?" + urlencode({name: value for name, value in said.items() if value})

    @property
    def where(self) -> tuple[str, list[object]]:
        """The condition in SQL, and its values."""
        parts, values = [OUTCOMES[self.outcome][1], MARKS[self.mark][1]], list[object]()
        for word in self.words.split():
            parts.append("(problem||' '||question||' '||answer) LIKE ? ESCAPE '\\'")
            literal = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
            values.append(f"%{literal}%")
        if self.dropped:
            parts.append(
                "EXISTS(SELECT 1 FROM dropped d WHERE d.problem=trees.problem AND "
                "d.arm=trees.arm AND d.reason=?)"
            )
            values.append(self.dropped)
        if self.arm:
            parts.append("arm=?")
            values.append(self.arm)
        if self.deep:
            parts.append("depth>=?")
            values.append(self.deep)
        return " AND ".join(parts), values


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of a list. found: trees that fit; all: trees there are; size: those of a page."""

    query: Query
    rows: list[Row]
    found: int
    all: int
    size: int
    arms: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    @property
    def pages(self) -> int:
        return max(1, -(-self.found // self.size))


def listing(index: Index, query: Query, size: int = PAGE) -> Listing:
    """The page, of so many trees of `index` as `size` says, that a query asks for."""
    where, values = query.where
    taught = "(SELECT count(*) FROM examples e WHERE e.problem=trees.problem AND e.arm=trees.arm)"
    rows = index.read(
        f"SELECT *, {taught} AS taught FROM trees WHERE {where} "
        f"ORDER BY {SORTS[query.sort][1]} LIMIT ? OFFSET ?",
        *(*values, size, (query.page - 1) * size),
    )
    return Listing(
        query,
        rows,
        _count(index, f"SELECT count(*) FROM trees WHERE {where}", *values),
        _count(index, "SELECT count(*) FROM trees"),
        size,
        [row[0] for row in index.read("SELECT DISTINCT arm FROM trees ORDER BY 1 LIMIT 50")],
        [row[0] for row in index.read("SELECT DISTINCT reason FROM dropped ORDER BY 1 LIMIT 50")],
    )


def neighbours(index: Index, number: int) -> tuple[Row | None, Row | None]:
    """The trees before and after a tree of a file."""
    before = index.read("SELECT * FROM trees WHERE number<? ORDER BY number DESC LIMIT 1", number)
    after = index.read("SELECT * FROM trees WHERE number>? ORDER BY number LIMIT 1", number)
    return (before[0] if before else None), (after[0] if after else None)


def _count(index: Index, query: str, *values: object) -> int:
    rows = index.read(query, *values)
    return int(rows[0][0]) if rows else 0
