"""A name that a server gives its model may be that of a model of the hub, or only look like one."""

from pathlib import Path

import pytest

from whorl.engines.server.tokenizer import load_chat
from whorl.errors import UserError


@pytest.mark.parametrize("name", ["someone/model--GGUF", "someone/without-tokenizer", "model"])
def test_only_who_names_a_tokenizer_is_told_that_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    from huggingface_hub.utils import validate_repo_id

    def downloaded(repository: str, **_: object) -> str:
        validate_repo_id(repository)
        return str(tmp_path)  # weights alone, as repositories of GGUF files have

    monkeypatch.setattr("huggingface_hub.snapshot_download", downloaded)
    assert load_chat("", name) is None
    with pytest.raises(UserError, match=name):
        load_chat(name, "")
