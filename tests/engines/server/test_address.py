import pytest

from whorl.engines.server.address import Address, read_address
from whorl.engines.spec import Spec
from whorl.errors import UserError


def read(rest: str) -> Address:
    return read_address(Spec.read(f"server:{rest}"))


def test_an_address_names_endpoints_and_says_how_to_use_them() -> None:
    address = read(
        "http://one:8000,https://two.example/api/v2/?model=org/name&in_flight=8&timeout=2.5"
    )
    assert address == Address(
        ("http://one:8000/v1", "https://two.example/api/v2"),
        model="org/name",
        in_flight=8,
        timeout=2.5,
    )


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ("", "http://HOST:PORT/v1"),
        ("localhost:8000", "http://HOST:PORT/v1"),
        ("ftp://host/v1", "http://HOST:PORT/v1"),
        ("http://host:port/v1", "http://HOST:PORT/v1"),
        ("http://host,", "http://HOST:PORT/v1"),
        ("http://host?modle=x", "did you mean model?"),
        ("http://host?in_flight=0", "in_flight"),
        ("http://host?timeout=soon", "timeout"),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_hint(rest: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        read(rest)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "rest",
    [
        "https://user:sesame@host/v1",
        "user:sesame@host:8000/v1",
        "https://host/v1?api_key=sesame",
        "https://host/v1?key=sk-sesame",
        "https://host/v1?key=sesame",
    ],
)
def test_a_key_in_an_address_is_refused_and_not_repeated(rest: str) -> None:
    with pytest.raises(UserError) as caught:
        read(rest)
    assert "sesame" not in str(caught.value)


def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "sesame")
    assert read("http://host?key=SOME_KEY").secret() == "sesame"
    monkeypatch.delenv("SOME_KEY")
    with pytest.raises(UserError, match="SOME_KEY"):
        read("http://host?key=SOME_KEY").secret()
    monkeypatch.setenv("SOME_KEY", "sesame\n")  # as a file has it
    assert read("http://host?key=SOME_KEY").secret() == "sesame"
    monkeypatch.setenv("SOME_KEY", "ses\r\nX-Other: ame")
    with pytest.raises(UserError, match="SOME_KEY") as caught:
        read("http://host?key=SOME_KEY").secret()
    assert "ses" not in str(caught.value)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert read("http://host").secret() == ""
