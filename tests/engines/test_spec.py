"""An engine's name says itself back as it was written."""

import pytest

from whorl.engines.spec import Spec


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("local:models/a", ("local", "models/a", "")),
        ("vllm:C?dtype=float32&x=", ("vllm", "C", "dtype=float32&x=")),
        (
            "server:http://h:1/v1,http://g/v1?model=a/b",
            ("server", "http://h:1/v1,http://g/v1", "model=a/b"),
        ),
    ],
)
def test_a_name_in_its_parts(text: str, parts: tuple[str, str, str]) -> None:
    spec = Spec.read(text)
    assert (spec.scheme, spec.place, spec.query) == parts
    assert str(spec) == text


def test_settings_are_read_by_name() -> None:
    assert Spec.read("vllm:C?dtype=float32&x=&y=a%20b").settings == {
        "dtype": "float32",
        "x": "",
        "y": "a b",
    }
    assert Spec.read("somewhere") == Spec("local", "somewhere")
    assert Spec.read("a/b?template=c:d") == Spec("local", "a/b", "template=c:d")
