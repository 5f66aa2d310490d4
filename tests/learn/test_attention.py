"""FlexAttention to ancestors, against each path computed alone: on a CPU, where torch has no
backward pass for it, and with gradients on a GPU (`pytest -m gpu`)."""

import random
from collections.abc import Callable
from pathlib import Path
from shutil import which

import numpy as np
import pytest
import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from whorl.ask import Prompt
from whorl.example import Likelihood, Objective, Preference, Weighted
from whorl.learn.attention import FLEX, register
from whorl.learn.corpus import Encoded, TokenPath
from whorl.learn.layout import Batch, Share, lay_out, to_device
from whorl.learn.losses import batch_loss
from whorl.learn.network import logits, packing
from whorl.learn.pack import Packing, batches
from whorl.learn.train import train
from whorl.learn.training import Training
from whorl.models import POLICY

pytestmark = pytest.mark.filterwarnings("ignore")  # what compiling says
no_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
no_compiler = pytest.mark.skipif(which("g++") is None, reason="torch compiles C++ on a CPU")

SHAPES = {
    "llama": (LlamaForCausalLM, LlamaConfig, 4, 2),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config, 6, 2),  # not a power of two: keys are repeated
}
ALONE = Packing(10**6, "padded")
TOKENS = (10**6, 900, 333)  # of a batch: rows of many lengths, few of them whole blocks


def model(shape: str, device: str) -> PreTrainedModel:
    """A random one of 2 layers."""
    kind, configure, heads, shared = SHAPES[shape]
    torch.manual_seed(0)
    config = configure(
        vocab_size=500,
        hidden_size=heads * 32,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=heads,
        num_key_value_heads=shared,
        initializer_range=0.1,
    )
    return kind(config).to(device)


def trees(count: int, sides: int) -> list[Encoded]:
    """Steps of about 25 tokens behind 60 of a question; one of the three at each depth goes on."""
    rng = random.Random(count)
    found: list[Encoded] = []
    for _ in range(count):
        prefix = [rng.randrange(500) for _ in range(60)]
        for _ in range(6):
            steps = [[rng.randrange(500) for _ in range(rng.randint(5, 45))] for _ in range(3)]
            for number, step in enumerate(steps):
                paths = tuple(
                    TokenPath(np.array(prefix + other, np.int32), len(prefix))
                    for other in (step, steps[number - 1])[:sides]
                )
                found.append(Encoded(paths, rng.choice([1.0, 0.5, -0.5]), sides * len(found)))
            prefix = prefix + steps[0]
    return found


@no_compiler
@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_the_loss_is_that_of_padded_rows(shape: str) -> None:
    network, examples = model(shape, "cpu"), trees(3, 1)
    loss = loss_of(network, examples, ALONE)
    register()
    network.set_attn_implementation(FLEX)
    for tokens in TOKENS:
        form = Packing(tokens, "flex")
        assert loss_of(network, examples, form) == pytest.approx(loss, rel=1e-6)
    shortest = min(
        lay_out(some, Likelihood(), Share.of(some), form)["ids"].shape[1]
        for some in batches(examples, form)
    )
    assert shortest < 128  # tokens, below which FlexAttention would decode


def loss_of(network: PreTrainedModel, examples: list[Encoded], form: Packing) -> float:
    share = Share.of(examples)
    with torch.no_grad():
        rows = [lay_out(some, Likelihood(), share, form) for some in batches(examples, form)]
        return sum(batch_loss(Likelihood(), row, logits(network, row)).item() for row in rows)


Forward = Callable[[PreTrainedModel, Batch], torch.Tensor]


