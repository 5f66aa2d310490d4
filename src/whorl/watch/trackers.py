"""Trackers that a command reports to while it grows or measures: figures of its events."""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from whorl.errors import UserError, reason

FIGURES = ("done", "failed", "tokens", "rate", "in_flight", "cached", "money", "loss", "step")
"""Numbers of an event that are reported, each under the title of its stage."""


class Trackers:
    """Trackers by the names that training knows them by, such as `tensorboard`, `wandb`, `trackio`
    and `mlflow`, through accelerate.

    Steps are whole seconds since the start. A tracker that fails on the way is said to have failed
    and is left alone from then on: a figure that is lost ends no run. All of them live in a thread
    of their own: mlflow takes figures that another thread logs for those of another run.
    """

    def __init__(self, names: Sequence[str], folder: Path, about: Mapping[str, str]) -> None:
        """Open the trackers `names`. folder: of those that keep files. about: what is told of the
        run at its start. Raises `UserError` if one is unknown or not installed."""
        self.failed: list[str] = []
        self._start = time.monotonic()
        self._open: dict[str, Any] = {}
        self._thread = ThreadPoolExecutor(1, "trackers")
        try:
            for name in names:
                self._open[name] = self._thread.submit(_opened, name, folder).result()
                self._tell(name, "store_init_configuration", dict(about))
        except UserError:
            self.close()
            raise

    def hear(self, event: Mapping[str, Any]) -> None:
        """Report the figures of an event; nothing if it has none."""
        kind = event.get("event")
        if kind not in ("progress", "staged", "training"):
            return
        title = event.get("title", "train")
        known = {name: event[name] for name in FIGURES if event.get(name) is not None}
        values = {f"{title}/{name}": float(value) for name, value in known.items()}
        if values:
            seconds = round(time.monotonic() - self._start)
            for name in list(self._open):
                self._tell(name, "log", values, step=seconds)

    def close(self) -> None:
        for name in list(self._open):
            self._tell(name, "finish")
        self._open.clear()
        self._thread.shutdown()

    def _tell(self, name: str, what: str, *values: object, **more: object) -> None:
        self._thread.submit(self._try, name, what, *values, **more).result()

    def _try(self, name: str, what: str, *values: object, **more: object) -> None:
        if name not in self._open:  # it failed a moment ago
            return
        try:
            getattr(self._open[name], what)(*values, **more)
        except Exception as error:  # whatever a service or its client may raise
            del self._open[name]
            self.failed.append(f"{name} is not reported to any more: {reason(error)}")


def check(names: Sequence[str]) -> None:
    """Raises `UserError` if a tracker is unknown or not installed. To be called before models are
    opened, which takes longer."""
    for name in names:
        _kind(name)


def _kind(name: str) -> Any:
    """accelerate's class of a tracker."""
    try:
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers
    except ImportError as error:
        raise UserError("report_to needs accelerate: pip install 'whorl[train]'") from error
    kind = LOGGER_TYPE_TO_CLASS.get(name)
    if kind is None:
        raise UserError(f"report_to = {name}: there are {', '.join(LOGGER_TYPE_TO_CLASS)}")
    if name not in {getattr(one, "value", one) for one in get_available_trackers()}:
        raise UserError(f"report_to = {name} is not installed: pip install {name}")
    return kind


def _opened(name: str, folder: Path) -> Any:
    kind = _kind(name)
    from accelerate import PartialState

    PartialState()  # without which its trackers cannot so much as log
    place = [str(folder)] if kind.requires_logging_directory else []
    try:
        tracker = kind("whorl", *place)
        tracker.start()
    except Exception as error:
        raise UserError(f"report_to = {name}: {reason(error)}") from error
    return tracker
