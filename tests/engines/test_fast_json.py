import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whorl.engines.fast_json import dumps, loads

ANYTHING = st.text(st.characters(exclude_categories=()))  # lone surrogates as well
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | ANYTHING,
    lambda inner: st.lists(inner) | st.dictionaries(ANYTHING, inner),
)


@given(VALUES)
def test_what_is_written_is_read(value: object) -> None:
    read = loads(dumps(value))
    assert read == value
    assert repr(read) == repr(value)  # 1.0 does not become 1


@given(VALUES)
def test_it_is_the_standard_librarys_json(value: object) -> None:
    assert json.loads(dumps(value)) == value
    assert loads(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    "said", [b'{"logprob": -Infinity}', b"[NaN]", b'"\\ud83d"', b"\xef\xbb\xbf{}"]
)
def test_what_only_the_standard_library_reads_is_read(said: bytes) -> None:
    assert repr(loads(said)) == repr(json.loads(said))


@pytest.mark.parametrize("said", [b"", b"<html>", b'{"a": ', b"\xff\xfe\x00", b"[" * 100_000])
def test_what_is_no_json_is_a_value_error(said: bytes) -> None:
    with pytest.raises(ValueError):
        loads(said)
