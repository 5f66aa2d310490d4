"""A command that lives no longer than whoever started it.

    python -m whorl.engines.cluster.ward COMMAND ...

It is ended when stdin closes, as a process that is killed closes its pipes; and on Linux it dies
with this one, as Ray kills the children of an actor that ends. So nothing is left that holds a GPU.
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
    """Run the command in a group of processes of its own; exits as it does."""
    child = subprocess.Popen(
        sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=_with_us
    )

    def watch() -> None:
        os.read(0, 1)  # nobody writes: it returns when stdin is closed
        for which in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(child.pid, which)
            end = time.monotonic() + _TO_END
            while child.poll() is None and time.monotonic() < end:
                time.sleep(0.1)

    threading.Thread(target=watch, daemon=True).start()
    sys.exit(child.wait())


def _with_us() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)


if __name__ == "__main__":
    main()
