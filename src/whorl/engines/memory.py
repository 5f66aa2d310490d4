"""How much memory a model of this machine takes, said and compared with what is free before it is
loaded."""

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from whorl.engines.weights import tied_count, weight_count
from whorl.errors import UserError

LOG = logging.getLogger("whorl.engines")
T = TypeVar("T")

_LOOK = 10.0  # seconds between two looks at what is free
_GB = 1e9
_PROCESS = 0.5e9  # Python, its libraries and scores of a batch
_ROWS = 128 * 512  # tokens whose keys and values the embedded engine and generate() hold, about
_PREFIXES = 512 << 20  # what the embedded engine keeps of prompts
_FEW = 10_000_000  # numbers that are not worth a look at who holds them twice
_GROUP = Path("/sys/fs/cgroup")
_TOKENS = 64 * 672  # whose keys and values OpenVINO holds of a model with rounded weights

BYTES: Mapping[str, float] = {
    "float32": 4.0,
    "bfloat16": 2.0,
    "f16": 4.2,
    "int8": 1.3,
    "int4": 0.9,
}
"""Bytes that a weight takes, by how matrices are kept: in the embedded engine once, as it computes,
but twice where the embeddings are the output matrix too, as products want it laid out anew; in
OpenVINO as its products want it. The file it is mapped from is not counted: the system can drop
that."""


class ShortError(UserError):
    """A model that takes more memory than is free now."""


def when_free(opened: Callable[[], T], patience: float) -> T:
    """What `opened` opens. Where memory is short it tries again, for so many seconds of
    `patience`: others may give back what they have. Raises `ShortError` after that."""
    end, told = time.monotonic() + patience, False
    while True:
        try:
            return opened()
        except ShortError as error:
            if time.monotonic() + _LOOK > end:
                raise
            if not told:
                LOG.warning("%s. Waiting for memory, for %.0f minutes", error, patience / 60)
            told = True
            time.sleep(_LOOK)


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes that a process takes which runs a model: at once, and in time for keys and values."""

    least: float
    cache: float

    @property
    def most(self) -> float:
        return self.least + self.cache


def need(folder: Path, kind: str, cache_bytes: float | None = None) -> Need:
    """What the model of a folder takes. kind: of `BYTES`. cache_bytes: for keys and values; None is
    what the embedded engine takes."""
    if cache_bytes is None:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        cache_bytes = _ROWS * _numbers(config) * BYTES[kind] + _PREFIXES
    twice = _laid_out_anew(folder) if kind in ("float32", "bfloat16") else 0
    return Need(_PROCESS + BYTES[kind] * (weight_count(folder) + twice), cache_bytes)


def _laid_out_anew(folder: Path) -> int:
    """Numbers of embeddings that the embedded engine lays out anew as the output matrix; 0 of a
    model that `generate()` answers, and where they are few."""
    count = tied_count(folder)
    if count < _FEW:
        return 0
    from whorl.engines.local.llama import unsupported  # takes seconds

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return 0 if unsupported(config) else count


def need_openvino(folder: Path, kind: str, cache_gb: float) -> Need:
    """As `need`, in OpenVINO. cache_gb: GiB for keys and values; 0 is what is usual."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return need(folder, kind, (cache_gb or usual_cache(config, kind)) * (1 << 30))


def usual_cache(config: Mapping[str, Any], kind: str) -> float:
    """GiB for keys and values in OpenVINO if nothing is said: 1, or less where rounded weights show
    that memory is dear and fewer are enough."""
    enough = _TOKENS * token_bytes(config, kind) / (1 << 30)
    return 1.0 if kind == "f16" else min(1.0, enough)


def token_bytes(config: Mapping[str, Any], kind: str) -> int:
    """What keys and values of one token take in OpenVINO: in float16 beside rounded weights, else
    in float32. config: of the model."""
    return _numbers(config) * (4 if kind == "f16" else 2)


def _numbers(config: Mapping[str, Any]) -> int:
    """Numbers in the keys and values of one token."""
    heads = config.get("num_attention_heads", 1)
    size = config.get("head_dim") or config.get("hidden_size", 0) // heads
    layers = config.get("num_hidden_layers", 0)
    return int(2 * layers * size * (config.get("num_key_value_heads") or heads))


def check_fit(name: str, wanted: Need, processes: int, others: Mapping[str, Need]) -> None:
    """Say what a model takes, and look whether that is free.

    wanted: for each of `processes`. others: what other ways to open it take, by what is to be
    written. Raises `ShortError` if what is taken at once does not fit, and `UserError` if it never
    will on this machine; where only keys and values may not, in time, there is a warning.
    """
    free = free_memory()
    each = f" in each of {processes} processes" if processes > 1 else ""
    said = f"{name} takes about {wanted.most / _GB:.1f} GB of memory{each}"
    if free is None or wanted.most * processes <= free:
        if wanted.least > _GB:
            LOG.info("%s", said)
        return
    short = f"{said}, and {free / _GB:.1f} GB are free"
    if wanted.least * processes <= free:
        LOG.warning("%s: it begins, and may run out of it", short)
        return
    fits = [
        f"{way} ({each.most / _GB:.1f} GB)" for way, each in others.items() if each.most <= free
    ]
    if processes > 1 and wanted.most <= free:
        fewer = max(1, int(free // wanted.most))
        fits.insert(0, f"--processes {fewer}")
    advice = f"; what would fit: {', '.join(fits)}" if fits else "; take a smaller model"
    whole = whole_memory()
    ever = whole is None or wanted.least * processes <= whole
    raise (ShortError if ever else UserError)(short + advice)


def free_memory() -> float | None:
    """Bytes that can be taken without swapping, within what a container may have; None where the
    system does not say."""
    free, most = _said("MemAvailable"), _allowed()
    if free is None or most is None:
        return free
    try:
        used = int((_GROUP / "memory.current").read_text(encoding="utf-8"))
        kept = (_GROUP / "memory.stat").read_text(encoding="utf-8").splitlines()
        used -= next((int(line.split()[1]) for line in kept if "inactive_file" in line), 0)
    except (OSError, ValueError):
        return free
    return min(free, max(0, most - used))


def whole_memory() -> float | None:
    """Bytes that the machine has, or that a container may have; None where the system does not
    say."""
    whole, most = _said("MemTotal"), _allowed()
    return whole if whole is None or most is None else min(whole, most)


def _allowed() -> int | None:
    """Bytes that a container may have; None where there is none, or none with a limit."""
    try:
        return int((_GROUP / "memory.max").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _said(name: str) -> float | None:
    """Bytes in one line of what Linux says of its memory."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((float(line.split()[1]) * 1024 for line in lines if name in line), None)
