"""Recipes at equal cost: budgets that hold, the same trees however often interrupted, one table."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from sqlite3 import connect
from typing import NoReturn

import pytest
from tests.compare.watching import Heard

from whorl import __version__
from whorl.compare.comparison import Comparison, check_comparison
from whorl.compare.findings import figures_of_seed, figures_over_seeds
from whorl.compare.methods import (
    HARVESTED,
    methods,
    select_methods,
    without_prm,
)
from whorl.compare.play import check_models, play_comparison
from whorl.data.forest import read_trees
from whorl.data.problems import write_problems
from whorl.data.synthetic import problems
from whorl.drive import drive
from whorl.engines import toy
from whorl.engines.function import Function
from whorl.engines.roles import Engines
from whorl.errors import UserError
from whorl.evaluate import Decoding, Place
from whorl.loop.folder import RunFolder
from whorl.models import POLICY, TEACHER
from whorl.recipes.rft import Rft
from whorl.recipes.sigma import Sigma
from whorl.recipes.sphere import Sphere
from whorl.search import Uct

PAPERS, TINY = methods(), methods("tiny")


def test_names_and_overrides() -> None:
    plain, unrefined = select_methods(
        TINY,
        ["sigma", "sigma_unrefined"],
        ["sigma.recipe.uct.simulations=3", "sigma.train.epochs=2", "sigma_unrefined.train.lr=0.5"],
    )
    assert plain.grow.uct.simulations == unrefined.grow.uct.simulations == 3  # type: ignore[attr-defined]
    assert unrefined.forest == "sigma" and unrefined.harvest.take == "unrefined"  # type: ignore[attr-defined]
    assert (plain.train.epochs, unrefined.train.epochs, unrefined.train.lr) == (2, 2, 0.5)
    (rft,) = select_methods(PAPERS, ["rft"], ["rft.shares=[0.1, 1.0]"])
    assert rft.shares == (0.1, 1.0) and rft.grow == Rft()
    sphere = without_prm(PAPERS)["sphere"].grow
    assert isinstance(sphere, Sphere) and "prm" not in sphere.roles
    for names, sets, message in (
        (["gone:Gone"], [], "gone cannot be imported"),
        (["simga"], [], "did you mean sigma"),
        (["rft"], ["rtf.train.lr=1"], "did you mean rft"),
        (["rft"], ["rft.recipe.smaples=1"], "did you mean samples"),
        (["rft"], ["rft.shares=[0.5, 0.2]"], "shares should rise"),
        (
            ["sigma_unrefined"],
            ["sigma_unrefined.recipe.uct.simulations=99"],
            r"trees that sigma grows: write sigma\.recipe\.uct\.simulations=99",
        ),
    ):
        with pytest.raises(UserError, match=message):
            select_methods(PAPERS, names, sets)


def test_settings_of_the_harvest_are_all_that_it_reads() -> None:
    """A variant of the same trees can change these, and no other."""
    (own,) = select_methods(
        TINY, ["sigma_unrefined"], ["sigma_unrefined.recipe.best=first", "sigma.recipe.siblings=1"]
    )
    assert own.harvest.best == "first" and own.harvest.siblings == own.grow.siblings == 1  # type: ignore[attr-defined]
    read: set[str] = set()

    class Watched(Sigma):
        def __getattribute__(self, name: str) -> object:
            read.add(name)
            return super().__getattribute__(name)

    settings = {field.name for field in fields(Sigma)}
    watched = [Watched(take="refined"), Watched(take="unrefined")]
    read.clear()
    recipe = Sigma(Uct(simulations=4), temperatures=(0.7,))
    world = dict.fromkeys(("policy", "critic", "reviser"), Function(toy.answer))
    for finished in drive(((p.id, recipe.grow(p)) for p in toy.problems(12)), world):
        assert finished.result
        for own_recipe in watched:
            own_recipe.harvest(finished.result)
    assert read & settings == set(HARVESTED)


def test_settings_of_what_is_not_compared_change_nothing() -> None:
    names = ["rft", "sigma_unrefined", "grpo_random", "process_once"]
    ours = ["rft.train.lr=1", "sigma.recipe.siblings=1", "sigma_unrefined.train.lr=1"]
    ours += ["grpo.recipe.samples=2", "grpo_random.control.rate=1", "process.train.lr=1"]
    assert select_methods(TINY, names, ours, typed=ours)
    shares = "process.shares=[0.3,1]"  # process_once is process supervision in one share
    others = ("dpo.train.lr=1", "sigma_no_siblings.train.lr=1", "rft_random.control.rate=1", shares)
    for other in others:
        with pytest.raises(UserError, match=r"changes nothing: .* is not compared"):
            select_methods(TINY, names, [*ours, other], typed=[other])
    assert select_methods(TINY, names, [*ours, *others])  # a file may have settings of others
    steps = [f"process.recipe.sampling.steps.{own}" for own in ("name=tokens", "size=32")]
    usual = [f"process.recipe.uct.simulations={TINY['process'].grow.uct.simulations}"]  # type: ignore[attr-defined]
    assert select_methods(TINY, ["process_once"], [*steps, *usual], typed=[*steps, *usual])
    own = "examples/rloo.py:Rloo"
    with pytest.raises(UserError, match="dpo is not compared"):
        select_methods(TINY, [own], ["dpo.train.lr=1"], which="tiny", typed=["dpo.train.lr=1"])


def test_a_recipe_from_elsewhere_is_compared_as_its_objective_suggests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    name = "examples/rloo.py:Rloo"
    one, rft = select_methods(TINY, [name, "rft"], ["Rloo.recipe.samples=4"], which="tiny")
    assert (one.name, one.forest, one.shares, one.rounds) == ("Rloo", "Rloo", (1.0,), False)
    assert one.grow.samples == 4 and one.grow.sampling.solution_tokens == 256  # type: ignore[attr-defined]
    assert one.train == TINY["grpo"].train and rft == TINY["rft"]
    (plain,) = select_methods(PAPERS, ["examples/new_paper.py:Shortest"])
    assert plain.train == PAPERS["sigma"].train and plain.grow == plain.harvest
    (tmp_path / "mine.py").write_text("from examples.rloo import Rloo as Mine\n")
    text = Path("examples/new_paper.py").read_text().replace("class Shortest", "class Sigma")
    (tmp_path / "sigma.py").write_text(text)
    pairs = ["examples/new_paper.py:Shortest", str(tmp_path / "short.py:Shortest")]
    (tmp_path / "short.py").write_text(Path("examples/new_paper.py").read_text())
    with pytest.raises(UserError, match="another recipe is called Shortest too"):
        select_methods(TINY, pairs)


@dataclass(frozen=True, slots=True)
class Odd(Rft):
    """A recipe that asks somebody unknown."""

    roles = ("verifier",)


@pytest.fixture
def comparison(tmp_path: Path) -> Comparison:
    """RFT and distillation on three easy problems, which it goes over again and again. Nobody asks
    its critic, which is nowhere."""
    write_problems(tmp_path / "p.jsonl", problems("pool", 3, seed=0, levels=[1]))
    write_problems(tmp_path / "t.jsonl", problems("test", 8, seed=1, levels=[1]))
    policy = f"local:{POLICY}"
    sets = ["rft.recipe.samples=2", "rft.train.epochs=1", "rft.shares=[0.5,1]"]
    return Comparison(
        tmp_path / "p.jsonl",
        tmp_path / "t.jsonl",
        Engines(policy, critic="local:nowhere", teacher=policy, processes=0),
        select_methods(TINY, ["rft", "distill"], [*sets, "distill.recipe.samples=2"]),
        900,
        seeds=1,
        evaluate=Decoding(n=4, temperature=0.8, max_tokens=120),
        jobs=2,
    )


def test_what_cannot_be_compared_is_refused(comparison: Comparison) -> None:
    with pytest.raises(UserError, match="distill asks a teacher: name one, --teacher"):
        check_comparison(replace(comparison, engines=replace(comparison.engines, teacher="")))
    engines = replace(comparison.engines, student="local:s")
    marge = select_methods(TINY, ["marge"])
    with pytest.raises(UserError, match="marge learns on-policy"):
        check_comparison(replace(comparison, engines=engines, methods=marge))
    with pytest.raises(UserError, match="no protocol 'alpaca'; there are whorl, dart, qwen"):
        replace(comparison, protocol="alpaca")
    odd = replace(TINY["rft"], grow=Odd())
    with pytest.raises(UserError, match="rft is no recipe: it asks a verifier; the roles there"):
        check_comparison(replace(comparison, methods=[odd]))
    adapters = select_methods(
        TINY, ["rft"], ["rft.train.lora.rank=4", "rft.train.lora.merge=false"]
    )
    with pytest.raises(UserError, match="leaves an adapter alone"):
        check_comparison(replace(comparison, methods=adapters))
    tracked = select_methods(TINY, ["rft"], ["rft.train.report_to=wandv"])
    with pytest.raises(UserError, match="report_to = wandv: wandv is not supported"):
        check_comparison(replace(comparison, methods=tracked))
    with pytest.raises(UserError, match="3 problems are both in"):
        check_comparison(replace(comparison, test=comparison.problems))


@pytest.mark.parametrize(
    ("role", "model", "said"),
    [
        ("teacher", "openvino:nowhere", "there is no model folder 'nowhere'"),
        ("policy", "server:http://localhost:1/v1?model=a", "can be trained, not server:"),
    ],
)
def test_a_model_that_will_not_do_is_told_before_anything_is_measured(
    comparison: Comparison, tmp_path: Path, role: str, model: str, said: str
) -> None:
    engines = replace(comparison.engines, **{role: model})
    with (
        RunFolder.open(tmp_path / "run", {}, version=__version__) as folder,
        pytest.raises(UserError, match=said),
    ):
        play_comparison(folder, replace(comparison, engines=engines), Heard())
    assert not (tmp_path / "run" / "base").exists()


def test_a_model_that_has_changed_is_refused(comparison: Comparison, tmp_path: Path) -> None:
    shutil.copytree(POLICY, tmp_path / "own")
    engines = replace(comparison.engines, policy=f"local:{tmp_path / 'own'}")
    own = replace(comparison, engines=engines)
    check_models(tmp_path, own)
    before = (tmp_path / "models.json").read_bytes()
    check_models(tmp_path, own)
    assert (tmp_path / "models.json").read_bytes() == before
    shutil.copy(TEACHER / "model.safetensors", tmp_path / "own" / "model.safetensors")
    for download in (False, True):
        with pytest.raises(UserError, match=r"own has changed since .* asked it: .*; bring that"):
            check_models(tmp_path, own, download=download)


def test_the_base_model_is_not_compared_with_what_is_asked_in_other_words(
    comparison: Comparison, tmp_path: Path
) -> None:
    (tmp_path / "base").mkdir()
    for name, exam in comparison.exams().items():
        own = {"prompt": asdict(exam.setup.ask("QUESTION"))}
        Place(tmp_path / "base" / f"{name}.jsonl").begin(own)
    check_models(tmp_path, comparison)
    shouted = ["rft.recipe.words.solve.user='SOLVE {question}'"]
    other = replace(comparison, methods=select_methods(TINY, ["rft"], shouted))
    with pytest.raises(UserError, match=r"asked in other words .*'Problem: QUESTION'"):
        check_models(tmp_path, other)


@pytest.mark.slow
def test_equal_cost_and_nothing_is_done_twice(comparison: Comparison, tmp_path: Path) -> None:
    poor = RunFolder.open(tmp_path / "poor", {}, version=__version__)
    with poor, pytest.raises(UserError, match="tokens do not last") as refused:
        play_comparison(poor, replace(comparison, tokens=10, jobs=1), Heard())
    said = re.search(
        r"--tokens (\d+) .*rft, seed 0: (\d+), distill, seed 0: (\d+)", str(refused.value)
    )
    assert said and int(said[1]) == max(int(said[2]), int(said[3])) > 10
    with RunFolder.open(tmp_path / "run", {}, version=__version__) as folder:
        findings = play_comparison(folder, comparison, Heard())
        for result in findings.results:
            last = result.last.point
            grown = list(result.students)
            assert [s.point.tokens for s in grown] == sorted(s.point.tokens for s in grown)
            assert last.tokens <= 900 < last.tokens + last.left_out
            assert last.passes > 1 and last.problems == 3
            assert last.trees == sum(1 for _ in counted(folder.path, result.method.forest, last))
            assert result.method.name != "rft" or 0 < result.entropy < 3  # of the policy's answers
            figures = figures_of_seed(findings, result)
            pooled = figures_over_seeds(findings, [result])
            assert set(figures.passed) == {1, 4}
            assert figures.accuracy.value == pytest.approx(pooled.accuracy.value)
            assert (figures.against_rft is None) == (result.method.name == "rft")
        watch = Heard()
        again = play_comparison(folder, comparison, watch)
        gone = replace(comparison.engines, teacher="local:nowhere")
        needless = play_comparison(folder, replace(comparison, engines=gone), watch)
    assert not watch.said and again == findings == needless, "nobody asks a model again"


def counted(path: Path, forest: str, point: object) -> list[object]:
    """The trees of all passes whose cost is within what was counted."""
    trees: list[object] = []
    left = point.tokens  # type: ignore[attr-defined]
    for number in range(1, point.passes + 1):  # type: ignore[attr-defined]
        for tree in read_trees(path / "seed-0" / "trees" / forest / f"{number}" / "trees.jsonl"):
            left -= sum(tree.cost.values())
            if left >= 0:
                trees.append(tree)
    return trees


def killed(_engines: Engines) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still there")


def test_who_was_killed_is_told_what_the_command_takes(
    comparison: Comparison, tmp_path: Path
) -> None:
    with RunFolder.open(tmp_path / "run", {}, version=__version__) as folder:
        (folder.path / "base").mkdir()
        for exam in ("greedy", "sampled"):  # as if it had been measured
            (folder.path / "base" / f"{exam}.jsonl").touch()
        with pytest.raises(UserError, match=r"with --set rft\.train\.tokens=") as alone:
            play_comparison(folder, replace(comparison, jobs=1), Heard(), where=killed)
        with pytest.raises(UserError, match=r"with --jobs 1 --set .*\.train\.tokens="):
            play_comparison(folder, comparison, Heard(), where=killed)
    advised = str(alone.value).rpartition("--set ")[2]
    (rft,) = select_methods(TINY, ["rft"], [advised])
    assert rft.train.tokens == TINY["rft"].train.tokens // 2


def counting_threads(_engines: Engines) -> NoReturn:
    import torch

    raise UserError(f"{torch.get_num_threads()} threads")


def test_a_job_computes_on_one_thread_however_many_there_are(
    comparison: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A student depends on its tokens and seed alone, and sums depend on the number of threads."""
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    for jobs in (1, 2):
        with (
            RunFolder.open(tmp_path / "run", {}, version=__version__) as folder,
            pytest.raises(UserError, match=r"^1 threads$"),
        ):
            play_comparison(folder, replace(comparison, jobs=jobs), Heard(), where=counting_threads)


