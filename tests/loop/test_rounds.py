"""The loop: rounds that learn from each other, stages that are done once."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from whorl import data
from whorl.ask import Engine, Reply
from whorl.budget import Budget
from whorl.cli.results import print_rounds
from whorl.data.examples import read_examples
from whorl.data.problems import read_problems, write_problems
from whorl.data.synthetic import problems
from whorl.data.taught import read_protocol
from whorl.engines import open_engine, roles
from whorl.engines.crew import Here
from whorl.engines.function import Function
from whorl.engines.journal import Journal
from whorl.engines.roles import Engines, Opened
from whorl.errors import UserError
from whorl.evaluate import Decoding, Score, read_scores
from whorl.example import Example
from whorl.learn.moments import MOMENTS
from whorl.learn.training import Lora, Training
from whorl.loop.folder import RunFolder
from whorl.loop.grow import ready
from whorl.loop.harvest import distinct_examples
from whorl.loop.manifest import learned_from
from whorl.loop.metrics import Round, metrics, stopped_rising
from whorl.loop.plan import plan_of
from whorl.loop.rounds import Unfinished, play_rounds, round_settings
from whorl.loop.run import Run
from whorl.models import POLICY
from whorl.recipe import Harvest, Recipe, Start
from whorl.recipes import (
    Dpo,
    Grpo,
    Marge,
    OnPolicyDistill,
    Process,
    Rft,
    Sigma,
    Sphere,
    StepDpo,
    name_of,
)
from whorl.rollout import Sampling
from whorl.tree import Tree
from whorl.watch import Progress


class Log:
    """A watch that remembers which stages ran."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.said: list[str] = []

    def round(self, number: int, rounds: int, policy: str) -> None: ...

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
        self.said.append(line)


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


