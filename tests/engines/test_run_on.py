"""A model that goes on into the user's next turn: no engine lets any of that into a reply."""

from pathlib import Path

import pytest
from benchmarks.tiny import save_llama
from tests.engines.conftest import replies
from tokenizers import AddedToken
from transformers import PreTrainedTokenizerFast

from whorl.ask import Ask, Engine, Prompt
from whorl.chat.named import ALPACA, QWEN
from whorl.engines.generate import Generate
from whorl.engines.local import Local
from whorl.engines.openvino import OpenVino
from whorl.example import Weighted
from whorl.learn.train import train
from whorl.learn.training import Training
from whorl.models import POLICY

ANSWER = "It is 12."
AFTER = {
    "alpaca": "\n### Instruction:\nAnd then?",
    "qwen": "<|im_start|>user\nAnd then?",
    "user": "<User>And then?",
}
TEMPLATES = {
    "alpaca": ALPACA,
    "qwen": QWEN,
    "user": "{% for m in messages %}<User>{{ m.content }}{{ eos_token }}{% endfor %}",
}


@pytest.fixture(scope="session", params=list(AFTER))
def talker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has learned by heart to answer and then to ask itself, under a template whose
    turns begin with words, a special token or a token that is not called special."""
    root, kind = tmp_path_factory.mktemp("talker"), request.param
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(POLICY / "tokenizer.json"), eos_token="<|eos|>", pad_token="<|pad|>"
    )
    tokenizer.add_tokens(
        [
            AddedToken(mark, special=mark != "<User>", normalized=False)
            for mark in ("<|im_start|>", "<|im_end|>", "<User>")
        ]
    )
    tokenizer.chat_template = TEMPLATES[kind]
    save_llama(root / "start", tokenizer)
    learned = Weighted(Prompt("", "7 + 5?"), ANSWER + AFTER[kind], ended=False)
    train(root / "start", [learned], root / "model", settings=Training(epochs=100, lr=0.01))
    return root / "model"


@pytest.mark.parametrize("kind", [Local, Generate, OpenVino])
def test_a_reply_ends_where_the_turn_does(talker: Path, kind: type[Engine]) -> None:
    ask = Ask(Prompt("", "7 + 5?"), max_tokens=40, temperature=0.0, stop=("\n\n",))
    (reply,) = replies(kind(talker), ask)  # type: ignore[call-arg]
    assert (reply.text, reply.finished) == (ANSWER, "eos")


def test_a_stop_string_that_comes_first_is_a_stop(talker: Path) -> None:
    ask = Ask(Prompt("", "7 + 5?"), max_tokens=40, temperature=0.0, stop=("12",))
    (reply,) = replies(Local(talker), ask)
    assert (reply.text, reply.finished) == ("It is ", "stop")
