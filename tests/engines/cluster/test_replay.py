"""A search is replayed from the journal as far as it has come, and what served is told."""

from functools import partial
from pathlib import Path

from whorl.ask import Asking
from whorl.drive import drive
from whorl.engines import toy
from whorl.engines.cluster.replay import replayed
from whorl.engines.function import Function
from whorl.engines.journal import Journal
from whorl.problem import Problem
from whorl.recipes.sigma import Sigma
from whorl.tree import Tree

ROLES = ("policy", "critic", "reviser")


def search(problem: Problem) -> Asking[Tree]:
    return Sigma(temperatures=(0.7,)).grow(problem, None)


def test_replies_that_served_are_those_of_the_search(tmp_path: Path) -> None:
    problems = list(toy.problems(2))
    asked = 0

    def answer(ask):  # type: ignore[no-untyped-def]
        nonlocal asked
        asked += 1
        if asked > 30:
            raise RuntimeError("out of memory")
        return toy.answer(ask)

    with Journal(tmp_path / "journal.db") as journal:
        engine = journal.wrap(Function(answer))
        begun = ((problem.id, search(problem)) for problem in problems)
        list(drive(begun, dict.fromkeys(ROLES, engine), width=1, seed=3))
        one, other = (replayed(p.id, partial(search, p), journal, 3) for p in problems)
        assert len(one) + len(other) == 0  # not learned yet
        journal.learn()
        one, other = (replayed(p.id, partial(search, p), journal, 3) for p in problems)
        assert len(one) + len(other) == len(journal) == 30
        assert {name for name, _, _ in one}.isdisjoint(name for name, _, _ in other)
        assert replayed(problems[0].id, partial(search, problems[0]), journal, 4) == []
