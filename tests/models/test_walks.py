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


@given(st.lists(st.integers(1, 20), min_size=3, max_size=3))
def test_tries_use_every_number_once_and_their_arithmetic_is_right(numbers: list[int]) -> None:
    three = [walks.Made(number, str(number)) for number in numbers]
    for one in walks.tries(three):
        for join in (one.join, *one.ends):
            expression, _, value = join.equation.partition("=")
            assert _value(expression) == int(value) == join.made.value > 0
        for end in one.ends:
            assert check(gold(end.made.value, tuple(numbers)), end.made.text).right
            assert one.told(end.made.value).endswith(" Yes.")
        assert one.told(1000).endswith(" No.")


def _value(text: str) -> Fraction:
    """What a side of an equation makes, by the checker's own arithmetic."""
    numbers = tuple(map(int, re.findall(r"\d+", text)))
    verdict = check(gold(1, numbers), text)
    return Fraction(verdict.reason.removeprefix("makes "))


def test_a_lesson_reaches_its_target_or_gives_up() -> None:
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
            *others, last = [line for line in lesson.text.split("\n\n") if "Try" in line]
            assert last.endswith("Yes." if right else "No.")
            assert all(line.endswith("No.") for line in others)
    assert missed > 40


def test_a_drill_says_what_two_numbers_make_and_whether_it_was_wanted() -> None:
    said = set()
    for line in walks.drill(Random(1), lines=40).splitlines():
        pair, target, told = re.split(" to make |: ", line)
        equations, _, verdict = told.removesuffix(".").rpartition(". ")
        values = []
        for equation in equations.split(", "):
            expression, _, value = equation.partition("=")
            assert _value(expression) == int(value)
            numbers = sorted(map(int, re.findall(r"\d+", expression)))
            assert numbers == sorted(map(int, pair.split(" with ")))
            values.append(value)
        assert (verdict == "Yes") == (target in values)
        said.add(verdict)
    assert said == {"Yes", "No"}


def test_the_smoke_run_makes_a_policy_and_a_teacher_that_engines_read(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "whorl.models.countdown", "--out", str(tmp_path), "--smoke"]
    subprocess.run(command, check=True, capture_output=True)
    for name in ("countdown_policy", "countdown_teacher"):
        open_engine(f"local:{tmp_path / name}", processes=0).close()
