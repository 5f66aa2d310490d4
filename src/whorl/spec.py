"""How an engine is named: `SCHEME:PLACE`, or `SCHEME:PLACE?NAME=VALUE&...` with settings."""

from dataclasses import dataclass
from urllib.parse import parse_qsl


@dataclass(frozen=True, slots=True)
class Spec:
    """An engine's name in its parts. place: a folder, or addresses. query: settings as written."""

    scheme: str
    place: str
    query: str = ""

    @classmethod
    def read(cls, text: str) -> "Spec":
        scheme, _, rest = text.partition(":")
        place, _, query = rest.partition("?")
        return cls(scheme, place, query)

    @property
    def settings(self) -> dict[str, str]:
        return dict(parse_qsl(self.query, keep_blank_values=True))

    def __str__(self) -> str:
        return f"{self.scheme}:{self.place}" + (f"?{self.query}" if self.query else "")
