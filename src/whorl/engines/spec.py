"""How an engine is named: `SCHEME:PLACE`, or `SCHEME:PLACE?NAME=VALUE&...` with settings."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qsl

HERE = ("local", "openvino", "vllm", "replicas", "prm")
"""Engines for a model that is had here, as a folder or by its name; a name without a scheme is the
first one's."""


@dataclass(frozen=True, slots=True)
class Spec:
    """An engine's name in its parts. place: a model or addresses. query: settings as written."""

    scheme: str
    place: str
    query: str = ""

    @classmethod
    def read(cls, text: str) -> "Spec":
        whole, _, query = text.partition("?")
        scheme, colon, place = whole.partition(":")
        return cls(scheme, place, query) if colon else cls(HERE[0], whole, query)

    @property
    def settings(self) -> dict[str, str]:
        return dict(self._pairs())

    @property
    def said_twice(self) -> list[str]:
        """Settings that are given more than once, sorted."""
        names = Counter(name for name, _ in self._pairs())
        return sorted(name for name, times in names.items() if times > 1)

    def _pairs(self) -> list[tuple[str, str]]:
        return parse_qsl(self.query, keep_blank_values=True)

    def seen_from(self, folder: Path) -> "Spec":
        """The engine by its place in `folder`, if that lies there: a name that stays true when the
        folder is moved, and whichever way it is named."""
        place = Path(self.place)
        inside = place.is_relative_to(folder)
        return replace(self, place=str(place.relative_to(folder))) if inside else self

    def __str__(self) -> str:
        return f"{self.scheme}:{self.place}" + (f"?{self.query}" if self.query else "")
