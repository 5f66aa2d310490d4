"""A model whose thoughts stand between special tokens: every engine reads them as one with ours."""

from pathlib import Path

import pytest
from benchmarks.tiny import save_llama
from tests.engines.test_run_on import replies
from tokenizers import AddedToken
from transformers import PreTrainedTokenizerFast

from whorl.answer.thoughts import CLOSE, OPEN
from whorl.ask import Ask, Engine, Prompt
from whorl.chat.named import PLAIN
from whorl.engines.generate import Generate
from whorl.engines.local import Local
from whorl.example import Weighted
from whorl.learn.train import train
from whorl.learn.training import Training
from whorl.models import POLICY
from whorl.prompts.families import FAMILIES
from whorl.prompts.thinking import STOP

ASKED = Prompt("", "7 + 5?")
MARKS = {
    "magistral": ("[THINK]", "[/THINK]"),
    "gpt-oss": ("<|start|>", "<|end|>", "<|message|>", "<|channel|>"),
}


@pytest.fixture(scope="module", params=list(MARKS))
def thinker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has learned a thought and an answer by heart, in its family's marks."""
    root = tmp_path_factory.mktemp("thinker")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(POLICY / "tokenizer.json"), eos_token="<|eos|>", pad_token="<|pad|>"
    )
    tokenizer.add_tokens(
        [AddedToken(mark, special=True, normalized=False) for mark in MARKS[request.param]]
    )
    tokenizer.chat_template = PLAIN
    save_llama(root / "start", tokenizer)
    learned = Weighted(ASKED, OPEN + "7, 12." + CLOSE + "It is 12.")
    train(root / "start", [learned], root / "model", settings=Training(epochs=100, lr=0.01))
    return root / "model"


@pytest.mark.parametrize("kind", [Local, Generate])
def test_a_thought_is_read_stopped_at_and_gone_on_from(thinker: Path, kind: type[Engine]) -> None:
    whole = Ask(ASKED, max_tokens=60, temperature=0.0)
    (reply,) = replies(kind(thinker), whole)  # type: ignore[call-arg]
    assert (reply.text, reply.finished) == (OPEN + "7, 12." + CLOSE + "It is 12.", "eos")
    begun = Ask(Prompt("", ASKED.user, OPEN), stop=(STOP,), max_tokens=60, temperature=0.0)
    (thought,) = replies(kind(thinker), begun)  # type: ignore[call-arg]
    assert (thought.text.strip(), thought.finished) == ("7, 12.", "stop")
    behind = Prompt("", ASKED.user, OPEN + "7, 12." + CLOSE)
    (rest,) = replies(kind(thinker), Ask(behind, max_tokens=60, temperature=0.0))  # type: ignore[call-arg]
    assert (rest.text, rest.finished) == ("It is 12.", "eos")


def test_the_marks_are_those_of_a_family(thinker: Path) -> None:
    assert Local(thinker).chat.thoughts.marks in [FAMILIES[name].marks for name in MARKS]
