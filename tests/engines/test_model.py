"""Models by name, and what of a folder is not read."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from whorl.chat import Chat
from whorl.engines import open_engine
from whorl.engines.gguf import write_gguf
from whorl.engines.model import (
    copy_model,
    find_model,
    model_content,
    pending,
    read_config,
    unaddressed,
)
from whorl.errors import UserError
from whorl.learn.train import train
from whorl.learn.training import Training
from whorl.models import POLICY, PRM


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_the_shipped_models_have_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_model("local:policy").folder.samefile(POLICY)
    assert model_content("local:policy") == model_content(f"local:{POLICY}")
    open_engine("prm:prm", processes=0).close()
    with pytest.raises(UserError, match="is a process reward model; write prm:"):
        open_engine("prm")
    (tmp_path / "policy").mkdir()
    assert find_model("policy").folder == Path("policy")
    assert PRM.is_dir() and pending("policy") == ""


@pytest.mark.parametrize(
    ("files", "why"),
    [
        (("pytorch_model.bin",), r"has pickled weights \(pytorch_model.bin\), which can run any"),
        (("model.pt",), r"has pickled weights \(model.pt\)"),
        ((), "has no weights"),
    ],
)
def test_weights_that_are_not_read(
    tiny_model: Path, tmp_path: Path, files: tuple[str, ...], why: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    for name in files:
        (folder / name).write_bytes(b"\x80\x04.")
    for spec in (f"local:{folder}", f"openvino:{folder}"):
        with pytest.raises(UserError, match=why) as caught:
            open_engine(spec)
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=why):
        train(folder, [], tmp_path / "out", settings=Training())


def test_pickles_beside_safetensors_are_passed_over(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    (folder / "pytorch_model.bin").write_bytes(b"no weights at all")
    open_engine(f"local:{folder}", processes=0).close()


def test_a_part_that_is_lacking(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match="lacks a part of its weights: model-00001-of-00002"):
        read_config(folder)


def test_code_of_a_models_own_never_runs(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, ran = tmp_path / "model", tmp_path / "ran"
    shutil.copytree(tiny_model, folder)
    code = f"open({str(ran)!r}, 'w')\nraise SystemExit\n"
    (folder / "modeling_own.py").write_text(code)
    (folder / "tokenization_own.py").write_text(code)
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "own",
        "architectures": ["OwnForCausalLM"],
        "auto_map": {
            "AutoConfig": "modeling_own.OwnConfig",
            "AutoModelForCausalLM": "modeling_own.OwnForCausalLM",
        },
    }
    (folder / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    with pytest.raises(UserError) as caught:
        open_engine(f"local:{folder}", processes=0)
    assert "\n" not in str(caught.value) and "code of its own" in str(caught.value)
    with pytest.raises(UserError, match="code of its own"):
        train(folder, [], tmp_path / "out", settings=Training())
    with pytest.raises(UserError, match="leave out trust_remote_code"):
        open_engine(f"vllm:{tiny_model}?trust_remote_code=true")
    assert not ran.exists()


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """The shipped policy as a GGUF file."""
    file = tmp_path / "small.gguf"
    write_gguf(POLICY, file, dtype="float32")
    return file


def test_a_gguf_file_is_a_model(packed: Path) -> None:
    # what is written has no chat template, as base models have none
    found = find_model(f"local:{packed}?template=plain")
    read = AutoModelForCausalLM.from_pretrained(found.folder, dtype=torch.float32).state_dict()
    ours = AutoModelForCausalLM.from_pretrained(POLICY, dtype=torch.float32).state_dict()
    assert all(torch.equal(read[name], weight) for name, weight in ours.items())
    assert find_model(f"{packed}?template=plain").folder == found.folder  # it is read once
    assert model_content(f"local:{packed}").startswith("local:small.gguf ")
    open_engine(f"local:{packed}?template=plain", processes=0).close()


def test_a_gguf_file_that_cannot_be_read(packed: Path, tmp_path: Path) -> None:
    said = packed.read_bytes()
    odd = tmp_path / "odd.gguf"
    odd.write_bytes(
        said.replace(b"\x05\x00\x00\x00\x00\x00\x00\x00llama", b"\x05" + bytes(7) + b"lalma", 1)
    )
    with pytest.raises(UserError, match="lalma") as caught:
        find_model(str(odd))
    assert "\n" not in str(caught.value) and str(odd) in str(caught.value)
    for damaged in (said[:1000], said[:-1000]):
        odd.write_bytes(damaged)
        with pytest.raises(UserError, match="is damaged, or was not downloaded to its end"):
            find_model(str(odd))
    for other in (b"", b"version https://git-lfs.github.com/spec/v1"):
        odd.write_bytes(other)
        with pytest.raises(UserError, match="is no GGUF file"):
            find_model(str(odd))
    with pytest.raises(UserError, match=r"there is no file 'none.gguf'"):
        find_model("none.gguf")
    assert not list((tmp_path / "cache" / "whorl" / "gguf").glob("*/odd"))


def test_a_folder_is_made_of_any_model(packed: Path, tmp_path: Path) -> None:
    out = tmp_path / "folder"
    copy_model(find_model(f"{packed}?template=alpaca"), out)
    assert not any(file.is_symlink() for file in out.iterdir())
    assert Chat.load(out).stops == ("\n### Instruction:",)
    with pytest.raises(UserError, match="exists; choose another"):
        copy_model(find_model("policy"), out)


def test_a_server_is_known_by_its_model_wherever_it_is() -> None:
    here, there = (f"server:http://{host}/v1?model=Q&patience=9" for host in ("a:1", "b:2"))
    assert unaddressed(here) == unaddressed(there) == model_content(here) == "server:Q"
    assert unaddressed("server:http://a:1/v1") == "server:http://a:1/v1"
    assert unaddressed("local:models/own?dtype=bfloat16") == "local:models/own?dtype=bfloat16"
