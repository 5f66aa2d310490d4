"""Models that cannot be had or used, and words that may not be said to them: one line each, before
anything is written. Templates that refuse are in `test_names`."""

import json
from pathlib import Path

import gguf
import numpy as np
import pytest
from tests.cli.test_trouble import told
from tests.engines.test_hub import cache, served, server  # noqa: F401

from whorl.models import POLICY


@pytest.fixture
def zebra(tmp_path: Path) -> Path:
    """A GGUF file of an architecture that nobody knows."""
    file = tmp_path / "zebra.gguf"
    writer = gguf.GGUFWriter(file, "zebra")
    writer.add_uint32("zebra.block_count", 1)
    writer.add_tensor("token_embd.weight", np.zeros((8, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def refused(whorl, model: object, problems: Path, folder: Path) -> str:
    """What `evaluate`, `grow` and `train` say of a model, all the same, after writing nothing."""
    before = sorted(folder.iterdir())
    examples = folder.with_name("examples.jsonl")
    examples.write_text(
        '{"prompt": [{"role": "user", "content": "1+1?"}],'
        ' "completion": [{"role": "assistant", "content": "2"}]}\n'
    )
    grow = ("grow", "--recipe", "rft", "--problems", problems, "--run", folder / "run", "--policy")
    commands: list[tuple[object, ...]] = [
        ("evaluate", "--model", model, "--problems", problems, "--out", folder / "s.jsonl"),
        (*grow, model),
        (*grow, f"openvino:{model}"),
        ("train", "--model", model, "--examples", examples, "--out", folder / "tuned"),
    ]
    lines = {told(whorl(*command)) for command in commands}
    assert sorted(folder.iterdir()) == before
    (line,) = lines
    return line


def test_a_gguf_of_an_unknown_architecture(whorl, zebra: Path, held: Path) -> None:
    said = refused(whorl, zebra, held, zebra.parent)
    assert said.endswith("GGUF model with architecture zebra is not supported yet.")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("me/none-such", "no such model at the hub, or a private one that needs a login"),
        ("secret/tiny", "secret/tiny needs its licence accepted: do so on its page at the hub"),
    ],
)
def test_a_model_that_the_hub_does_not_give(
    whorl,
    served: Path,  # noqa: F811
    held: Path,
    tmp_path: Path,
    name: str,
    why: str,
) -> None:
    served.rename(served.parents[1] / "tiny")
    (served.parents[1] / "secret").mkdir()
    (served.parents[1] / "tiny").rename(served.parents[1] / "secret" / "tiny")
    (tmp_path / "out").mkdir()
    assert why in refused(whorl, name, held, tmp_path / "out")


def test_no_network(whorl, held: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # where nobody listens
    (tmp_path / "out").mkdir()
    assert "and the hub is out of reach" in refused(whorl, "me/tiny", held, tmp_path / "out")


def test_a_solved_example_that_is_a_test_question(whorl, held: Path, tmp_path: Path) -> None:
    question = json.loads(held.read_text().splitlines()[2])["question"]
    learned = tmp_path / "learned.jsonl"
    learned.write_text('{"id": "a", "question": "1+1?", "answer": "2"}\n')
    run = tmp_path / "run.toml"
    run.write_text(
        f'run = "{tmp_path / "run"}"\nproblems = "{learned}"\ntest = "{held}"\n'
        f'recipe.name = "rft"\nengines.policy = "{POLICY}"\n'
        f"prompts.examples = [{{question = {json.dumps(question)}, solution = '2'}}]\n"
    )
    why = "prompts: example 1 shows the text of a test problem: "
    assert why in told(whorl("run", run)) and not (tmp_path / "run").exists()
    shots = f"rft.recipe.words.examples=[{{question = {json.dumps(question)}, solution = '2'}}]"
    files = ("--problems", learned, "--test", held, "--policy", POLICY, "--run", tmp_path / "all")
    rest = ("--recipes", "rft", "--tokens", 1000, "--set", shots)
    assert why in told(whorl("compare", *files, *rest)) and not (tmp_path / "all").exists()
    model = tmp_path / "model"
    model.mkdir()
    for file in POLICY.iterdir():
        (model / file.name).symlink_to(file)
    shown = {"question": question, "solution": "2"}
    said = {"solve": {"system": "", "user": "{question}"}, "examples": [shown]}
    (model / "whorl_prompt.json").write_text(json.dumps(said))
    out = tmp_path / "scores.jsonl"
    assert why in told(whorl("evaluate", "--model", model, "--problems", held, "--out", out))
    assert not out.exists()
