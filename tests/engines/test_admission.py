"""Which asks a model takes, by one rule for all engines."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from whorl.ask import Ask, Failure, Prompt, Replies, Reply, made
from whorl.chat import Chat
from whorl.engines import open_engine
from whorl.engines.admission import admitted, fitting


def letters(prompt: Prompt) -> list[int]:
    return list(map(ord, prompt.user))


@pytest.mark.parametrize(
    ("user", "ask", "answer"),
    [
        ("", {}, Failure("prompt is empty")),
        ("abc", {}, None),
        ("abcd", {"n": 2}, (Reply(finished="length", logprob=0.0),) * 2),
        ("abcde", {}, Failure("prompt has 5 tokens, the model takes 4")),
        ("abc", {"max_tokens": 0}, (Reply(finished="length", logprob=0.0),)),
        ("abc", {"n": 0}, ()),
    ],
)
def test_what_needs_no_model_is_answered_at_once(
    user: str, ask: dict[str, int], answer: Replies | Failure | None
) -> None:
    ids, said = admitted(Ask(Prompt("", user), **ask), letters, 4)  # type: ignore[arg-type]
    assert said == answer
    assert answer is not None or ids == letters(Prompt("", user))
    assert admitted(Ask(Prompt("", "a" * 999)), letters, None)[1] is None


def test_tokens_that_the_model_does_not_know_are_the_asks_own_failure() -> None:
    ask = Ask(Prompt("", "abc"))
    assert admitted(ask, letters, None, known=100)[1] is None
    said = admitted(ask, letters, None, known=99)[1]
    assert said == Failure(
        "the tokenizer gives token 99, but the model knows only 99: they do not belong together"
    )


def test_advice_is_given_for_what_is_too_long() -> None:
    long = fitting(Prompt("", "abcde"), letters, 4, ": write less")
    assert long == Failure("prompt has 5 tokens, the model takes 4: write less")
    assert fitting(Prompt("", "abcd"), letters, 4) == letters(Prompt("", "abcd"))


@pytest.mark.parametrize("engine", ["local", "generate", "openvino", "server"])
def test_engines_agree_on_what_they_take(
    engine: str,
    llama: Callable[..., Path],
    rig_server: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One token short of the limit, at it and beyond."""
    if engine == "openvino":
        pytest.importorskip("openvino_genai")
    if engine == "generate":
        monkeypatch.setattr("whorl.engines.local.llama.unsupported", lambda _: "a test")
    folder = llama(max_position_embeddings=256)
    chat = Chat.load(folder)
    spec = f"{'local' if engine == 'generate' else engine}:{folder}"
    if engine == "server":
        spec = f"server:{rig_server(tokenizer=str(folder), context=256)}?tokenizer={folder}"
    with pytest.warns(UserWarning) if engine == "generate" else nullcontext():
        opened = open_engine(spec, processes=0)
    try:
        found: dict[int, Replies | Failure] = {}
        for ticket in range(3):
            prompt = Prompt("", "7" * (256 - len(chat.encode(Prompt("", "7"))) + ticket))
            assert len(chat.encode(prompt)) == 255 + ticket
            opened.submit(ticket, Ask(prompt, max_tokens=9, temperature=0.0))
        while len(found) < 3:
            found.update(opened.poll(0.1))
    finally:
        opened.close()
    assert [reply.tokens for reply in made(found[0])] == [1]
    assert found[1] == (Reply(finished="length", logprob=0.0),)
    assert isinstance(found[2], Failure)
    assert found[2].error.startswith("prompt has 257 tokens, the model takes 256")
