"""The problems of a run: which are held out, and what a survey counts."""

from dataclasses import replace
from pathlib import Path

import pytest

from whorl.data.problems import read_problems, write_problems
from whorl.data.synthetic import problems
from whorl.engines.roles import Engines
from whorl.errors import UserError
from whorl.loop.run import Run
from whorl.loop.split import held_out, problems_of, survey
from whorl.prompts.wording import Shot, Wording
from whorl.recipes.rft import Rft


@pytest.fixture
def run(tmp_path: Path) -> Run:
    write_problems(tmp_path / "four.jsonl", problems("pool", 4, seed=0, levels=[1]))
    return Run(tmp_path / "run", tmp_path / "four.jsonl", Engines(), Rft())


def test_what_is_held_out_does_not_depend_on_the_seed_or_on_how_many_there_are(
    run: Run, tmp_path: Path
) -> None:
    write_problems(tmp_path / "p.jsonl", problems("pool", 400, seed=0))
    many = replace(run, problems=tmp_path / "p.jsonl", patience=2)
    held, rest = list(held_out(many)), list(problems_of(many))
    assert 8 <= len(held) <= 32 and len(held) + len(rest) == 400
    assert list(problems_of(replace(many, patience=0))) == list(read_problems(many.problems))
    fewer = replace(many, limit=100, seed=5)
    assert set(held_out(fewer)) <= set(held) and set(problems_of(fewer)) <= set(rest)
    assert survey(many).held == len(held)
    with pytest.raises(UserError, match=r"holdout = 0\.999 divides 400 problems into 0 to learn"):
        survey(replace(many, holdout=0.999))


def test_each_round_draws_so_many_questions_of_its_own(run: Run, tmp_path: Path) -> None:
    write_problems(tmp_path / "p.jsonl", problems("pool", 60, seed=0))
    some = replace(run, problems=tmp_path / "p.jsonl", questions=20, patience=2)
    order = [problem.id for problem in read_problems(some.problems)]
    drawn = [[problem.id for problem in problems_of(some, number)] for number in (1, 1, 2, 3)]
    assert drawn[0] == drawn[1] and all(len(own) == 20 for own in drawn)
    assert len({tuple(own) for own in drawn}) == 3
    assert all(own == sorted(own, key=order.index) for own in drawn)
    assert not set(drawn[0]) & {problem.id for problem in held_out(some)}
    assert list(problems_of(replace(some, seed=1))) != list(problems_of(some))
    assert survey(some).problems == 20
    many = replace(some, questions=1000)
    assert list(problems_of(many)) == list(problems_of(replace(some, questions=None)))
    with pytest.raises(UserError, match="questions should be at least 1"):
        replace(run, questions=0)


def test_a_survey_counts_what_is_used(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_bytes(b"{\n" + run.problems.read_bytes())
    with pytest.raises(UserError, match="line 1"):
        survey(replace(run, problems=path))
    found = survey(replace(run, problems=path, skip_bad=True, limit=3))
    assert (found.problems, found.bad) == (3, 1)
    assert found.first_bad.startswith("line 1: broken JSON")


@pytest.mark.parametrize("leak", ["the text", "13 words"])
def test_a_solved_example_that_is_measured_on_is_refused(
    run: Run, tmp_path: Path, leak: str
) -> None:
    write_problems(tmp_path / "test.jsonl", problems("test", 4, seed=1, levels=[5]))
    known = next(iter(read_problems(tmp_path / "test.jsonl"))).question
    shown = known if leak == "the text" else f"Once upon a time. {known} Say it in words."
    shots = (Shot("What is 1 + 1?", "\\boxed{2}"), Shot(shown, "\\boxed{3}"))
    recipe = Rft(words=Wording(examples=shots))
    with pytest.raises(UserError, match=f"prompts: example 2 shows {leak}"):
        survey(replace(run, test=tmp_path / "test.jsonl", recipe=recipe))
    assert survey(replace(run, recipe=recipe)).problems == 4
