"""Processes as other processes see them: which one wrote a file of events, and whether it lives."""

import os
import platform
import shlex
import socket
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from whorl import __version__

PACKAGES = ("torch", "transformers", "openvino-genai", "vllm")
"""Packages whose versions replies or weights may depend on."""


def myself() -> dict[str, Any]:
    """This process, so that `lives` can tell: host, boot, id and the time at which it started."""
    return {
        "host": socket.gethostname(),
        "boot": _boot(),
        "pid": os.getpid(),
        "born": _born(os.getpid()),
    }


def lives(process: Mapping[str, Any]) -> bool | None:
    """Whether a process that `myself` described still runs; None if it ran on another machine.

    Ids are given again, so the time of its start has to agree where the system tells it.
    """
    if process.get("host") != socket.gethostname():
        return None
    if process.get("boot") != _boot():
        return False
    try:
        os.kill(int(process["pid"]), 0)
    except PermissionError:
        pass
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return False
    return bool(_born(process["pid"]) == process.get("born"))


def command() -> str:
    """The command line of this process, as it might be typed."""
    name = Path(sys.argv[0]).name
    return shlex.join(["whorl" if name == "__main__.py" else name, *sys.argv[1:]])


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results may depend on, read without importing
    them."""
    found = {"whorl": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _boot() -> str:
    """Name of the time since this machine started; empty where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _born(pid: int) -> str:
    """When a process started, in the system's ticks; empty where that cannot be known, "gone" for a
    process that is no more or waits to be buried."""
    try:
        said = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return "gone" if Path("/proc/self/stat").exists() else ""
    fields = said.rpartition(")")[2].split()
    return "gone" if fields[0] in "ZX" else fields[19]
