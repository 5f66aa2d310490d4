"""Tokenizers under chat templates of several kinds."""

from collections.abc import Callable

import pytest
from tokenizers import AddedToken
from transformers import PreTrainedTokenizerFast

from whorl.models import POLICY

Make = Callable[..., PreTrainedTokenizerFast]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second for a conversation: whoever loops is waited for."""
    monkeypatch.setattr("whorl.chat.renderer.SECONDS", 1)


@pytest.fixture(scope="session")
def tokenizer() -> Make:
    """Makes the shipped models' tokenizer with a chat template and marks of its own."""

    def make(template: str, *marks: str, eos: str | None = "</s>", words: tuple[str, ...] = ()):
        made = PreTrainedTokenizerFast(tokenizer_file=str(POLICY / "tokenizer.json"), eos_token=eos)
        made.add_tokens([AddedToken(mark, special=True, normalized=False) for mark in marks])
        made.add_tokens([AddedToken(word, special=False, normalized=False) for word in words])
        made.chat_template = template
        return made

    return make
