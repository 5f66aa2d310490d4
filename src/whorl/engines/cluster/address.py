"""Addresses of clusters, as `--cluster` says them: which one, and what a worker takes of it."""

import socket
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import parse_qsl

from whorl.errors import UserError

_PATIENCE = 5.0  # seconds for an address to answer


@dataclass(frozen=True, slots=True)
class Address:
    """A Ray cluster, and the workers that a run has on it.

    place: `auto`, the cluster that this machine belongs to; HOST:PORT of its head; or `local:N`, N
        workers on this machine alone.
    workers: at most; 0: as many as there is room for.
    cpus, gpus: that a worker takes. Its engines should not need more.
    tries: workers that may die over a search before it is set aside. From one to the next it has
        less company, the last time none.
    """

    place: str
    workers: int = 0
    cpus: float = 1.0
    gpus: float = 0.0
    tries: int = 3

    @classmethod
    def read(cls, text: str) -> "Address":
        """Read `PLACE` or `PLACE?workers=8&cpus=2`. Raises `UserError` that says what is wrong."""
        place, _, query = text.partition("?")
        said: dict[str, Any] = {}
        kinds = {field.name: field.type for field in fields(cls) if field.name != "place"}
        for name, value in parse_qsl(query, keep_blank_values=True):
            if name not in kinds:
                raise UserError(f"a cluster has no setting {name!r}; it has {', '.join(kinds)}")
            try:
                number = (int if kinds[name] is int else float)(value)
            except ValueError as error:
                raise UserError(f"{name} of a cluster should be a number, not {value!r}") from error
            said[name] = number
        address = cls(place, **said)
        if min(address.workers, address.gpus) < 0 or address.cpus <= 0 or address.tries < 1:
            raise UserError(f"{text!r}: cpus and tries should be above 0, the others not below it")
        address._check_place()
        return address

    def _check_place(self) -> None:
        if self.place == "auto" or self.here:
            return
        host, colon, port = self.place.rpartition(":")
        if "://" in self.place or not (host and colon and port.isdecimal()) or host == "local":
            raise UserError(
                f"a cluster is auto, HOST:PORT or local:N, not {self.place!r}; the command is "
                "to be given on a machine of the cluster"
            )

    @property
    def here(self) -> int:
        """How many workers a cluster of this machine alone has; 0 if it is another one."""
        scheme, _, count = self.place.partition(":")
        return int(count) if scheme == "local" and count.isdecimal() else 0

    def check(self) -> None:
        """Raises `UserError` if nobody listens there: Ray itself would try for minutes."""
        if self.here or self.place == "auto":
            return
        host, _, port = self.place.rpartition(":")
        try:
            socket.create_connection((host, int(port)), _PATIENCE).close()
        except (OSError, OverflowError) as error:
            raise UserError(
                f"there is no cluster at {self.place} ({error}); `ray start --head` starts one"
            ) from error
