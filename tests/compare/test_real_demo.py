"""The demo with a model of the user's: which engine it gets, and what is played."""

import json
import shutil
from pathlib import Path

import pytest

from whorl.compare.real_demo import PROBLEMS, TEST, on_this_machine, real_demo
from whorl.data.problems import read_problems, write_problems
from whorl.errors import UserError
from whorl.models import POLICY
from whorl.problem import Problem
from whorl.recipes.sigma import Sigma
from whorl.settings.presets import PRESETS


def test_a_model_gets_the_fastest_engine_that_takes_it(tmp_path: Path) -> None:
    pytest.importorskip("openvino_genai")
    assert on_this_machine(str(POLICY)) == f"openvino:{POLICY}?weights=int8"
    assert on_this_machine(f"{POLICY}?template=plain").endswith("?template=plain&weights=int8")
    other = tmp_path / "other"
    shutil.copytree(POLICY, other)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"hidden_act": "gelu"}))
    assert on_this_machine(str(other)) == f"local:{other}?dtype=bfloat16"


def test_an_engine_that_is_named_is_taken_as_it_stands() -> None:
    assert on_this_machine("vllm:me/model?dtype=half") == "vllm:me/model?dtype=half"


def test_it_plays_a_round_of_the_preset(tmp_path: Path) -> None:
    run = real_demo(tmp_path / "demo", "local:policy", critic="local:teacher", seed=3)
    preset = PRESETS[Sigma]["laptop"]
    assert (run.recipe, run.train, run.rounds) == (preset.recipe, preset.train, 1)
    assert (run.engines.critic, run.engines.reviser) == ("local:teacher", "local:teacher")
    assert run.test is not None
    assert len(list(read_problems(run.problems))) == PROBLEMS
    assert len(list(read_problems(run.test))) == TEST
    mine = tmp_path / "mine.jsonl"
    write_problems(mine, [Problem("p", "1+1?", "2")])
    alone = real_demo(tmp_path / "alone", "local:policy", problems=mine)
    assert alone.engines.critic == "local:policy"
    assert alone.problems == mine and len(list(read_problems(mine))) == 1


def test_a_model_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError):
        real_demo(tmp_path / "demo", str(tmp_path / "none"))
