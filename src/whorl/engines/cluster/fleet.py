"""Servers that Ray starts for a run: `replicas:MODEL?count=4&tensor_parallel_size=2`."""

import logging
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from whorl.engines.cluster.replica import NAME, Replica, Standing
from whorl.engines.model import SERVERS, find_model, refuse_code
from whorl.engines.spec import Spec
from whorl.errors import UserError

PROGRAM = ("vllm", "serve")
"""What serves a folder: takes it, `--port`, `--served-model-name` and the settings of the name."""

LOOK = 5.0  # seconds between looks at whether a server came up elsewhere
ROOM = 600.0  # seconds that a cluster has for making room

_OURS = ("host", "port", "served_model_name", "api_key")  # what workers have to know
_PARALLEL = ("tensor", "pipeline", "data")
_TELL = 60.0  # seconds between words of servers that have not answered yet
_CLOSING = 40.0  # seconds for servers to end
_LITTLE = 1 << 20  # bytes

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Service:
    """Servers of one model. model: as engines are named. count: how many. gpus: of each.
    arguments: settings of `vllm serve`, as it takes them."""

    model: str
    count: int
    gpus: int
    arguments: tuple[str, ...]

    @classmethod
    def read(cls, name: str) -> "Service":
        """Read an engine's name: `count` and `gpus` are ours, the chat template's settings are the
        model's, all others are arguments of `vllm serve`. Raises `UserError` if one cannot be."""
        named = Spec.read(name)
        settings = find_model(name).settings
        refuse_code([key for key in settings if key.replace("-", "_") == "trust_remote_code"])
        if taken := [key for key in settings if key.replace("-", "_") in _OURS]:
            raise UserError(f"replicas: leave out {taken[0]}, which whorl says itself")
        said = {key.replace("-", "_"): text for key, text in settings.items()}
        parallel = prod(_number(said, f"{kind}_parallel_size", 1, 1) for kind in _PARALLEL)
        about = [_argument(key, text) for key, text in settings.items() if key not in SERVERS]
        template = {key: text for key, text in named.settings.items() if key not in settings}
        return cls(
            str(replace(named, query=urlencode(template))),
            _number(settings, "count", 1, 1),
            _number(settings, "gpus", parallel, 0),
            (f"--served-model-name={NAME}", *about),
        )


def _argument(name: str, text: str) -> str:
    """A setting as `vllm serve` takes it: a switch is turned off by another name."""
    name = name.replace("_", "-")
    switch = {"true": f"--{name}", "false": f"--no-{name}"}
    return switch.get(text, f"--{name}={text}")


def _number(settings: Mapping[str, str], name: str, usual: int, least: int) -> int:
    text = settings.get(name, str(usual))
    if not text.isdecimal() or int(text) < least:
        raise UserError(f"replicas: {name} should be a whole number from {least} on, not {text!r}")
    return int(text)


@dataclass(slots=True)
class _Servers:
    """The servers of one model. asked: what each will say of itself. said: what it said last."""

    group: Any
    actors: dict[int, Any]
    asked: dict[Any, int] = field(default_factory=dict)
    said: dict[int, Standing] = field(default_factory=dict)


