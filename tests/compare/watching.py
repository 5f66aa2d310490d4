"""A watch that remembers what it was told."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from whorl.watch import Progress


class Heard:
    """said: lines, in order. written: names of files that are complete."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.written: list[str] = []

    def round(self, number: int, rounds: int, policy: str) -> None: ...

    @contextmanager
    def stage(self, title: str, progress: Progress) -> Iterator[None]:
        yield

    def training(self, step: int, steps: int, loss: float) -> None: ...

    def wrote(self, path: Path, what: str) -> None:
        self.written.append(path.name)

    def say(self, line: str) -> None:
        self.said.append(line)