class StoppedAt(Log):
    """A watch with which somebody stops a run at a round."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def round(self, number: int, rounds: int, policy: str) -> None:
        if number == self._number:
            raise KeyboardInterrupt


def play(run: Run, log: Log) -> list[Round]:
    said = {"recipe": {"name": "rft"}, "problems": "p", "engines": {"policy": run.engines.policy}}
    with ready(run) as prepared, RunFolder.open(run.folder, said, version="0") as folder:
        return play_rounds(folder, run, prepared, log)


def test_a_round_starts_from_the_model_of_the_one_before_and_nothing_is_done_twice(
    run: Run,
) -> None:
    first = Log()
    (played,) = play(replace(run, rounds=1), first)
    assert first.stages == ["evaluate", "grow", "train", "evaluate"]
    assert played.model == f"local:{run.folder / 'round-1' / 'checkpoint'}"

    second = Log()
    rounds = play(run, second)
    assert second.stages == ["grow", "train", "evaluate"]
    assert rounds[0] == played
    trees = json.loads((run.folder / "round-2" / "manifest.json").read_text())
    assert trees["settings"]["engines"]["policy"] == "local:round-1/checkpoint", "wherever it lies"
    lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["round"] for line in lines] == [1, 2]
    assert len(read_scores(run.folder / "scores-2.jsonl")) == 4

    third = Log()
    assert play(run, third) == rounds
    assert third.stages == []

    figures = (run.folder / "metrics.jsonl").read_bytes()
    with pytest.raises(KeyboardInterrupt):
        play(run, StoppedAt(2))
    assert (run.folder / "metrics.jsonl").read_bytes() == figures

    # as a kill leaves it before the journal of complete scores is gone, or a problem that failed
    whole = (run.folder / "scores-1.jsonl").read_bytes()
    Journal(run.folder / "scores-1.journal.db").close()
    (run.folder / "scores-1.jsonl").write_bytes(whole.splitlines(keepends=True)[0])
    fourth = Log()
    assert play(run, fourth) == rounds
    assert fourth.stages == ["evaluate"]
    assert (run.folder / "scores-1.jsonl").read_bytes() == whole
    assert not (run.folder / "scores-1.journal.db").exists()

    moved = run.folder.rename(run.folder.with_name("moved"))
    fifth = Log()
    there = play(replace(run, folder=moved), fifth)
    assert fifth.stages == [] and [own.grown for own in there] == [own.grown for own in rounds]


def test_rounds_that_were_played_with_other_problems_are_named(run: Run, tmp_path: Path) -> None:
    few = replace(run, folder=tmp_path / "run", limit=2, rounds=1, test=None)
    first = Log()
    (played,) = play(few, first)
    assert played.grown.problems == 2 and not first.said
    more = Log()
    assert play(replace(few, limit=None), more) == [played] and not more.stages
    (line,) = more.said
    assert line.startswith("there are 4 problems now, but round 1 was played with 2, and ")
    assert line.endswith("play in another folder: --set run=FOLDER")
    again = Log()
    play(few, again)
    assert not again.said


def test_a_student_of_its_own_learns_for_two_rounds_while_the_policy_samples(
    run: Run, tmp_path: Path, tiny_model: Path
) -> None:
    student = f"local:{tiny_model}"
    engines = replace(run.engines, student=student)
    own = replace(run, folder=tmp_path / "run", engines=engines, protocol="dart", start="last")
    log = Log()
    first, second = play(own, log)
    assert log.stages == ["evaluate", *["grow", "train", "evaluate"] * 2]
    assert (first.grown.tokens, second.grown.tokens) != (0, 0)
    policies = {
        json.loads((own.folder / f"round-{n}" / "manifest.json").read_text())["settings"]["engines"]
        ["policy"] for n in (1, 2)
    }  # fmt: skip
    assert policies == {run.engines.policy}
    assert first.model == f"local:{own.folder / 'round-1' / 'checkpoint'}"
    assert second.model == f"local:{own.folder / 'round-2' / 'checkpoint'}"
    config = json.loads((own.folder / "round-2" / "checkpoint" / "config.json").read_text())
    assert config["hidden_size"] == 32  # the student's
    assert trained_from(own.folder, 1) != trained_from(own.folder, 2)
    before = json.loads((own.folder / "scores-0.setup.json").read_text())
    assert before["about"]["model"] == student
    for example in read_examples(own.folder / "round-2" / "examples.jsonl"):
        assert (
            example.prompt.prefix.startswith("Below is an instruction") and not example.prompt.user
        )
    assert read_protocol(own.folder / "round-2" / "checkpoint") == "dart"


def test_the_policy_of_a_student_may_have_another_address_in_any_round(
    run: Run, tmp_path: Path, tiny_model: Path
) -> None:
    said = []
    for host in ("here", "there"):
        policy = f"server:http://{host}:8000/v1?model=Q"
        engines = replace(run.engines, policy=policy, student=f"local:{tiny_model}")
        own = replace(run, folder=tmp_path / "run", engines=engines)
        with RunFolder.open(own.folder, learned_from(own), version="0") as folder:
            said.append([round_settings(folder, plan_of(own, number)) for number in (1, 2)])
    here, there = said
    assert here == there and here[1]["engines"]["policy"] == "server:Q"


@pytest.mark.parametrize("recipe", [Marge(), Grpo(), Process(), Marge(kl=0.0)])
def test_on_policy_methods_have_no_student_of_their_own(run: Run, recipe: Recipe) -> None:
    engines = replace(run.engines, student="local:s")
    with pytest.raises(UserError, match=f"{name_of(recipe)} learns on-policy"):
        replace(run, engines=engines, recipe=recipe)
    for other in (Sigma(), Sphere(), Rft(), StepDpo(), Dpo(), Marge(learn="preference")):
        replace(run, engines=engines, recipe=other)
    with pytest.raises(UserError, match="base is for a policy that learns"):
        replace(run, engines=engines, base=Path("m"))


def test_a_round_can_go_on_from_the_last_model_and_says_what_it_came_to(
    run: Run, tmp_path: Path
) -> None:
    decoding = Decoding(n=2, temperature=1.0, max_tokens=60)
    last = replace(run, folder=tmp_path / "run", start="last", evaluate=decoding)
    rounds = play(last, Log())
    assert trained_from(last.folder, 1) != trained_from(last.folder, 2)
    lines = map(json.loads, (last.folder / "metrics.jsonl").read_text().splitlines())
    for played, line in zip(rounds, lines, strict=True):
        assert line["generated_tokens"] == sum(line["tokens"].values()) > 0
        assert set(line["passed"]) == {"1", "2"}
        value, low, high = line["passed"]["1"]
        assert low <= value == line["accuracy"] <= high
        assert value <= line["passed"]["2"][0]
        assert 0 < line["right"] <= line["solutions"] <= 2
        assert line["learned"] == line["examples"] == played.harvested.examples
        assert line["seconds"] == played.seconds > 0
        assert "held_out" not in line
        assert "accuracy" not in metrics(replace(played, scores=()))
        none = [Score(score.id, "", (), (), error="no answer") for score in played.scores]
        failed = metrics(replace(played, scores=none))
        assert [(k, rate[0]) for k, rate in failed["passed"].items()] == [(1, 0.0), (2, 0.0)]  # type: ignore[attr-defined]
        print_rounds([metrics(played), failed], played.scores, none)


def test_the_time_for_which_a_run_lay_stopped_is_none_of_its_rounds(run: Run) -> None:
    run = replace(run, rounds=1, test=None)
    with pytest.raises(Unfinished):
        play(replace(run, budget=Budget(requests=2)), Log())
    inner = run.folder / "round-1"
    began = time.time() - 7200
    (inner / "begun.json").write_text(json.dumps({"seconds": 500, "began": began}))
    events = [(began + 1000, "alive"), (began + 7190, "begin"), (began + 7199, "alive")]
    with (run.folder / "events.jsonl").open("w") as file:
        for at, event in events:
            file.write(json.dumps({"at": at, "event": event, "process": {}}) + "\n")
    (inner / "trees.index.db").touch()  # as `whorl report` leaves it
    (played,) = play(run, Log())
    assert 1500 <= played.seconds < 1700


def test_a_round_opens_its_engines_reads_the_problems_and_harvests_its_trees_once(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    read: Counter[Path] = Counter()
    parsed: Counter[str] = Counter()
    rows, whole = data.problems.read_rows, Tree.from_json

    def reading(path: Path) -> Iterator[tuple[int, Any]]:
        read[path] += 1
        return rows(path)

    def parsing(line: str) -> Tree:
        parsed[line] += 1
        return whole(line)

    def opening(spec: str, *, processes: int) -> Engine:
        opened.append(spec)
        return open_engine(spec, processes=processes)

    monkeypatch.setattr(roles, "open_engine", opening)
    monkeypatch.setattr(data.problems, "read_rows", reading)
    monkeypatch.setattr(Tree, "from_json", parsing)
    policy, *_ = run.engines.named().values()
    checkpoints = [f"local:{tmp_path / 'run' / f'round-{n}' / 'checkpoint'}" for n in (1, 2)]
    play(replace(run, folder=tmp_path / "run"), Log())
    assert opened == [policy, *checkpoints]
    # before the first round and in each; measuring reads the others, three times
    assert run.test and read == {run.problems: 1 + 2, run.test: 1 + 3}
    first, second = (
        (tmp_path / "run" / f"round-{n}" / "trees.jsonl").read_text().splitlines(keepends=True)
        for n in (1, 2)
    )
    # harvested; the next round looks whether any is damaged, and is given each
    assert [parsed[line] for line in (*first, *second)] == [3] * len(first) + [1] * len(second)


def trained_from(run: Path, number: int) -> str:
    """A name for the weights that a round's training started from."""
    return str(json.loads((run / f"round-{number}/checkpoint/training.json").read_text())["model"])


