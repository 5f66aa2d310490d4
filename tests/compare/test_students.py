"""Students at more and at fewer tokens: nothing is paid for twice, and what was done before in the
folder changes no student."""

import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from sqlite3 import connect
from typing import Any, NoReturn

import pytest
from tests.compare.watching import Heard

from whorl.ask import Ask, Failure
from whorl.compare.clock import begun
from whorl.compare.comparison import Comparison
from whorl.compare.findings import Student, has_student, read_student
from whorl.compare.methods import methods, select_methods
from whorl.compare.students import Part, TooFew, bound_to, play_part
from whorl.data.examples import read_examples
from whorl.data.problems import write_problems
from whorl.data.synthetic import problems
from whorl.engines.local import Local
from whorl.engines.roles import Engines, Opened
from whorl.evaluate import Decoding, Score
from whorl.evaluate.exam import measure
from whorl.models import POLICY


@pytest.fixture(params=[False, True], ids=["one model", "rounds"])
def part(request: pytest.FixtureRequest, tmp_path: Path) -> Part:
    """RFT at half the tokens and at all of them, on three easy problems."""
    write_problems(tmp_path / "p.jsonl", problems("pool", 3, seed=0, levels=[1]))
    write_problems(tmp_path / "t.jsonl", problems("test", 4, seed=1, levels=[1]))
    sets = ["recipe.samples=2", "train.epochs=1", "shares=[0.5,1]"]
    sets += ["rounds=true"] if request.param else []
    comparison = Comparison(
        tmp_path / "p.jsonl",
        tmp_path / "t.jsonl",
        Engines(f"local:{POLICY}", processes=0),
        select_methods(methods("tiny"), ["rft"], [f"rft.{own}" for own in sets]),
        900,
        seeds=1,
        evaluate=Decoding(n=2, temperature=0.8, max_tokens=120),
    )
    return Part(tmp_path / "run", comparison, comparison.methods[0], 0)


def played(part: Part, tokens: int, path: Path | None = None) -> tuple[list[Student], list[str]]:
    """The students at so many tokens, without their seconds, and what was said."""
    own = replace(part, comparison=replace(part.comparison, tokens=tokens), path=path or part.path)
    watch = Heard()
    with Opened(own.comparison.engines) as opened:
        play_part(own, opened, watch)
    return [timeless(read_student(home)) for home in own.homes()], watch.said


def timeless(student: Student) -> Student:
    point = replace(student.point, wall=0.0, cpu=0.0, growing_wall=0.0, growing_cpu=0.0)
    return replace(student, point=point)


def answers(path: Path) -> Mapping[Path, set[tuple[int, bytes]]]:
    """The rows of every journal of searches."""
    found = {}
    for journal in path.rglob("trees/**/journal.db"):
        with closing(connect(journal)) as database:
            found[journal] = set(database.execute("SELECT rowid, ask FROM answer"))
    return found


@pytest.mark.slow
def test_more_tokens_go_on_in_the_same_folder(part: Part) -> None:
    small, _ = played(part, 900)
    paid = answers(part.path)
    large, said = played(part, 1800)
    more = answers(part.path)
    assert all(rows <= more[journal] for journal, rows in paid.items()), "no row is written again"
    assert sum(map(len, more.values())) > sum(map(len, paid.values()))
    at_once, _ = played(part, 1800, part.path.with_name("at once"))
    assert large == at_once
    assert [s.point.tokens <= most for s, most in zip(large, (900, 1800), strict=True)]
    measured = [line for line in said if "measured" in line]
    if part.method.rounds:
        assert len(measured) == 2, "a round has all the tokens of the two before"
    else:
        assert len(measured) == 1 and large[0] == small[-1], "half of them is all of before"
    again, said = played(part, 900)
    assert again == small and not any("measured" in line for line in said)
    if not part.method.rounds:
        played(part, 1200)
    assert answers(part.path) == more, "fewer tokens ask for no tree"


@pytest.mark.slow
def test_a_student_of_its_own_learns_from_the_policys_trees(part: Part, tiny_model: Path) -> None:
    engines = replace(part.comparison.engines, student=f"local:{tiny_model}")
    comparison = replace(part.comparison, engines=engines, protocol="dart")
    own = replace(part, comparison=comparison, path=part.path.with_name("taught"))
    taught, _ = played(own, 900)
    first, _ = played(part, 900)
    assert taught[0].point.tokens == first[0].point.tokens, "the policy's trees are the same"
    for home in own.homes():
        config = json.loads((home / "checkpoint" / "config.json").read_text())
        assert config["hidden_size"] == 32, "the student's"
        made = json.loads((home / "greedy.setup.json").read_text())
        assert made["prompt"]["prefix"].startswith("Below is an instruction")
        for example in read_examples(home / "examples.jsonl"):
            assert example.prompt.prefix.startswith("Below is an instruction")
    for manifest in own.path.rglob("trees/**/manifest.json"):
        assert json.loads(manifest.read_text())["settings"]["policy"] == f"local:{POLICY}"


