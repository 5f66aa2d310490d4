"""Engines' names in their parts."""

import pytest

from whorl.spec import Spec


@pytest.mark.parametrize(
    "text",
    ["local:a/b", "vllm:a?dtype=float32", "server:http://h:8000/v1,http://i?model=a/b&key=K"],
)
def test_a_name_is_the_sum_of_its_parts(text: str) -> None:
    assert str(Spec.read(text)) == text


def test_settings_are_read_as_written() -> None:
    named = Spec.read("vllm:a:b?dtype=float32&empty=")
    assert (named.scheme, named.place) == ("vllm", "a:b")
    assert named.settings == {"dtype": "float32", "empty": ""}
