"""Made-up Countdown problems: solvable, distinct, and in splits that share no set of numbers."""

from pathlib import Path

import pytest

from whorl.answer.checks import CHECKS
from whorl.data.countdown import LEVELS, problems, reachable, split_of
from whorl.data.problems import read_problems, write_problems
from whorl.errors import UserError
from whorl.problem import Problem
from whorl.rollout import verdicts
from whorl.tree import Tree


def numbers_of(problem: Problem) -> tuple[int, ...]:
    return tuple(sorted(map(int, problem.answer.partition(" from ")[2].split())))


def test_every_problem_has_a_solution_of_its_own_numbers() -> None:
    made = list(problems("pool", 30, seed=1, levels=(3, 4)))
    assert len({problem.id for problem in made}) == 30
    for problem in made:
        target = int(problem.answer.partition(" ")[0])
        solution = reachable(numbers_of(problem))[target]
        assert CHECKS[problem.check](problem.answer, solution).right
        assert problem.level == str(len(numbers_of(problem)))


def test_splits_share_no_numbers_in_any_order() -> None:
    for split in ("test", "dev", "pool"):
        for problem in problems(split, 20, seed=3, levels=(3,)):
            assert split_of(numbers_of(problem)) == split
            assert split_of(numbers_of(problem)[::-1]) == split


def test_problems_come_from_the_seed_alone() -> None:
    assert list(problems("dev", 5, seed=2, levels=(3,))) == list(
        problems("dev", 5, seed=2, levels=(3,))
    )


def test_an_unknown_level_and_an_exhausted_split_are_said() -> None:
    with pytest.raises(UserError, match=f"{LEVELS[0]}"):
        next(problems("pool", 1, seed=0, levels=(9,)))


def test_a_file_and_a_tree_keep_the_check(tmp_path: Path) -> None:
    made = list(problems("pool", 3, seed=1, levels=(3,)))
    write_problems(tmp_path / "some.jsonl", made)
    assert list(read_problems(tmp_path / "some.jsonl")) == made
    assert Tree.from_json(Tree(made[0]).to_json()).problem == made[0]


def test_a_file_with_an_unknown_check_or_a_gold_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"question": "?", "answer": "24", "check": "chess"}\n')
    with pytest.raises(UserError, match="no check 'chess'; there are answer, countdown"):
        list(read_problems(path))
    path.write_text('{"question": "?", "answer": "24", "check": "countdown"}\n')
    with pytest.raises(UserError, match="24 from 3 4 5 6"):
        list(read_problems(path))


def test_a_search_judges_by_the_problems_check() -> None:
    problem = Problem("p", "?", "24 from 3 3 8 8", check="countdown")
    judging = verdicts(problem.answer, ["8/(3-8/3)", "3*8", None, r"\sqrt{24}"], problem.check)
    with pytest.raises(StopIteration) as stop:  # no judge is asked
        next(judging)
    assert [verdict.right for verdict in stop.value.value] == [True, False, False, False]
