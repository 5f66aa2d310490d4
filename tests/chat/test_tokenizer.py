"""A tokenizer is the one that `AutoTokenizer` finds, sooner."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tokenizers import pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerBase, Qwen2Tokenizer

from whorl.chat.tokenizer import load_tokenizer
from whorl.engines.model import SHIPPED, find_model
from whorl.errors import UserError

NEEDED = """
import sys
from pathlib import Path
from whorl.chat.tokenizer import load_tokenizer
for folder in sys.argv[1:]:
    load_tokenizer(Path(folder))
print("torch" in sys.modules)
"""


def qwen(folder: Path, kind: str, **said: object) -> Path:
    """A folder with a tokenizer as Qwen's models have it, of bytes."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate(["<|endoftext|>", *letters])}
    Qwen2Tokenizer(vocab=vocabulary, merges=[], eos_token="<|im_end|>").save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": kind, "hidden_size": 64}))
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | said))
    return folder


def alike(one: PreTrainedTokenizerBase, other: PreTrainedTokenizerBase) -> bool:
    return type(one) is type(other) and all(
        getattr(one, name) == getattr(other, name)
        for name in (
            *("init_kwargs", "special_tokens_map", "chat_template", "added_tokens_encoder"),
            *("model_max_length", "padding_side", "clean_up_tokenization_spaces"),
        )
    )


def check(folder: Path) -> None:
    found, expected = load_tokenizer(folder), AutoTokenizer.from_pretrained(folder)
    assert alike(found, expected)
    assert found.backend_tokenizer.to_str() == expected.backend_tokenizer.to_str()
    text = "Café: 3 apples cost 12 * 0.5 = 6 ¢.\n\n<|im_end|><|eos|>"
    assert found(text)["input_ids"] == expected(text)["input_ids"]


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_models_have_the_tokenizer_that_transformers_finds(name: str) -> None:
    check(find_model(f"local:{name}").folder)


@pytest.mark.parametrize("kind", ["qwen2", "qwen3", "llama", "nothing"])
@pytest.mark.parametrize("name", ["Qwen2Tokenizer", "TokenizersBackend", "Qwen2TokenizerFast"])
def test_others_too_whatever_their_files_say(tmp_path: Path, kind: str, name: str) -> None:
    check(qwen(tmp_path, kind, tokenizer_class=name))


def test_a_tokenizer_needs_no_torch(tmp_path: Path, tiny_model: Path) -> None:
    folders = [str(folder) for folder in (tiny_model, qwen(tmp_path, "qwen2"))]
    done = subprocess.run(
        [sys.executable, "-c", NEEDED, *folders], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def test_a_folder_without_a_vocabulary_is_refused(tmp_path: Path) -> None:
    folder = qwen(tmp_path, "qwen2")
    for path in ("tokenizer.json", "vocab.json", "merges.txt"):
        (folder / path).unlink(missing_ok=True)
    with pytest.raises(UserError, match="has no vocabulary; put its tokenizer"):
        load_tokenizer(folder)
