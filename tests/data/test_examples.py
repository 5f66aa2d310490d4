import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.ask import Prompt
from whorl.data.examples import read_examples, write_examples
from whorl.errors import UserError
from whorl.example import Example, Pair, Weighted

PROMPTS = st.builds(Prompt, st.text(), st.text(), st.text())
WEIGHTED = st.builds(
    Weighted,
    PROMPTS,
    st.text(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.text(),
)
PAIRS = st.builds(Pair, PROMPTS, st.text(), st.text(), st.booleans(), st.booleans(), st.text())
GOOD = {
    "prompt": [{"role": "user", "content": "1+1?"}],
    "completion": [{"role": "assistant", "content": "2"}],
}
PAIR = {
    "prompt": GOOD["prompt"],
    "chosen": GOOD["completion"],
    "rejected": [{"role": "assistant", "content": "3"}],
}


@given(st.lists(WEIGHTED | PAIRS, max_size=4))
def test_reading_gives_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, examples: list[Example]
) -> None:
    path = tmp_path_factory.mktemp("examples") / "examples.jsonl"
    assert write_examples(path, examples) == len(examples)
    assert list(read_examples(path)) == examples


def test_defaults_are_left_out_and_columns_are_trls(tmp_path: Path) -> None:
    path = tmp_path / "examples.jsonl"
    write_examples(
        path, [Weighted(Prompt("", "1+1?"), "2"), Weighted(Prompt("Be brief.", "q", "So"), " 2")]
    )
    first, second = map(json.loads, path.read_text().splitlines())
    assert first == GOOD | {"weight": 1.0}
    assert second["prompt"][0] == {"role": "system", "content": "Be brief."}
    assert second["prefix"] == "So"


def test_a_plain_trl_row_is_an_example_of_weight_one(tmp_path: Path) -> None:
    path = tmp_path / "examples.jsonl"
    path.write_text(json.dumps(GOOD) + "\n\n")
    assert list(read_examples(path)) == [Weighted(Prompt("", "1+1?"), "2", 1.0)]


def test_a_pair_has_trls_columns(tmp_path: Path) -> None:
    path = tmp_path / "examples.jsonl"
    write_examples(path, [Pair(Prompt("", "1+1?"), "2", "3")])
    assert json.loads(path.read_text()) == PAIR


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('{"prompt": ', "not a line of JSON"),
        ("\udcff", "not a line of JSON"),
        ("[1]", "expected an object"),
        (json.dumps({"prompt": "1+1?", "completion": "2"}), "prompt must be a list of messages"),
        (json.dumps(GOOD | {"completion": []}), "completion must be"),
        (json.dumps(GOOD | {"completion": GOOD["prompt"]}), "completion must be"),
        (json.dumps({"prompt": GOOD["prompt"]}), "completion must be"),
        (json.dumps(GOOD | {"weight": "1"}), "weight must be a finite number"),
        (json.dumps(GOOD | {"weight": math.nan}), "weight must be a finite number"),
        (json.dumps(GOOD | {"weight": 10**400}), "weight must be a finite number"),
        (json.dumps(GOOD | {"ended": 1}), "ended must be true or false"),
        (json.dumps(GOOD | {"wieght": 1}), "unknown column 'wieght'"),
        (json.dumps(GOOD | {"prefix": 1}), "prefix and origin must be text"),
        (json.dumps(PAIR | {"weight": 1}), "unknown column 'weight'"),
        (json.dumps(PAIR | {"chosen_ended": 0}), "chosen_ended and rejected_ended must be true"),
        (json.dumps({k: v for k, v in PAIR.items() if k != "rejected"}), "rejected must be"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, complaint: str) -> None:
    path = tmp_path / "examples.jsonl"
    path.write_text(json.dumps(GOOD) + "\n" + line + "\n", errors="surrogateescape")
    reader = read_examples(path)
    next(reader)
    with pytest.raises(UserError, match=complaint) as caught:
        next(reader)
    assert str(caught.value).startswith(f"{path}:2: ")
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.jsonl cannot be read: No such file"):
        list(read_examples(tmp_path / "none.jsonl"))


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "examples.jsonl"
    write_examples(path, [Weighted(Prompt("", "q"), "a")])
    before = path.read_bytes()
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_examples(path, [Weighted(Prompt("", "q"), "b", weight=math.inf)])
    assert path.read_bytes() == before
