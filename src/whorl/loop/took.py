"""Seconds that a round took, summed over all calls that worked on it, however each ended."""

import json
import time
from pathlib import Path

from whorl.data.atomic import replacing


class Took:
    """Stopwatch of a round in `folder`, whose reading survives a kill.

    `begun.json` holds the seconds of earlier calls and when this one began. A call that was killed
    lasted until it last wrote a file of the round. `finish` writes `seconds.json`, which stays.
    """

    def __init__(self, folder: Path) -> None:
        self._done = folder / "seconds.json"
        self._begun = folder / "begun.json"
        self._start = time.time()
        self._earlier = 0.0
        if self._done.exists():
            return
        if self._begun.exists():
            said = json.loads(self._begun.read_bytes())
            last = max(path.stat().st_mtime for path in folder.rglob("*") if path.is_file())
            self._earlier = said["seconds"] + max(0.0, last - said["began"])
        _write(self._begun, {"seconds": self._earlier, "began": self._start})

    def finish(self) -> float:
        """End the round, if it has not ended before; returns its seconds."""
        if not self._done.exists():
            _write(self._done, {"seconds": self._earlier + time.time() - self._start})
            self._begun.unlink()
        return float(json.loads(self._done.read_bytes())["seconds"])


def _write(path: Path, said: dict[str, float]) -> None:
    with replacing(path) as file:
        file.write(json.dumps(said, indent=2).encode() + b"\n")