def test_students_are_measured_in_the_words_of_the_recipes(part: Part) -> None:
    method = select_methods(methods("tiny"), ["rft"], ["rft.recipe.words=qwen"])
    exams = replace(part.comparison, methods=method).exams()
    assert len({exam.title for exam in exams.values()}) == 2, "a watch tells them apart"
    for exam in exams.values():
        assert exam.setup.ask("1+1?").user == "1+1?", "the bare question"
    assert part.comparison.exams()["greedy"].setup.ask("1+1?").user == "Problem: 1+1?"


def test_what_a_harvest_remarks_is_said(part: Part) -> None:
    short = select_methods(
        methods("tiny"), ["rft"], ["rft.shares=[1]", "rft.recipe.sampling.solution_tokens=3"]
    )
    own = replace(part, comparison=replace(part.comparison, methods=short), method=short[0])
    _, said = played(own, 200)
    assert any("came to no end of a solution" in line for line in said)


def test_a_student_that_was_interrupted_keeps_its_seconds(
    part: Part, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    (short,) = select_methods(methods("tiny"), ["rft"], ["rft.shares=[1]", "rft.train.epochs=1"])
    own = replace(part, comparison=replace(part.comparison, methods=(short,)), method=short)
    with Opened(own.comparison.engines) as opened:
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr("whorl.compare.students.examine", stopped)
            play_part(own, opened, Heard())
        (home,) = own.homes()
        before = begun(home / "begun.json")
        assert before.wall > 0 and before.cpu > 0, "of harvesting and training"
        play_part(own, opened, Heard())
    point = read_student(home).point
    assert point.wall > before.wall and point.cpu > before.cpu
    assert not list(own.path.rglob("*begun*"))


def test_problems_that_failed_are_tried_again(part: Part, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that was gone while a student was measured is no fault of the student's."""
    (short,) = select_methods(methods("tiny"), ["rft"], ["rft.shares=[1]", "rft.train.epochs=1"])
    own = replace(part, comparison=replace(part.comparison, methods=(short,)), method=short)

    def gone(self: Local, ticket: int, ask: Ask) -> None:
        self._done.append((ticket, Failure("the server is gone")))

    def measured(*exam: Any, **out: Path) -> list[Score]:
        with monkeypatch.context() as down:
            down.setattr(Local, "submit", gone)
            return measure(*exam, **out)  # type: ignore[arg-type]

    watch = Heard()
    with monkeypatch.context() as patched, Opened(own.comparison.engines) as opened:
        patched.setattr("whorl.compare.students.measure", measured)
        play_part(own, opened, watch)
    (home,) = own.homes()
    failed = read_student(home)
    assert all("the server is gone" in score.error for score in failed.greedy)
    assert "4 problems failed; the same command tries them again" in watch.said
    assert not has_student(home)
    with Opened(own.comparison.engines) as opened:
        play_part(own, opened, watch)
    again = read_student(home)
    assert has_student(home) and not any(score.error for score in (*again.greedy, *again.sampled))
    assert again.point.wall > failed.point.wall, "of both calls"
    assert timeless(replace(again, greedy=(), sampled=())) == timeless(
        replace(failed, greedy=(), sampled=())
    )


def test_too_few_tokens_for_a_tree_say_how_many_would_do(part: Part) -> None:
    with pytest.raises(TooFew) as short:
        played(part, 10)
    with pytest.raises(TooFew):
        played(part, short.value.least - 1)
    own = replace(part, comparison=replace(part.comparison, tokens=short.value.least))
    with Opened(own.comparison.engines) as opened:
        play_part(own, opened, Heard(), only_try=True)
    assert not list(part.path.rglob("checkpoint")), "only tried"


def test_students_are_bound_to_what_their_weights_depend_on_alone() -> None:
    def bound(*overrides: str) -> dict[str, object]:
        (method,) = select_methods(methods("tiny"), ["rft"], overrides)
        return bound_to(method)

    assert bound("rft.train.tokens=512", "rft.train.checkpointing=true") == bound()
    for other in ("train.lr=0.5", "train.lora.rank=3", "recipe.samples=2", "shares=[0.5,1]"):
        assert bound(f"rft.{other}") != bound()
