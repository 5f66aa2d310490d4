"""Recorded solutions of real models, replayed: split into steps, read, judged and summed up, and
compared with the grades they came with."""

import json
from collections import defaultdict
from pathlib import Path
from statistics import fmean

import pytest

from whorl.ask import Ask, Replies, Reply
from whorl.engines.function import Function
from whorl.engines.judge import Judges
from whorl.evaluate import (
    Decoding,
    Record,
    Score,
    Setup,
    attempt_problems,
    paired,
    pass_at,
    score_of,
    sensible_ks,
    summarise,
)
from whorl.problem import Problem
from whorl.steps import BlankLine

RECORDED = Path(__file__).parents[3] / "shared" / "data" / "recorded"
STEPS = BlankLine(min_chars=0)

pytestmark = pytest.mark.skipif(not RECORDED.is_dir(), reason="no public data beside the project")


def rows(name: str) -> list[dict]:
    return [json.loads(line) for line in (RECORDED / f"{name}.jsonl").read_text().splitlines()]


def replayed(by_problem: dict[str, list[dict]]) -> list[Record]:
    """Evaluate a model that says what is recorded; texts are split into steps and joined again."""
    problems = [Problem(id, own[0]["question"], own[0]["answer"]) for id, own in by_problem.items()]
    by_question = {p.question: by_problem[p.id] for p in problems}
    assert len(by_question) == len(problems)
    (n,) = {len(own) for own in by_problem.values()}

    def says(ask: Ask) -> Replies:
        own = by_question[ask.prompt.user.removeprefix("Problem: ")]
        texts = ["\n\n".join(row["steps"]) for row in own]
        split = [STEPS.split(text) for text in texts]
        assert ["".join(steps) for steps in split] == texts
        assert all(
            len(steps) > 1 for steps, row in zip(split, own, strict=True) if row["steps"][1:]
        )
        return tuple(Reply(text) for text in texts)

    judges = Judges()
    decoding = Decoding(n, temperature=1.0 if n > 1 else 0.0)
    engines = {"policy": Function(says), "judge": judges}
    try:
        return list(attempt_problems(problems, engines, setup=Setup(decoding=decoding)))
    finally:
        judges.close()


def test_qwen_on_math_eight_samples_each() -> None:
    """pass@k and maj@k by our verdicts and by the recorded grades, which are wrong nine times:
    docs/verdicts.md says where."""
    by_problem: dict[str, list[dict]] = defaultdict(list)
    for row in rows("qwen_math_cot_100"):
        by_problem[row["id"].rpartition("/")[0]].append(row)
    found = {record.problem.id: record for record in replayed(by_problem)}
    assert len(found) == 100 and not any(record.error for record in found.values())
    ours, theirs = [], []
    for id, own in by_problem.items():
        ours.append(score_of(found[id]))
        theirs.append(Score(id, "", tuple(float(row["correct"]) for row in own), ours[-1].answers))
    differing = sum(
        a != b
        for x, y in zip(ours, theirs, strict=True)
        for a, b in zip(x.right, y.right, strict=True)
    )
    assert differing <= 9
    ks = sensible_ks(8)
    mine, upstream = summarise(ours, ks=ks), summarise(theirs, ks=ks)
    assert mine.undecided == mine.unanswered == 0
    for k in ks:
        right = [sum(row["correct"] for row in own) for own in by_problem.values()]
        assert upstream.passed[k].value == pytest.approx(fmean(pass_at(8, r, k) for r in right))
        gain = mine.passed[k].value - upstream.passed[k].value
        assert 0 <= gain < 0.0201  # two of the hundred problems
        assert mine.passed[k].low <= upstream.passed[k].value <= mine.passed[k].high
    passed = [mine.passed[k].value for k in ks]
    assert passed == sorted(passed) and mine.majority[8].value >= mine.passed[1].value
    compared = paired(theirs, ours)
    assert compared.broken == 0 and compared.mean.low <= compared.mean.value <= compared.mean.high


def test_gpt_3_on_gsm8k_with_the_grades_of_its_makers() -> None:
    """Four models on all 1,319 questions, each attempt as it was graded."""
    by_model: dict[str, dict[str, list[dict]]] = defaultdict(dict)
    for row in rows("gsm8k_model_solutions"):
        by_model[row["model"]][row["problem_id"]] = [row]
    assert len(by_model) == 4
    accuracies = {}
    for model, by_problem in by_model.items():
        records = replayed(by_problem)
        grades = {id: float(row["correct"]) for id, (row,) in by_problem.items()}
        scores = [score_of(record) for record in records]
        assert {each.id: each.right[0] for each in scores} == grades
        accuracies[model] = summarise(scores).passed[1].value
    assert accuracies["GPT-3 6b finetuning"] < accuracies["GPT-3 175b verification"]
