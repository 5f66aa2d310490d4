"""Replies of real chat models as solvers, critics, revisers and reflectors, and what is read of
them.

Recorded of SmolLM2-135M-Instruct, Qwen2.5-Coder-0.5B-Instruct and 1.5B on GSM8K's and MATH's
training problems by `benchmarks/record_replies.py`; those without a key are older. Written by hand:
`cut`, what a person would take of a reviser's or a reflector's reply, and `said`, what a person
would read in a critique.
"""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from whorl.prompts.critique import (
    FORM,
    Critique,
    read_critique,
    read_critiques,
    repeats_request,
)
from whorl.prompts.reflection import STOPS, read_reflection
from whorl.prompts.revision import read_solution, read_step
from whorl.steps import BlankLine, cut

ROWS: list[dict[str, Any]] = [
    json.loads(line)
    for line in gzip.decompress(
        (Path(__file__).parent / "recorded_replies.jsonl.gz").read_bytes()
    ).splitlines()
]


def of(*kinds: str, label: str = "text") -> list[Any]:
    """Rows of these kinds that have the label."""
    rows = [row for row in ROWS if row["kind"] in kinds and label in row]
    return [pytest.param(row, id=row.get("key", row["problem"])) for row in rows]


def told(critique: Critique) -> str:
    """What a critique says, as it is written down by hand: the initials of its fields (r for
    errors) and its verdict, "prose", or nothing."""
    if critique.empty:
        return ""
    initials = zip(FORM, "ermas", strict=False)
    fields = "".join(initial for name, initial in initials if getattr(critique, name))
    return " ".join(filter(None, (fields, critique.verdict))) or "prose"


def test_there_are_replies_of_every_kind_and_of_all_models() -> None:
    found = Counter((row["model"], row["kind"]) for row in ROWS)
    assert {model for model, _ in found} == {"smollm2-135m", "qwen-0.5b", "qwen-1.5b"}
    kinds = {"solve", "critique", "critique-prose", "critique-path", "critique-path-prose"}
    assert {kind for _, kind in found} == kinds | {"revise", "revise-path", "reflect"}
    assert {row["temperature"] for row in ROWS} == {0.0, 0.7}


@pytest.mark.parametrize("row", of("revise", label="cut"))
def test_a_revised_step_is_what_a_person_would_cut_out(row: dict[str, Any]) -> None:
    assert read_step(row["text"], row["step"], row.get("prefix", "")) == row["cut"]


@pytest.mark.parametrize("row", of("revise-path", label="cut"))
def test_a_revised_solution_is_what_a_person_would_cut_out(row: dict[str, Any]) -> None:
    assert read_solution(row["text"]) == row["cut"]


@pytest.mark.parametrize("row", of("critique", "critique-prose", label="said"))
def test_a_critique_says_what_a_person_would_read_in_it(row: dict[str, Any]) -> None:
    repeated = repeats_request(row["text"], row["step"])
    assert ("repeats" if repeated else told(read_critique(row["text"]))) == row["said"]


@pytest.mark.parametrize("row", of("critique-path", "critique-path-prose", label="said"))
def test_a_critique_of_a_path_is_read_step_by_step(row: dict[str, Any]) -> None:
    read = read_critiques(row["text"], len(BlankLine().split(row["step"])))
    assert [told(critique) for critique in read] == row["said"]


@pytest.mark.parametrize("row", of("reflect", label="cut"))
def test_a_reflection_ends_where_the_new_solution_begins(row: dict[str, Any]) -> None:
    assert read_reflection(row["text"], stopped=False) == row["cut"]
    if cut_at := cut(row["text"], STOPS):
        assert read_reflection(cut_at[0], stopped=True) == row["cut"]


def test_steps_of_recorded_replies_join_to_the_reply() -> None:
    for row in ROWS:
        assert "".join(BlankLine().split(row["text"])) == row["text"]