class Fleet:
    """The servers that a run has started on its cluster, by the engine that names them.

    Each has a bundle of a placement group, so all of a model get room or none. Ray starts one whose
    machine is lost on another; one whose process ends is started again where it is.
    """

    def __init__(self) -> None:
        self._servers: dict[str, _Servers] = {}
        self._looked = 0.0

    def serve(self, wanted: Collection[str], named: Collection[str]) -> None:
        """See that servers answer for the engines that are `wanted`; those of engines that are not
        `named` any more are ended first. Raises `UserError` if one cannot be started."""
        for name in self._servers.keys() - set(named):
            self._end(name)
        new = [name for name in wanted if name not in self._servers]
        services = [Service.read(name) for name in new]
        for name, service in zip(new, services, strict=True):
            self._servers[name] = _begin(service)
        for name in new:
            _await(name, self._servers[name])
            _LOG.info("%s: %s", name, ", ".join(self.urls()[name]))

    def urls(self) -> dict[str, tuple[str, ...]]:
        """Where the servers of each engine are."""
        return {
            name: tuple(servers.said[number].url for number in sorted(servers.said))
            for name, servers in self._servers.items()
        }

    def moved(self) -> bool:
        """Whether a server has come up elsewhere, or was given up, since this was last asked.
        Raises `UserError` if the last one of a model was."""
        if time.monotonic() - self._looked < LOOK:
            return False
        self._looked = time.monotonic()
        before = self.urls()
        for name, servers in self._servers.items():
            for number in servers.actors.keys() - set(servers.asked.values()):
                servers.asked[servers.actors[number].ready.remote()] = number
            try:
                _hear(servers, 0.0)
            except UserError as error:
                if not servers.said:
                    raise
                _LOG.warning("a server of %s is left out: %s", name, error)
        return self.urls() != before

    def close(self) -> None:
        """End all servers."""
        for name in list(self._servers):
            self._end(name)

    def _end(self, name: str) -> None:
        import ray

        servers = self._servers.pop(name)
        with suppress(Exception):
            closing = [actor.close.remote() for actor in servers.actors.values()]
            ray.wait(closing, num_returns=len(closing), timeout=_CLOSING)
        for actor in servers.actors.values():
            with suppress(Exception):
                ray.kill(actor)
        with suppress(Exception):
            ray.util.remove_placement_group(servers.group)


def _begin(service: Service) -> _Servers:
    """Find room for servers and let them start."""
    import ray
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    # no processor, as workers count those; a bundle has to ask for something
    takes = {"GPU": service.gpus} if service.gpus else {"memory": _LITTLE}
    group = ray.util.placement_group([takes] * service.count, strategy="SPREAD")
    what = f"{service.count} server{'s' if service.count > 1 else ''} of {service.model}"
    what += f" with {service.gpus} GPUs each" if service.gpus else ""
    if not group.wait(1.0):
        _LOG.info("waiting for room for %s", what)
        if not group.wait(ROOM):
            ray.util.remove_placement_group(group)
            raise UserError(f"the cluster has no room for {what}")
    actors: dict[int, Any] = {}
    for number in range(service.count):
        kind = ray.remote(
            num_cpus=0,
            num_gpus=service.gpus,
            memory=takes.get("memory", 0),
            max_concurrency=4,
            max_restarts=-1,
            max_task_retries=-1,
            scheduling_strategy=PlacementGroupSchedulingStrategy(
                group, placement_group_bundle_index=number
            ),
        )(Replica)
        actors[number] = kind.remote(PROGRAM, service.model, service.arguments, str(Path.cwd()))
    _LOG.info("starting %s", what)
    asked = {actor.ready.remote(): number for number, actor in actors.items()}
    return _Servers(group, actors, asked)


def _await(name: str, servers: _Servers) -> None:
    """Wait until all have answered. Raises `UserError` if one cannot be started."""
    import ray

    told = time.monotonic()
    while servers.asked:
        _hear(servers, LOOK)
        if servers.asked and time.monotonic() - told > _TELL:
            told = time.monotonic()
            words, one = "", servers.actors[min(servers.asked.values())]
            with suppress(ray.exceptions.RayError):
                words = ray.get(one.words.remote(), timeout=LOOK)
            _LOG.info("waiting for %d of %s: %s", len(servers.asked), name, words)


def _hear(servers: _Servers, timeout: float) -> None:
    """Take what servers say of themselves. Raises `UserError` if one is given up."""
    import ray

    refs = [*servers.asked]
    there, _ = ray.wait(refs, num_returns=len(refs), timeout=timeout) if refs else ([], [])
    for ref in there:
        number = servers.asked.pop(ref)
        before = servers.said.pop(number, None)
        try:
            said = servers.said[number] = ray.get(ref)
        except ray.exceptions.RayError as error:
            ray.kill(servers.actors.pop(number))
            cause = getattr(error, "cause", None) or error
            raise UserError(" ".join(str(cause).split())) from error
        if said.ended > (before.ended if before and before.url == said.url else 0):
            _LOG.warning("%s ended and is started again; it said: %s", said.url, said.said)
