"""Every reader of what models say takes time in proportion to it, whatever that is."""

import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

SIZE = 50_000
"""Characters: a reader that looks at all of a text for each of its pieces takes five seconds and
more; `benchmarks/attack.py` gives a megabyte."""


def test_no_reader_of_texts_is_slow(
    load_benchmark: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    attack = load_benchmark("attack")
    slow = []
    for name, read in attack.READERS.items():
        for piece in attack.NASTY:
            text = (piece * (SIZE // len(piece) + 1))[:SIZE]
            for whole in (text, f"The answer is {text}", f"{text}\nThe answer is \\boxed{{1}}"):
                start = time.process_time()
                read(whole)
                if time.process_time() - start > 1:
                    slow.append((name, piece))
    assert not slow