def gradient(
    network: PreTrainedModel,
    objective: Objective,
    examples: list[Encoded],
    form: Packing,
    *,
    bf16: bool = False,
    forward: Forward = logits,
) -> tuple[float, torch.Tensor]:
    """Loss and gradient of one optimizer step over all examples; all of it, in float64."""
    share, total = Share.of(examples), 0.0
    network.zero_grad()
    known = [np.full(path.learnt, -6.0, np.float32) for e in examples for path in e.paths]
    for some in batches(examples, form):
        batch = to_device(lay_out(some, objective, share, form, known), network.device)
        with torch.autocast("cuda", torch.bfloat16, enabled=bf16):
            loss = batch_loss(objective, batch, forward(network, batch))
        loss.backward()
        total += loss.item()
    parts = [p.grad.double().flatten() for p in network.parameters() if p.grad is not None]
    return total, torch.cat(parts)


def off(one: torch.Tensor, other: torch.Tensor) -> float:
    """The difference, relative to the length of `other`."""
    return float((one - other).norm() / other.norm())


OBJECTIVES = [Likelihood(), Likelihood(kl=0.3, penalty="k3"), Preference()]


@no_gpu
@pytest.mark.gpu
@pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)
@pytest.mark.parametrize("shape", SHAPES)
def test_packed_equals_padded(shape: str, objective: Objective) -> None:
    network = model(shape, "cuda")
    examples = trees(3, 2 if isinstance(objective, Preference) else 1)
    loss, true = gradient(network, objective, examples, ALONE)
    rounded_loss, rounded = gradient(network, objective, examples, ALONE, bf16=True)
    form, reason = packing(network, Training(), 1000)
    assert (form.form, reason) == ("flex", "")
    for tokens in TOKENS:
        found, packed = gradient(network, objective, examples, Packing(tokens, "flex"))
        assert found == pytest.approx(loss, rel=1e-5, abs=1e-6)
        assert off(packed, true) < 1e-4
        found, packed = gradient(network, objective, examples, Packing(tokens, "flex"), bf16=True)
        assert abs(found - loss) < 2 * abs(rounded_loss - loss) + 0.005 * abs(loss)
        assert off(packed, true) < 1.5 * off(rounded, true)
        print(
            f"{shape}, {type(objective).__name__}, {tokens} tokens, bfloat16: gradient off by "
            f"{off(packed, true):.1e}, padded {off(rounded, true):.1e}"
        )


def sees_all_before(network: PreTrainedModel, batch: Batch) -> torch.Tensor:
    """What a plain causal mask would make of the row."""
    return logits(network, batch | Batch(ends=torch.full_like(batch["ends"], 10**6)))


@no_gpu
@pytest.mark.gpu
def test_a_wrong_mask_would_be_noticed() -> None:
    network, examples = model("llama", "cuda"), trees(3, 1)
    _, true = gradient(network, Likelihood(), examples, ALONE)
    packing(network, Training(), 1000)
    _, wrong = gradient(
        network, Likelihood(), examples, Packing(10**6, "flex"), forward=sees_all_before
    )
    assert off(wrong, true) > 0.01


@no_gpu
@pytest.mark.gpu
@pytest.mark.parametrize("bf16", [False, True])
def test_training_packed_is_training_padded(
    bf16: bool, tmp_path: Path, apart: Callable[[Path, Path], float]
) -> None:
    """The whole trainer: its workers, its pinned memory, its gradient steps."""
    examples = [
        Weighted(
            Prompt("", f"Problem: Mia has {n} apples and buys {m}. She gives away {k}. How many?"),
            f"{n}+{m}={n + m}\n\n{n + m}-{k}={n + m - k}",
            1.0,
        )
        for n in range(10, 20)
        for m, k in ((4, 3), (4, 5), (6, 2))
    ]
    settings = {"epochs": 2, "batch": 8, "lr": 1e-4, "tokens": 1000, "bf16": bf16}
    losses = []
    for packed in (True, False):
        result = train(
            POLICY, examples, tmp_path / str(packed), settings=Training(packed=packed, **settings)
        )
        losses.append(result.loss)
        assert (result.sharing > 1.2) == packed
    assert losses[0] == pytest.approx(losses[1], rel=0.02 if bf16 else 1e-4)
    off = apart(tmp_path / "True", tmp_path / "False")
    print(f"bf16 {bf16}: losses {losses}, weights apart by {off:.1e}")
    if not bf16:
        assert off < 1e-3
