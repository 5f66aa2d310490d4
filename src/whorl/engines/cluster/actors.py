"""Workers as actors of Ray, and how a run joins its cluster."""

import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from whorl.engines.cluster.address import Address
from whorl.engines.cluster.sources import sources
from whorl.engines.cluster.worker import Batch, Setup, Worker
from whorl.errors import UserError, need

STORE = 100 << 20
"""Bytes of the object store of a cluster of this machine alone: a batch is small, and gone when it
is written."""
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": "^",
}
"""Read as Ray is imported. The last one: a thread of the driver prints what goes wrong anywhere on
the cluster ("A worker died ...") to stdout, whatever `log_to_driver` says, and asks only this; `^`
is every line. Why a worker died is told by the crew."""
_STARTS = 3
"""Times that a cluster of this machine is started: a part of Ray that is 15 s late, as on a busy
machine, ends all of it."""
_CLOSING = 10.0  # seconds for workers to close their engines


@contextmanager
def connected(address: Address) -> Iterator[None]:
    """Be the driver of a cluster. Raises `UserError` if there is none at the address, or it is of
    another Ray or Python."""
    need("ray", "cluster")
    address.check()
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    import ray

    said: dict[str, Any] = {"address": address.place}
    if address.here:
        cpus = max(1, round(address.here * address.cpus))
        said = {"num_cpus": cpus, "include_dashboard": False, "object_store_memory": STORE}
        said["address"] = "local"  # or Ray would join another cluster of this machine
    already = ray.is_initialized()
    for left in range(_STARTS, 0, -1):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ray.init(
                    **said,
                    ignore_reinit_error=True,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                )
            break
        except Exception as error:  # Ray says most of what goes wrong with a bare one
            what = " ".join(str(error).split()) or type(error).__name__
            if not (address.here and left > 1 and "timed out during startup" in what):
                raise UserError(f"no cluster can be used at {address.place}: {what}") from error
            ray.shutdown()
    try:
        yield
    finally:
        if not already:
            ray.shutdown()


def room_for(address: Address) -> int:
    """How many workers a run should have: as many as the address says, so that a cluster that can
    grow does, or as the machines that are there can hold; what others use is not looked at."""
    import ray

    room = 0
    for node in ray.nodes():
        has = node["Resources"] if node["Alive"] else {}
        fits = has.get("CPU", 0) // address.cpus
        if address.gpus:
            fits = min(fits, has.get("GPU", 0) // address.gpus)
        room += int(fits)
    return address.workers or room


@dataclass(eq=False, slots=True)
class Hand:
    """A worker of the cluster, seen from the driver.

    said: what it says of itself, once it is ready. stream: what it sends home, while it works.
    """

    actor: Any
    opening: Any = None
    said: Mapping[str, str] | None = None
    stream: Any = None

    @property
    def name(self) -> str:
        """Its machine and process."""
        said = self.said or {}
        return f"{said.get('node', 'a machine')} (process {said.get('pid', '?')})"

    @property
    def fault(self) -> str:
        """Why it cannot work, in words; empty if it can."""
        if self.said is None:
            return ""
        for what, mine in sources().items():
            if (other := self.said[what]) != mine:
                return f"{self.name} has {what} {other}, and this machine has {mine}"
        return f"{self.name}: {self.said['error']}" if self.said["error"] else ""

    @property
    def fit(self) -> bool:
        """Whether it is ready and can work."""
        return self.said is not None and not self.fault

    def open(self, setup: Setup) -> None:
        """Let it open engines."""
        self.said, self.stream = None, None
        self.opening = self.actor.ready.remote(setup)

    def begin(self, stage: int, seed: int, width: int) -> None:
        """Begin a stage."""
        self.stream = self.actor.work.remote(stage, seed, width)


def hired(setup: Setup, address: Address) -> Hand:
    """A new worker, as soon as the cluster has room for it."""
    import ray

    kind = ray.remote(
        num_cpus=address.cpus, num_gpus=address.gpus, max_concurrency=4, max_restarts=0
    )(Worker)
    hand = Hand(kind.remote())
    hand.open(setup)
    return hand


def dismiss(hands: Sequence[Hand]) -> None:
    """End workers; those that live close their engines first."""
    import ray

    closing = [hand.actor.close.remote() for hand in hands if hand.said is not None]
    if closing:
        with suppress(Exception):
            ray.wait(closing, num_returns=len(closing), timeout=_CLOSING)
    for hand in hands:
        with suppress(Exception):
            ray.kill(hand.actor)


def bury(hand: Hand) -> None:
    """See that a worker that gave no more sign of life is dead, and takes no room."""
    import ray

    with suppress(Exception):
        ray.kill(hand.actor)


def opened(hands: Sequence[Hand], timeout: float) -> tuple[list[Hand], list[Hand]]:
    """Those of `hands` that are ready, and those that died, of which none had said anything. Waits
    for one at least, if there are any."""
    import ray

    by_ref = {hand.opening: hand for hand in hands}
    there, _ = ray.wait([*by_ref], timeout=timeout) if by_ref else ([], [])
    ready, dead = [], []
    for ref in there:
        hand = by_ref[ref]
        try:
            hand.said = ray.get(ref)
            ready.append(hand)
        except ray.exceptions.RayError:
            dead.append(hand)
    return ready, dead


def arrived(hands: Sequence[Hand], timeout: float) -> Iterator[tuple[Hand, Batch | str | None]]:
    """What workers sent home: each that did, with a batch; None if it has ended its stage; or why
    it died."""
    import ray

    streams = {hand.stream: hand for hand in hands}
    there, _ = ray.wait([*streams], num_returns=len(streams), timeout=0) if streams else ([], [])
    if not there and streams:
        there, _ = ray.wait([*streams], timeout=timeout)
    for stream in there:
        hand = streams[stream]
        try:
            yield hand, ray.get(next(stream))
        except StopIteration:
            yield hand, None
        except ray.exceptions.RayActorError as error:
            yield hand, " ".join(str(error).split())[:300] or "it died"
        except ray.exceptions.RayTaskError as error:
            yield hand, " ".join(str(error.cause or error).split())[:300]
        except ray.exceptions.RayError as error:
            yield hand, " ".join(f"{type(error).__name__}: {error}".split())[:300]
