"""Fixtures shared by the whole suite."""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import settings

settings.register_profile("whorl", deadline=None)  # a busy machine is no failure
settings.load_profile("whorl")

TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|eos|>"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of 2 layers with a byte-level tokenizer and a chat template, as a Hugging
    Face folder. Every test gets the same one: nothing may write into it."""
    import torch
    from benchmarks.tiny import save_llama
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny") / "model"
    pieces = r"\n+|\d| ?[A-Za-z]+| ?[^\sA-Za-z\d]|\s"
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pieces), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    specials = ["<|pad|>", "<|bos|>", "<|eos|>", "<|system|>", "<|user|>", "<|assistant|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    text = "Problem: Mia has 12 apples and buys 5.\n\nMia has 12+5=17 apples.\n\nThe answer is"
    bpe.train_from_iterator([text + r" \boxed{17}."] * 4, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token="<|pad|>",
        bos_token="<|bos|>",
        eos_token="<|eos|>",
        chat_template=TEMPLATE,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return save_llama(folder, tokenizer, hidden_size=32, intermediate_size=64)


@pytest.fixture(scope="session")
def load_benchmark() -> Callable[[str], ModuleType]:
    """Loads `benchmarks/NAME.py` as a module."""

    def load(name: str) -> ModuleType:
        path = Path(__file__).parents[1] / "benchmarks" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # a dataclass looks its module up
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def rig(load_benchmark: Callable[[str], ModuleType]) -> ModuleType:
    """The simulated server."""
    return load_benchmark("rig")


@pytest.fixture
def rig_server(rig: ModuleType) -> Iterator[Callable[..., str]]:
    """Starts simulated servers: `rig_server(latency=0.1)` takes the settings of `Rig` and returns a
    base URL that ends in /v1. They are stopped when the test ends."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(rig.running(rig.Rig(**settings)))
