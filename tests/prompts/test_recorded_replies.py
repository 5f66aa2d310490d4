"""Replies of real chat models as critics and revisers, and what is read of them.

Recorded of SmolLM2-135M-Instruct and Qwen2.5-Coder-0.5B-Instruct on GSM8K training problems, steps
and siblings by the latter; `cut` is what a person would take of a reviser's reply.
"""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from whorl.prompts.critique import FORM, read_critique
from whorl.prompts.revision import read_step
from whorl.steps import BlankLine

ROWS: list[dict[str, Any]] = [
    json.loads(line)
    for line in gzip.decompress(
        (Path(__file__).parent / "recorded_replies.jsonl.gz").read_bytes()
    ).splitlines()
]
LABELLED = [row for row in ROWS if "cut" in row]


def of(*kinds: str) -> list[dict[str, Any]]:
    return [row for row in ROWS if row["kind"] in kinds]


def test_there_are_replies_of_every_kind_and_of_both_models() -> None:
    assert {row["model"] for row in ROWS} == {"smollm2-135m", "qwen-0.5b"}
    assert all(of(kind) for kind in ("critique", "critique-prose", "revise"))
    assert {row["temperature"] for row in ROWS} == {0.0, 0.7}


def test_only_a_critique_that_says_nothing_is_unusable() -> None:
    """Nothing but a copy of the form, or "none" in all of its fields, is empty."""
    said = {"none", *FORM.values(), *(what.removeprefix("what ") for what in FORM.values())}
    for row in of("critique", "critique-prose"):
        if read_critique(row["text"]).empty:
            lines = [line.partition(":")[2] for line in row["text"].splitlines() if line.strip()]
            assert {line.strip(" .*").lower() for line in lines} <= said | {""}, row["text"]


def test_prose_that_was_asked_for_is_read_as_what_it_is() -> None:
    assert not any(read_critique(row["text"]).empty for row in of("critique-prose") if row["text"])


@pytest.mark.parametrize("row", LABELLED, ids=[str(n) for n, _ in enumerate(LABELLED)])
def test_a_revised_step_is_what_a_person_would_cut_out(row: dict[str, Any]) -> None:
    assert read_step(row["text"], row["step"]) == row["cut"]


def test_steps_of_recorded_replies_join_to_the_reply() -> None:
    for row in ROWS:
        assert "".join(BlankLine().split(row["text"])) == row["text"]


def test_forms_are_as_various_as_the_models() -> None:
    forms = Counter(
        "empty" if c.empty else "prose" if not (c.fields or c.verdict) else "fields"
        for c in (read_critique(row["text"]) for row in of("critique"))
    )
    assert forms["fields"] and forms["prose"] and forms["empty"]
