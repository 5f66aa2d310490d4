"""How an engine is named: `SCHEME:PLACE`, or `SCHEME:PLACE?NAME=VALUE&...` with settings."""

from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qsl

from whorl.data.content import content


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


def model_content(spec: str) -> str:
    """What replies depend on: a model of this machine by its content, which training may have
    changed in its place, one behind a server by its name if that is given, wherever it is."""
    named = Spec.read(spec)
    if folder := model_folder(spec):
        return str(replace(named, place=content(folder)))
    model = named.settings.get("model")
    return f"{named.scheme}:{model}" if model else spec


def model_folder(spec: str) -> Path | None:
    """The folder of a model of this machine: what its name has before the arguments; None for
    a model elsewhere."""
    place = Spec.read(spec).place
    return Path(place) if place and Path(place).is_dir() else None
