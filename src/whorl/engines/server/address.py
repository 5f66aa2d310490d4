"""Where servers are and how they are spoken to: `server:URL[,URL...][?name=value&...]`."""

import os
import re
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, TypeAdapter, ValidationError

from whorl.engines.spec import Spec
from whorl.errors import UserError

KEY = "OPENAI_API_KEY"
"""Environment variable that a key is read from if no other is named."""


@dataclass(frozen=True, slots=True)
class Address:
    """One model, at one endpoint or at several.

    urls: with the version's path, as http://localhost:8000/v1.
    model: its name there; may be left out where a server has one model only.
    tokenizer: folder or hub name of its tokenizer and chat template; may be left out where the
        model's name is either.
    key: environment variable with the key.
    in_flight: requests that one endpoint is given at once, at most.
    timeout: seconds for one request.
    patience: seconds that all endpoints may be out of reach, or one request be put off, before
        we give up.
    """

    urls: tuple[str, ...]
    model: str = ""
    tokenizer: str = ""
    key: str = KEY
    in_flight: Annotated[int, Field(ge=1)] = 1024
    timeout: Annotated[float, Field(gt=0)] = 600.0
    patience: Annotated[float, Field(ge=0)] = 300.0

    def secret(self) -> str:
        """The key, empty if there is none. Raises `UserError` if a variable was named in vain or
        holds what no header can."""
        secret = os.environ.get(self.key, "").strip()  # a file's last line break is none of it
        if not secret and self.key != KEY:
            raise UserError(f"the environment variable {self.key} with the server's key is not set")
        if not (secret.isascii() and secret.isprintable()):
            raise UserError(f"the environment variable {self.key} holds what no key can: see to it")
        return secret


def read_address(named: Spec) -> Address:
    """Read an engine's name. Raises `UserError` that says how it is written; a key that was put
    into it is not repeated."""
    scheme, values = named.scheme, named.settings
    known = {field.name: field for field in fields(Address) if field.name != "urls"}
    for name in values:
        if name not in known:
            near = get_close_matches(name, known, 1, 0.5)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise UserError(f"{scheme}: has no setting {name!r}; {hint}")
    if not re.fullmatch(r"[A-Z_][A-Z0-9_]*", values.get("key", KEY)):
        raise UserError(
            f"{scheme}: key= takes the name of the environment variable with the key, in capitals, "
            f"such as key={KEY}; never the key itself"
        )
    urls = tuple(_url(place.strip(), scheme) for place in named.place.split(","))
    try:
        return TypeAdapter(Address).validate_python({"urls": urls, **values})
    except ValidationError as error:
        fault = error.errors()[0]
        raise UserError(f"{scheme}: {fault['loc'][0]}: {fault['msg']}") from error


def shown(named: Spec) -> str:
    """An address without its scheme's name, as it may be repeated: what may be a key is left out,
    which is whatever stands before an @ and behind a question mark."""
    rest = "?..." if named.query else ""
    host = named.place.lstrip("/").rpartition("@")[2].partition("#")[0]
    # an @ behind a question mark may be of a key that has one
    return f"{named.scheme}://{'...' if '@' in named.query else host}{rest}"


def _url(place: str, scheme: str) -> str:
    try:
        parts = urlsplit(place)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        shown = place.rpartition("@")[2]
        raise UserError(f"{shown!r} is no address of a server; write {scheme}:http://HOST:PORT/v1")
    if parts.username or parts.password or parts.fragment:
        raise UserError(
            f"put the key of {parts.hostname} into an environment variable and name that: key=NAME"
        )
    return place.rstrip("/") if parts.path.strip("/") else f"{place.rstrip('/')}/v1"
