"""A model whose thoughts stand between special tokens: every engine reads them as one with ours.
`make test-vllm` runs it in vLLM too."""

from pathlib import Path

import pytest
from benchmarks.tiny import save_llama
from tests.engines.conftest import replies
from tokenizers import AddedToken
from transformers import PreTrainedTokenizerFast

from whorl.answer.thoughts import CLOSE, OPEN
from whorl.ask import Ask, Engine, Prompt
from whorl.chat import Chat
from whorl.chat.named import PLAIN
from whorl.engines import open_engine
from whorl.example import Weighted
from whorl.learn.train import train
from whorl.learn.training import Training
from whorl.models import POLICY
from whorl.prompts.families import FAMILIES
from whorl.prompts.thinking import STOP

VLLM = "?dtype=float32&enforce_eager=true&kv_cache_memory_bytes=268435456&block_size=32"
VLLM_MARKS = [pytest.mark.vllm, pytest.mark.filterwarnings("ignore")]
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
    # vLLM on a CPU takes heads of 32 numbers at least
    save_llama(root / "start", tokenizer, hidden_size=128, intermediate_size=128)
    learned = Weighted(ASKED, OPEN + "7, 12." + CLOSE + "It is 12.")
    train(root / "start", [learned], root / "model", settings=Training(epochs=100, lr=0.01))
    return root / "model"


def opened(kind: str, folder: Path) -> Engine:
    if kind == "generate":
        from whorl.engines.generate import Generate

        return Generate(folder)
    return open_engine(f"{kind}:{folder}{VLLM if kind == 'vllm' else ''}", processes=0)


@pytest.mark.parametrize(
    "kind", ["local", "generate", "openvino", pytest.param("vllm", marks=VLLM_MARKS)]
)
def test_a_thought_is_read_stopped_at_and_gone_on_from(thinker: Path, kind: str) -> None:
    whole = Ask(ASKED, max_tokens=60, temperature=0.0)
    (reply,) = replies(opened(kind, thinker), whole)
    assert (reply.text, reply.finished) == (OPEN + "7, 12." + CLOSE + "It is 12.", "eos")
    begun = Ask(Prompt("", ASKED.user, OPEN), stop=(STOP,), max_tokens=60, temperature=0.0)
    (thought,) = replies(opened(kind, thinker), begun)
    assert (thought.text.strip(), thought.finished) == ("7, 12.", "stop")
    behind = Prompt("", ASKED.user, OPEN + "7, 12." + CLOSE)
    (rest,) = replies(opened(kind, thinker), Ask(behind, max_tokens=60, temperature=0.0))
    assert (rest.text, rest.finished) == ("It is 12.", "eos")


def test_the_marks_are_those_of_a_family(thinker: Path) -> None:
    assert Chat.load(thinker).thoughts.marks in [FAMILIES[name].marks for name in MARKS]