ARGUMENTS = (
    "compare",
    "--preset",
    "smoke",
    "--recipes",
    "rft",
    "--set",
    "rft.shares=[1]",
    "--json",
)


@pytest.mark.slow
def test_a_killed_comparison_goes_on_with_what_it_has_and_with_more_tokens(tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-c", "from whorl.__main__ import main; main()", *ARGUMENTS]
    command += ["--run", str(run)]
    less = [*command, "--tokens", "3000"]
    process = subprocess.Popen(less, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    journal = run / "seed-0" / "trees" / "rft" / "1" / "journal.db"
    deadline = time.monotonic() + 200
    while process.poll() is None and not answered(journal) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.wait()
    kept = answered(journal)
    assert kept
    command += ["--tokens", "4000"]
    done = subprocess.run(command, capture_output=True, text=True)
    while "in use" in done.stderr and time.monotonic() < deadline:  # a child is still ending
        done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert kept <= answered(journal), "no row was written again"
    (found,) = json.loads(done.stdout.splitlines()[-1])
    assert found["recipe"] == "rft" and found["tokens"] <= 4000
    assert found["low"] <= found["accuracy"] <= found["high"]
    page = (run / "compare.html").read_text()
    assert "Accuracy against generated tokens" in page and "rft" in (run / "compare.md").read_text()
    sound = journal.read_bytes()
    at = sound.index(b"policy") + 20
    journal.write_bytes(sound[:at] + bytes([sound[at] ^ 4]) + sound[at + 1 :])
    mended = subprocess.run([*command, "--repair"], capture_output=True, text=True)
    assert mended.returncode == 0 and "repaired" in mended.stderr, mended.stderr
    assert json.loads(mended.stdout.splitlines()[-1]) == [found]
    other = subprocess.run([*command, "--set", "evaluate.n=2"], capture_output=True)
    assert other.returncode == 2 and b"belongs to other settings" in other.stderr


def answered(journal: Path) -> set[tuple[int, bytes]]:
    if not journal.exists():
        return set()
    with closing(connect(journal)) as database:
        tables = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        return set(database.execute("SELECT rowid, ask FROM answer")) if tables else set()
