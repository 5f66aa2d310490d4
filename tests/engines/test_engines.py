"""`open_engine`: what is refused, and in which words."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from whorl.engines import check, open_engine
from whorl.engines.local import Local
from whorl.errors import UserError


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("locl:somewhere", r"known are local:\.\.\., .*; did you mean local:"),
        ("somewhere", "no model folder 'somewhere'"),
        ("htp://somewhere", "'htp' is no kind of engine"),
        ("local:", "no model folder"),
        ("local:/no/such/folder", "no model folder '/no/such/folder'"),
        ("", "an empty name is no model's"),
        ("policy?dtype=float32&dtype=bfloat16", "dtype is given twice"),
        (
            "server:http://h/v1?model=a&key=sk-sesame&key=sk",
            "key is given twice in the name of one",
        ),
    ],
)
def test_a_wrong_name(spec: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        open_engine(spec)


@pytest.mark.parametrize(
    ("spec", "address"),
    [
        ("https://user:sk-sesame@host/v1", "https://host/v1"),
        ("http://a:sk-sesame@one,http://b:sk-sesame@two/v1", "http://two/v1"),
        ("https://host/v1?key=sk-sesame", r"https://host/v1\?\.\.\."),
        ("https://user:sk?sesame@host/v1", r"https://\.\.\.\?\.\.\."),
        ("https://host/v1#sk-sesame", "https://host/v1"),
    ],
)
def test_a_key_in_an_address_is_not_repeated(spec: str, address: str) -> None:
    with pytest.raises(UserError, match=f"^{address} is an address; write server:{address}$"):
        check(spec)


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("config.json", "it has no config.json"),
        ("tokenizer*", "has no tokenizer"),
        ("chat_template.jinja", "has no chat template"),
        ("model.safetensors", "has no weights"),
    ],
)
def test_an_incomplete_folder(llama, tmp_path: Path, missing: str, words: str) -> None:
    for file in llama().iterdir():
        if not file.match(missing):
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(UserError, match=words):
        open_engine(f"local:{tmp_path}")


@pytest.mark.parametrize("scheme", ["local", "openvino"])
def test_weights_of_more_layers_than_the_configuration_says(
    llama, tmp_path: Path, scheme: str
) -> None:
    shutil.copytree(llama(num_hidden_layers=2), tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 1}))
    with pytest.raises(UserError, match=r"weights of 2 layers, and its config\.json says 1"):
        open_engine(f"{scheme}:{tmp_path}")
    drafts = {"num_hidden_layers": 1, "num_nextn_predict_layers": 1}
    (tmp_path / "config.json").write_text(json.dumps(config | drafts))
    open_engine(f"{scheme}:{tmp_path}", processes=0).close()


def test_the_numbers_that_a_model_computes_in_can_be_chosen(llama) -> None:
    folder = llama()
    engine = open_engine(f"local:{folder}?dtype=bfloat16", processes=0)
    assert isinstance(engine, Local) and engine.dtype == torch.bfloat16
    engine.close()
    with pytest.raises(UserError, match="dtype should be float32 or bfloat16, not 'half'"):
        open_engine(f"local:{folder}?dtype=half")
