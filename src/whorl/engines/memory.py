"""How much memory a model of this machine takes, said and compared with what is free before it is
loaded."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path

from whorl.engines.weights import weight_count
from whorl.errors import UserError

LOG = logging.getLogger("whorl.engines")

_GB = 1e9
_PROCESS = 0.7e9  # Python, its libraries and scores of a batch
_ROWS = 128 * 512  # tokens whose keys and values the embedded engine and generate() hold, about
_PREFIXES = 512 << 20  # what the embedded engine keeps of prompts

BYTES: Mapping[str, float] = {
    "float32": 4.0,
    "bfloat16": 2.0,
    "f16": 6.0,
    "int8": 2.0,
    "int4": 1.3,
}
"""Bytes that a weight takes, by how matrices are kept: in the embedded engine once, as it computes;
in OpenVINO as its file holds it, and as its products want it."""


def need(folder: Path, kind: str, cache_bytes: float | None = None) -> float:
    """Bytes that a process takes which runs the model. kind: of `BYTES`. cache_bytes: for keys and
    values; None is what the embedded engine takes."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if cache_bytes is None:
        heads = config.get("num_attention_heads", 1)
        size = config.get("head_dim") or config.get("hidden_size", 0) // heads
        layers = config.get("num_hidden_layers", 0)
        width = 2 * layers * size * (config.get("num_key_value_heads") or heads)
        token = width * BYTES[kind]
        cache_bytes = _ROWS * token + _PREFIXES
    return _PROCESS + cache_bytes + BYTES[kind] * weight_count(folder)


def check_fit(name: str, wanted: float, processes: int, others: Mapping[str, float]) -> None:
    """Say what a model takes, and look whether that is free.

    wanted: bytes for each of `processes`. others: what each of other ways to open it takes, by
    what is to be written. Raises `UserError` if it does not fit.
    """
    free = free_memory()
    each = f" in each of {processes} processes" if processes > 1 else ""
    said = f"{name} takes about {wanted / _GB:.1f} GB of memory{each}"
    if free is None or wanted * processes <= free:
        if wanted > _GB:
            LOG.info("%s", said)
        return
    fits = [f"{way} ({bytes_ / _GB:.1f} GB)" for way, bytes_ in others.items() if bytes_ <= free]
    if processes > 1 and wanted <= free:
        fits.insert(0, f"--processes {max(1, int(free // wanted))}")
    advice = f"; what would fit: {', '.join(fits)}" if fits else "; take a smaller model"
    raise UserError(f"{said}, and {free / _GB:.1f} GB are free{advice}")


def free_memory() -> float | None:
    """Bytes that can be taken without swapping, within what a container may have; None where the
    system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    free = next((float(line.split()[1]) * 1024 for line in lines if "MemAvailable" in line), None)
    group = Path("/sys/fs/cgroup")
    try:
        most = int((group / "memory.max").read_text(encoding="utf-8"))
        used = int((group / "memory.current").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # no such group, or one without a limit
        return free
    return min(free, max(0, most - used)) if free is not None else None
