"""Run files side by side: searches are paid for once, students learn from equally many examples."""

import tomllib
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from sqlite3 import connect
from types import ModuleType

import pytest

from whorl.cli.display import Display
from whorl.data.problems import write_problems
from whorl.data.synthetic import problems
from whorl.errors import UserError
from whorl.loop.runfile import answered, read_run
from whorl.models import POLICY, TEACHER

ROOT = Path(__file__).parents[2]
EXPERIMENTS = sorted(f for f in (ROOT / "runs").glob("*.toml") if "[arms]" in f.read_text())


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda f: f.stem)
def test_the_experiments_that_come_along_can_be_played(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    arms = tomllib.loads(file.read_text())["arms"]
    assert len(arms) > 1
    for run_file, *changes in arms.values():
        answered(read_run(Path(run_file), changes))


def test_arms_share_searches_and_learn_from_as_many_examples(
    tmp_path: Path, load_benchmark: Callable[[str], ModuleType]
) -> None:
    script = load_benchmark("experiment")
    write_problems(tmp_path / "p.jsonl", problems("pool", 5, seed=0, levels=[1, 3]))
    write_problems(tmp_path / "t.jsonl", problems("test", 4, seed=1, levels=[1]))
    file = tmp_path / "run.toml"
    file.write_text(
        f"run = 'unused'\nproblems = '{tmp_path}/p.jsonl'\ntest = '{tmp_path}/t.jsonl'\n"
        f"engines = {{policy = 'local:{POLICY}', critic = 'local:{TEACHER}', "
        f"reviser = 'local:{TEACHER}'}}\n"
        "[recipe]\nname = 'sigma'\npreset = 'tiny'\nuct.simulations = 2\ntemperatures = [0.7]\n"
        "critic_tokens = 48\nreviser_tokens = 32\nsampling.solution_tokens = 128\n"
        "[train]\nepochs = 1\nlr = 1e-3\nmax_length = 512\n"
    )
    arms = {
        "refined": [f"{file}"],
        "paths": [f"{file}", "recipe.take=unrefined"],
        "but right ones": [f"{file}"],
    }
    without = {"but right ones": "right to right"}
    experiment = script.Experiment("unused", arms, 1, often=1, without=without)
    found = script.play(tmp_path / "run", experiment, Display())
    refined, paths, rest = (found["arms"][name] for name in arms)
    assert refined["tokens"] == paths["tokens"] == rest["tokens"], "each in full"
    assert refined["tally"] == rest["tally"] and refined["harvested"] >= paths["harvested"] > 0
    assert rest["harvested"] == rest["examples"] == 0 < refined["examples"]
    assert rest["tests"]["t.jsonl"]["gain"]["points"] == 0, "whoever learns nothing stays the same"
    assert refined["tests"]["t.jsonl"]["over_first"] is None and set(paths["tests"]) == {"t.jsonl"}
    with closing(connect(next((tmp_path / "run" / "seed-0").glob("*policy.db")))) as journal:
        (asked,) = journal.execute("SELECT sum(tokens) FROM answer").fetchone()
    assert asked == refined["tokens"]["policy"], "paid for once"
    assert len(script.table(found).splitlines()) == 2 + 1 + 3
    again = script.play(tmp_path / "run", experiment, Display())
    assert again | {"cpu_minutes": 0} == found | {"cpu_minutes": 0}
    with pytest.raises(UserError, match="ask for no more"):
        script.play(tmp_path / "run", replace(experiment, examples=99), Display())
