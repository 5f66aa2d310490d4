"""Several commands of whorl's in one process, one after the other: what launchers start for tests.
As a program it takes JSON of their arguments."""

import json
import os
import sys
from pathlib import Path

from whorl.cli import app


def play(commands: list[list[str]]) -> int:
    """Carry out commands up to the first that is refused; what it exits with, or 0."""
    for command in commands:
        if code := app(command, standalone_mode=False):
            return int(code)
    return 0


def play_as_one_of_two(rank: int, port: int, said: Path, commands: list[list[str]]) -> None:
    """Carry out commands in a process that was told what launchers tell those that they start. What
    it says goes to the end of `said`."""
    os.environ |= {f"{kind}RANK": str(rank) for kind in ("", "LOCAL_")}
    os.environ |= {f"{kind}WORLD_SIZE": "2" for kind in ("", "LOCAL_")}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    with said.open("ab") as file:
        os.dup2(file.fileno(), 2)
    sys.exit(play(commands))


if __name__ == "__main__":
    sys.exit(play(json.loads(sys.argv[1])))