def examples(run: Path, number: int) -> Iterator[Example]:
    return read_examples(run / f"round-{number}" / "examples.jsonl")


def test_a_run_stops_where_held_out_problems_do_not_get_better(run: Run, tmp_path: Path) -> None:
    write_problems(tmp_path / "p.jsonl", problems("pool", 12, seed=0, levels=[2, 3]))
    watched = replace(
        run,
        folder=tmp_path / "run",
        problems=tmp_path / "p.jsonl",
        test=None,
        rounds=6,
        patience=2,
        holdout=0.2,
        train=Training(epochs=1, batch=8, lr=1e-9),  # learns nothing, so nothing rises for long
    )
    log = Log()
    rounds = play(watched, log)
    held = [problem.id for problem in read_problems(watched.folder / "held-out.jsonl")]
    trees = (watched.folder / "round-1" / "trees.jsonl").read_text()
    assert held and not any(f'"{name}"' in trees for name in held)
    assert rounds[0].grown.trees + len(held) == 12
    (before,) = [
        sum(map(sum, (s.right for s in scores))) / 8 / len(scores)
        for scores in [read_scores(watched.folder / "held-out-0.jsonl")]
    ]
    values = [before, *(played.watched or 0.0 for played in rounds)]
    ends = [n for n in range(1, 7) if stopped_rising(values[: n + 1], 2)]
    assert len(rounds) == min([*ends, 6]) < 6
    assert log.said[-2] == "stopped: no rise in 2 rounds on the held-out problems"
    best = values.index(max(values))
    assert log.said[-1].endswith(f"round-{best}/checkpoint" if best else str(POLICY))

    # RFT trains the first model every time, on what all rounds found
    assert len({trained_from(watched.folder, played.number) for played in rounds}) == 1
    every = distinct_examples(
        (e for played in rounds for e in examples(watched.folder, played.number)),
        watched.recipe.objective,
    )
    assert rounds[-1].trained.examples == len(list(every)) > rounds[-1].harvested.examples

    again = Log()
    assert play(watched, again) == rounds
    assert again.stages == [] and again.said[-2:] == log.said[-2:]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=9), st.integers(0, 4))
