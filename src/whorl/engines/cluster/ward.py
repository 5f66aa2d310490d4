"""A command that lives no longer than whoever started it, with all that it starts itself.

    python -m whorl.engines.cluster.ward COMMAND ...

Its processes are ended when stdin closes, as a process that is killed closes its pipes, and when
the command itself ends, however that was. Ray kills the children of an actor that ends, which does
not give them the time to end their own; so the one that sees to it is a grandchild. Nothing is left
that holds a GPU.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

_TO_END = 20.0  # seconds that a command has for ending when it is asked to
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux


def main() -> None:
    """Run the command in a group of processes of its own; exits as a shell would."""
    if keeper := os.fork():
        _, status = os.waitpid(keeper, 0)
        sys.exit(os.waitstatus_to_exitcode(status) & 255)
    os.setsid()
    child = subprocess.Popen(
        sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=_with_us
    )

    def watch() -> None:
        os.read(0, 1)  # nobody writes: it returns when stdin is closed
        _end(child.pid, signal.SIGTERM)
        time.sleep(_TO_END)
        _end(child.pid, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # its number stays its own
    _end(child.pid, signal.SIGKILL)  # whom it left behind
    code = child.wait()
    sys.exit(code if code >= 0 else 128 - code)  # as a shell says it


def _end(group: int, how: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, how)


def _with_us() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)


if __name__ == "__main__":
    main()
