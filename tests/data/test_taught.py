"""The words that a model folder says its model was trained under."""

from pathlib import Path

import pytest

from whorl.data.taught import FILE, read_prompt, read_protocol, write_prompt
from whorl.errors import UserError
from whorl.prompts.wording import SETS, WHORL, Request, Shot, Wording

OWN = Wording(solve=Request("", "Q: {question}\nA:"), examples=(Shot("1+1?", "\\boxed{2}"),))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_prompt(tmp_path, OWN)
    assert read_prompt(tmp_path) == OWN
    write_prompt(tmp_path, SETS["qwen"])
    assert read_prompt(tmp_path) == SETS["qwen"]


def test_the_words_of_the_house_need_no_file(tmp_path: Path) -> None:
    write_prompt(tmp_path, OWN)
    write_prompt(tmp_path, SETS["prose"])  # a solution is asked for as ever
    assert not (tmp_path / FILE).exists()
    assert read_prompt(tmp_path) == WHORL


def test_a_protocol_with_words_of_its_own_is_said_by_its_name(tmp_path: Path) -> None:
    assert read_protocol(tmp_path) == "whorl"
    write_prompt(tmp_path, OWN, "dart")
    assert (read_protocol(tmp_path), read_prompt(tmp_path)) == ("dart", WHORL)
    write_prompt(tmp_path, OWN)
    assert (read_protocol(tmp_path), read_prompt(tmp_path)) == ("whorl", OWN)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"solve": {"user": "hi"}, "examples": []}'])
def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(UserError, match=rf"{FILE} cannot be read"):
        read_prompt(tmp_path)
