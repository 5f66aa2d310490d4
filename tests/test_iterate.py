"""The loop: rounds that learn from each other, stages that are done once."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from whorl.data.problems import write_problems
from whorl.data.synthetic import problems
from whorl.errors import UserError
from whorl.evaluate import Decoding, read_scores
from whorl.folder import RunFolder
from whorl.iterate import Engines, Round, Run, check, iterate, model_folder, survey
from whorl.learn.training import Training
from whorl.models import POLICY
from whorl.recipes.rft import Rft
from whorl.search import Sampling
from whorl.stages import Progress


class Log:
    """A watch that remembers which stages ran."""

    def __init__(self) -> None:
        self.stages: list[str] = []

    @contextmanager
    def stage(self, title: str, progress: Progress) -> Iterator[None]:
        yield
        self.stages.append(title)

    def training(self, step: int, steps: int, loss: float) -> None:
        self.stages.append("train")

    def wrote(self, path: Path, what: str) -> None:
        assert path.exists()

    def say(self, line: str) -> None:
        assert "\n" not in line


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("iterate")
    write_problems(folder / "p.jsonl", problems("pool", 4, seed=0, levels=[1]))
    write_problems(folder / "t.jsonl", problems("test", 4, seed=0, levels=[1]))
    return Run(
        folder / "run",
        folder / "p.jsonl",
        Engines(f"local:{POLICY}", processes=0),
        Rft(Sampling(solution_tokens=100), samples=2),
        test=folder / "t.jsonl",
        rounds=2,
        train=Training(epochs=1, batch=8),
        evaluate=Decoding(max_tokens=100),
    )


def play(run: Run, log: Log) -> list[Round]:
    said = {"recipe": {"name": "rft"}, "problems": "p", "engines": {"policy": run.engines.policy}}
    with RunFolder.open(run.run, said, version="0") as folder:
        return iterate(folder, run, log)


def test_a_round_starts_from_the_model_of_the_one_before_and_nothing_is_done_twice(
    run: Run,
) -> None:
    first = Log()
    (played,) = play(replace(run, rounds=1), first)
    assert first.stages == ["evaluate", "grow", "train", "evaluate"]
    assert played.model == f"local:{run.run / 'round-1' / 'checkpoint'}"

    second = Log()
    rounds = play(run, second)
    assert second.stages == ["grow", "train", "evaluate"]
    assert rounds[0] == played
    trees = json.loads((run.run / "round-2" / "manifest.json").read_text())
    assert trees["settings"]["engines"]["policy"] == played.model
    lines = [json.loads(line) for line in (run.run / "metrics.jsonl").read_text().splitlines()]
    assert [line["round"] for line in lines] == [1, 2]
    assert len(read_scores(run.run / "scores-2.jsonl")) == 4

    third = Log()
    assert play(run, third) == rounds
    assert third.stages == []


def test_a_survey_counts_what_is_used(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_bytes(b"{\n" + run.problems.read_bytes())
    with pytest.raises(UserError, match="line 1"):
        survey(replace(run, problems=path))
    found = survey(replace(run, problems=path, skip_bad=True, limit=3))
    assert (found.problems, found.bad) == (3, 1)
    assert found.first_bad.startswith("line 1: broken JSON")


def test_engines_are_checked_before_anything_is_written(run: Run, tmp_path: Path) -> None:
    lost = replace(run, engines=Engines(f"local:{tmp_path}"))
    with pytest.raises(UserError, match="not a model folder"):
        check(lost)


def test_only_a_model_on_disk_can_be_trained() -> None:
    assert model_folder("local:a/b") == Path("a/b")
    with pytest.raises(UserError, match="local:FOLDER can be trained"):
        model_folder("http://host")
