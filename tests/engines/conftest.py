"""A tiny byte-level tokenizer with a chat template, and random models that use it; a simulated
server."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from benchmarks.tiny import save_llama
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from whorl.ask import Ask, Engine, Reply

Folder = Callable[..., Path]

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
TEXTS = [
    "Anna has 3 apples and buys 12 more. How many apples does she have?\n\n3 + 12 = 15",
    "Step 1: compute 7 * 8 = 56.\n\nStep 2: subtract 6, 56 - 6 = 50.\n\nThe answer is 50.",
    "Café, naïve, Straße, 数学, 🌱🌿 and all the other letters: über, élan, ångström.",
]


def train_tokenizer(vocabulary: int) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    pattern = Regex(r"\n+|\d| ?[A-Za-z]+| ?[^\sA-Za-z\d]|\s")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(pattern, "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<|pad|>", "<|bos|>", "<|eos|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|bos|>",
        eos_token="<|eos|>",
        pad_token="<|pad|>",
    )
    fast.chat_template = TEMPLATE
    return fast


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(384)


@pytest.fixture(scope="session")
def llama(tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Makes the folder of a random Llama; keyword arguments go into its configuration."""

    def make(seed: int = 0, **settings: object) -> Path:
        torch.manual_seed(seed)
        own = {"intermediate_size": 112, "initializer_range": 0.15} | settings
        return save_llama(tmp_path_factory.mktemp("llama"), tokenizer, **own)

    return make


def replies(engine: Engine, ask: Ask) -> tuple[Reply, ...]:
    """What an engine says to one ask, before it is closed."""
    engine.submit(0, ask)
    found = engine.poll(1.0)
    while not found:
        found = engine.poll(1.0)
    engine.close()
    ((_, said),) = found
    assert isinstance(said, tuple)
    return said
