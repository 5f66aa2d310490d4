"""Lessons of Countdown: walks that reach their target, walks that miss it, and drills."""

import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from whorl.answer import concluded
from whorl.answer.countdown import check, gold
from whorl.data.countdown import question, split_of
from whorl.engines import open_engine
from whorl.models import walks

ASKED = re.compile(r"numbers (.+) exactly once, .* to make (\d+)\.")


def asked(text: str) -> tuple[tuple[int, ...], int]:
    """The numbers and the target of a lesson's question."""
    found = ASKED.search(text)
    assert found
    return tuple(map(int, re.findall(r"\d+", found[1]))), int(found[2])


@given(st.lists(st.integers(1, 20), min_size=2, max_size=5), st.integers(0, 99))
def test_a_walk_uses_every_number_once_and_its_arithmetic_is_right(
    numbers: list[int], seed: int
) -> None:
    walk = walks.walk(Random(seed), numbers)
    assert len(walk.steps) == len(numbers) - 1
    assert check(gold(walk.end.value, tuple(numbers)), walk.end.text).right
    for step in walk.steps:
        equation, _, _ = step.partition(". Left")
        *sides, result = equation.rstrip(".").split("=")
        for side in sides:
            assert _value(side) == int(result) > 0


def _value(text: str) -> Fraction:
    """What a side of an equation makes, by the checker's own arithmetic."""
    numbers = tuple(map(int, re.findall(r"\d+", text)))
    verdict = check(gold(1, numbers), text)
    return Fraction(verdict.reason.removeprefix("makes "))


def test_a_lesson_reaches_its_target_or_misses_it() -> None:
    rng, missed = Random(0), 0
    for _ in range(60):
        for misses in (False, True):
            lesson = walks.lesson(rng, (3, 4), misses=misses)
            numbers, target = asked(lesson.prompt.user)
            assert split_of(numbers) == "pretrain"
            assert question(numbers, target) in lesson.prompt.user
            right = check(gold(target, numbers), concluded(lesson.text) or "").right
            assert right or misses
            missed += right is False
    assert missed > 40


def test_a_drill_says_what_two_numbers_make() -> None:
    for line in walks.drill(Random(1)).splitlines():
        pair, _, told = line.partition(" to make ")
        target, _, equation = told.partition(": ")
        assert equation.endswith(f"={target}.")
        numbers = sorted(map(int, re.findall(r"\d+", equation.partition("=")[0])))
        assert numbers == sorted(map(int, pair.split(", ")))


def test_the_smoke_run_makes_a_policy_and_a_teacher_that_engines_read(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "whorl.models.countdown", "--out", str(tmp_path), "--smoke"]
    subprocess.run(command, check=True, capture_output=True)
    for name in ("countdown_policy", "countdown_teacher"):
        open_engine(f"local:{tmp_path / name}", processes=0).close()
