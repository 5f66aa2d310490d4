"""How an engine is named: `SCHEME:PLACE`, or `SCHEME:PLACE?NAME=VALUE&...` with settings."""

from dataclasses import dataclass
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
        return dict(parse_qsl(self.query, keep_blank_values=True))

    def __str__(self) -> str:
        return f"{self.scheme}:{self.place}" + (f"?{self.query}" if self.query else "")
