"""The memory of what is over goes back to the system."""

import gc
import sys
from pathlib import Path
from weakref import ref

import pytest

from whorl.learn.memory import give_back

BLOCK = 100_000  # bytes, small enough for the C library to keep when it is free


class Circle:
    """Something that is kept by itself, as a trainer is."""

    def __init__(self, blocks: list[bytearray]) -> None:
        self.blocks, self.circle = blocks, self


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_nobody_can_reach_any_more_goes_back_to_the_system() -> None:
    gc.disable()
    try:
        circle = Circle([bytearray(b"x" * BLOCK) for _ in range(2000)])
        last = bytearray(BLOCK)  # behind them, so that the heap cannot simply end earlier
        held, full = ref(circle), resident()
        del circle
        give_back(1_000_000_000)
        assert held() is None
        assert full - resident() > 0.8 * 2000 * BLOCK
        assert last
    finally:
        gc.enable()


def test_a_small_model_is_not_worth_the_look() -> None:
    gc.disable()
    try:
        circle = Circle([])
        held = ref(circle)
        del circle
        give_back(1_000_000)
        assert held() is not None
    finally:
        gc.enable()


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
