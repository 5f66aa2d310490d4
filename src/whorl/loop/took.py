"""Seconds that a round took, summed over all calls that worked on it, however each ended."""

import json
import time
from itertools import dropwhile, takewhile
from pathlib import Path

from whorl.data.atomic import replacing
from whorl.watch.status import Reader


class Took:
    """Stopwatch of a round in `folder`, whose reading survives a kill.

    `begun.json` holds the seconds of earlier calls and when this one began. A call that was killed
    lasted until its last line in `events`, which has one every ten seconds. The times of files say
    nothing: whoever reads a run writes indices, and opening a journal folds what a kill left.
    `finish` writes `seconds.json`, which stays.
    """

    def __init__(self, folder: Path, events: Path) -> None:
        self._done = folder / "seconds.json"
        self._begun = folder / "begun.json"
        self._start = time.time()
        self._earlier = 0.0
        if self._done.exists():
            return
        if self._begun.exists():
            said = json.loads(self._begun.read_bytes())
            last = _last_sign(events, said["began"])
            self._earlier = said["seconds"] + max(0.0, last - said["began"])
        _write(self._begun, {"seconds": self._earlier, "began": self._start})

    def finish(self) -> float:
        """End the round, if it has not ended before; returns its seconds."""
        if not self._done.exists():
            _write(self._done, {"seconds": self._earlier + time.time() - self._start})
            self._begun.unlink()
        return float(json.loads(self._done.read_bytes())["seconds"])


def _last_sign(events: Path, began: float) -> float:
    """The time of the last event of the call that began a round at the time `began`: of those from
    then on, before another call begins."""
    at = round(began, 2)  # as in events
    later = dropwhile(lambda event: float(event["at"]) <= at, Reader(events).read())
    own = takewhile(lambda event: event["event"] != "begin", later)
    return max((float(event["at"]) for event in own), default=began)


def _write(path: Path, said: dict[str, float]) -> None:
    with replacing(path) as file:
        file.write(json.dumps(said, indent=2).encode() + b"\n")
