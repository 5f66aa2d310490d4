"""Addresses of pages: of those that a viewer serves, and of files that stand for them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote


def quoted(value: object) -> str:
    """A name as a part of an address."""
    return quote(str(value), safe="")


class Addresses(Protocol):
    """Addresses of pages, from one of them.

    whole: a page holds all that it may show, and there is nobody to ask for more.
    """

    @property
    def whole(self) -> bool: ...

    def file(self, name: str) -> str:
        """A file that pages use."""

    def run(self, run: str) -> str:
        """The page of a run."""

    def trees(self, run: str, forest: str) -> str:
        """The list of the trees of a file."""

    def tree(self, run: str, forest: str, row: Mapping[str, Any]) -> str:
        """The page of a tree, by its row in the index."""

    def node(self, index: int) -> str:
        """A node of the tree of this page."""

    def example(self, start: int) -> str:
        """A training example that came of the tree of this page; empty where none is shown."""

    def attempts(self, run: str, name: str) -> str:
        """The list of the problems of an evaluation."""

    def attempt(self, run: str, name: str, id: str, number: int, against: str) -> str:
        """The attempts at a problem, the so many-th of its evaluation, beside those `against`."""


@dataclass(frozen=True, slots=True)
class Served:
    """Addresses in a viewer that runs."""

    whole = False

    def file(self, name: str) -> str:
        return f"/static/{name}"

    def run(self, run: str) -> str:
        return f"/r/{quoted(run)}/"

    def trees(self, run: str, forest: str) -> str:
        return f"/r/{quoted(run)}/trees/{quoted(forest)}/"

    def tree(self, run: str, forest: str, row: Mapping[str, Any]) -> str:
        return f"{self.trees(run, forest)}t/{quoted('#'.join((row['problem'], row['arm'])))}"

    def node(self, index: int) -> str:
        return f"?node={index}#fork"

    def example(self, start: int) -> str:
        return f"../example/{start}"

    def attempts(self, run: str, name: str) -> str:
        return f"/r/{quoted(run)}/attempts/{quoted(name)}/"

    def attempt(self, run: str, name: str, id: str, number: int, against: str) -> str:
        beside = f"?against={quoted(against)}" if against else ""
        return f"{self.attempts(run, name)}p/{quoted(id)}{beside}"


@dataclass(frozen=True, slots=True)
class Files:
    """Addresses of files of one run, from a page so many folders deep.

    prefix: of the names of places on the page, where it holds more than one tree.
    examples: whether pages of trees hold what was learned from them.
    """

    deep: int = 0
    prefix: str = ""
    examples: bool = True

    whole = True

    def file(self, name: str) -> str:
        return f"{'../' * self.deep}{name}"

    def run(self, run: str) -> str:
        return self.file("index.html")

    def trees(self, run: str, forest: str) -> str:
        return self.file(f"trees/{quoted(forest)}/index.html")

    def tree(self, run: str, forest: str, row: Mapping[str, Any]) -> str:
        return self.file(f"trees/{quoted(forest)}/{row['number']}.html")

    def node(self, index: int) -> str:
        return f"#{self.prefix}n{index}"

    def example(self, start: int) -> str:
        return f"#{self.prefix}e{start}" if self.examples else ""

    def attempts(self, run: str, name: str) -> str:
        return self.file(f"attempts/{quoted(name)}/index.html")

    def attempt(self, run: str, name: str, id: str, number: int, against: str) -> str:
        return self.file(f"attempts/{quoted(name)}/{number}.html")