def test_patience(values: list[int], patience: int) -> None:
    found = stopped_rising(values, patience)
    since = len(values) - 1 - values.index(max(values))  # rounds since the best was reached
    assert found == (0 < patience <= since)


@dataclass(frozen=True, slots=True)
class FirstRoundOnly(Rft):
    """RFT that finds nothing in the trees of later rounds."""

    def harvest(self, tree: Tree) -> Harvest:
        later = tree.provenance["seed"] != "0"
        return Harvest((), {}) if later else Rft.harvest(self, tree)


@pytest.mark.parametrize("start", ["first", "last"])
def test_a_run_ends_where_a_later_round_finds_nothing_to_learn_from(
    run: Run, tmp_path: Path, start: Start
) -> None:
    recipe = FirstRoundOnly(Sampling(solution_tokens=100), samples=2)
    own = replace(run, folder=tmp_path / "run", recipe=recipe, rounds=4, start=start)
    log = Log()
    (first,) = play(own, log)
    assert first.harvested.examples
    assert log.said[-1] == "stopped: round 2 found nothing to learn from"
    assert log.stages.count("train") == 1
    again = Log()
    assert play(own, again) == [first] and again.stages == []


def test_an_adapter_alone_is_no_policy(run: Run) -> None:
    with pytest.raises(UserError, match=r"lora\.merge = false leaves an adapter alone"):
        replace(run, train=Training(lora=Lora(rank=4, merge=False)))


def test_rounds_share_one_optimizer(run: Run, tmp_path: Path) -> None:
    """Its state lies with the newest model alone, and a run that was stopped finds it there."""
    train = Training(epochs=1, batch=8, carry=True)
    with pytest.raises(UserError, match="set start=last"):
        replace(run, train=train)
    own = replace(run, folder=tmp_path / "run", train=train, start="last", test=None)
    (first,) = play(replace(own, rounds=1), Log())
    one, other = (own.folder / f"round-{number}" / "checkpoint" for number in (1, 2))
    assert _steps(one) == first.trained.steps
    rounds = play(own, Log())
    assert _steps(other) == sum(played.trained.steps for played in rounds)
    assert not (one / MOMENTS).exists()
    again = Log()
    assert play(own, again) == rounds and again.stages == []


def _steps(model: Path) -> float:
    """Steps that the optimizer beside a model has made."""
    return float(load_file(model / MOMENTS)["0.step"])


def test_what_the_engines_cannot_do_is_said_before_there_is_a_folder(run: Run) -> None:
    def opened(engines: Engines) -> Opened:
        crews = Opened(engines)
        deaf = Function(lambda ask: (Reply("2", tokens=1),))
        crews.crew = lambda *roles: Here({"teacher": deaf})  # type: ignore[method-assign]
        return crews

    engines = replace(run.engines, teacher=run.engines.policy)
    distilled = replace(run, engines=engines, recipe=OnPolicyDistill(), start="last")
    with (
        pytest.raises(UserError, match="teacher: this engine cannot score"),
        ready(distilled, opened),
    ):
        raise AssertionError("it was ready")
