"""The seconds of a round, over calls that ended in whatever way."""

import json
import os
import time
from pathlib import Path

from whorl.loop.took import Took


def test_a_call_that_was_killed_lasted_until_it_last_wrote_something(tmp_path: Path) -> None:
    Took(tmp_path)  # killed, after it wrote a file 100 seconds later
    written = tmp_path / "checkpoint" / "model"
    written.parent.mkdir()
    written.touch()
    os.utime(written, (time.time() + 100,) * 2)
    again = Took(tmp_path)
    os.utime(written, (0, 0))
    third = Took(tmp_path)  # the second one wrote nothing
    seconds = third.finish()
    assert 100 <= seconds < 130
    assert json.loads((tmp_path / "seconds.json").read_text()) == {"seconds": seconds}
    assert Took(tmp_path).finish() == seconds == again.finish()
    assert not (tmp_path / "begun.json").exists()
