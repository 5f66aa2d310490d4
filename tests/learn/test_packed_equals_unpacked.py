"""What is computed once for all is what each would compute alone: loss and gradients.

Against every path in a row of its own, for real models of small size. Their weights are larger than
usual, so that attention decides: where a token sees what it must not see, the last tests show it.
"""

from collections.abc import Callable, Sequence
from functools import cache, partial

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from whorl.chat import Chat
from whorl.drive import drive
from whorl.engines import toy
from whorl.engines.function import Function
from whorl.example import Likelihood, Objective, Preference
from whorl.learn import layout
from whorl.learn.attention import GATHERED, register
from whorl.learn.corpus import Encoded, TokenPath, encode
from whorl.learn.layout import Batch, LogProbs, Share, lay_out
from whorl.learn.losses import batch_loss, log_probs
from whorl.learn.network import logits
from whorl.learn.pack import BLOCK, Packing, batches, cut_blocks, prefix_tree
from whorl.models import POLICY
from whorl.recipe import Recipe
from whorl.recipes.dpo import Dpo
from whorl.recipes.grpo import Grpo
from whorl.recipes.marge import Marge
from whorl.recipes.process import Process
from whorl.recipes.rft import Rft
from whorl.recipes.sigma import Sigma
from whorl.recipes.sphere import Sphere
from whorl.recipes.step_dpo import StepDpo
from whorl.rollout import Sampling
from whorl.search import Uct
from whorl.steps import BlankLine

TOLERANCE = 1e-5
VOCABULARY = 897  # of the shipped tokenizer

ARCHITECTURES = {
    "llama": (LlamaForCausalLM, LlamaConfig),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config),
    "qwen3": (Qwen3ForCausalLM, Qwen3Config),
    # a window that no path below exceeds, but the rows that hold them do
    "mistral": (MistralForCausalLM, partial(MistralConfig, sliding_window=16)),
}
OBJECTIVES = [
    *(Likelihood(average=average) for average in ("token", "completion", "sum")),
    *(
        Likelihood(kl=0.3, penalty=penalty, average=average)
        for penalty in ("exact", "k3", "linear")
        for average in ("token", "completion", "sum")
    ),
    Preference(),
    Preference(beta=0.5, nll=0.2),
]
ALONE = Packing(10**6, "padded")
WHOLE = Packing(10**6, "gathered")
PACKED = [(WHOLE, BLOCK), (WHOLE, 3), (Packing(30, "gathered"), 8)]
"""With the tokens of a block: all in one batch; many blocks; several batches."""


@cache
def model(architecture: str, seed: int = 0) -> PreTrainedModel:
    """A random one of 2 layers."""
    kind, configure = ARCHITECTURES[architecture]
    config = configure(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        initializer_range=0.2,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = kind(config)
    register()
    network.set_attn_implementation(GATHERED)
    return network


def reference_of(network: PreTrainedModel, examples: Sequence[Encoded]) -> LogProbs:
    """Log-probabilities of every path's completion, each path computed alone."""
    found: list[NDArray[np.float32]] = []
    ordered = sorted(examples, key=lambda example: example.first)
    for path in (path for example in ordered for path in example.paths):
        ids = torch.from_numpy(path.ids).long()
        with torch.no_grad():
            scores = network(input_ids=ids[None], use_cache=False).logits[0]
        found.append(log_probs(scores[path.start - 1 : -1], ids[path.start :]).numpy())
    return found


Forward = Callable[[PreTrainedModel, Batch], torch.Tensor]


def step(
    network: PreTrainedModel,
    objective: Objective,
    examples: Sequence[Encoded],
    packing: Packing,
    *,
    start: PreTrainedModel,
    forward: Forward = logits,
) -> tuple[float, dict[str, torch.Tensor]]:
    """Loss and gradients of one optimizer step over all examples."""
    compares = isinstance(objective, Preference) or objective.kl > 0
    reference = reference_of(start, examples) if compares else None
    share, total = Share.of(examples), 0.0
    network.zero_grad()
    for some in batches(examples, packing):
        batch = lay_out(some, objective, share, packing, reference)
        with torch.no_grad():
            start_logits = forward(start, batch) if compares else None
        loss = batch_loss(objective, batch, forward(network, batch), start_logits)
        loss.backward()
        total += loss.item()
    gradients = {
        name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None
    }
    assert gradients.keys() == dict(network.named_parameters()).keys()
    return total, gradients


def furthest(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """Largest difference of gradients, in units of 1 or, if that is more, of the largest one."""
    scale = max(1.0, *(float(g.abs().max()) for g in other.values()))
    return max(float((one[name] - other[name]).abs().max()) for name in other) / scale


def agree(architecture: str, objective: Objective, examples: Sequence[Encoded]) -> None:
    network, start = model(architecture), model(architecture, seed=1)
    loss, gradients = step(network, objective, examples, ALONE, start=start)
    for packing, size in PACKED:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(layout, "cut_blocks", partial(cut_blocks, size=size))
            packed, packed_gradients = step(network, objective, examples, packing, start=start)
        assert packed == pytest.approx(loss, abs=TOLERANCE, rel=TOLERANCE)
        assert furthest(packed_gradients, gradients) < TOLERANCE


@st.composite
def trees(draw: st.DrawFn, sides: int) -> list[Encoded]:
    """Examples that share prefixes of any length: each continues a beginning of one before it."""
    token = st.integers(3, 5)
    texts: list[list[int]] = [draw(st.lists(token, min_size=1, max_size=6))]
    several: list[Encoded] = []
    for number in range(draw(st.integers(1, 6))):
        paths = []
        for _ in range(sides):
            trunk = draw(st.sampled_from(texts))
            shared = draw(st.integers(0, min(len(trunk), 10)))
            text = trunk[:shared] + draw(st.lists(token, min_size=2, max_size=6))
            texts.append(text)
            start = draw(st.integers(1, len(text) - 1))
            paths.append(TokenPath(np.array(text, np.int32), start))
        weight = draw(st.sampled_from([1.0, 0.5, -0.5, 0.0])) if sides == 1 else 1.0
        several.append(Encoded(tuple(paths), weight, sides * number))
    return several


@pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@settings(max_examples=8, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_on_any_tree(architecture: str, objective: Objective, data: st.DataObject) -> None:
    sides = 2 if isinstance(objective, Preference) else 1
    agree(architecture, objective, data.draw(trees(sides)))


SAMPLING = Sampling(steps=BlankLine(min_chars=0))
RECIPES: list[Recipe] = [
    Rft(SAMPLING, samples=6),
    Sigma(Uct(simulations=4), SAMPLING, temperatures=(0.7,)),
    Process(sampling=SAMPLING),
    Marge(SAMPLING, pool=4, samples=4),
    Marge(SAMPLING, pool=4, samples=4, learn="preference"),
    Sphere(sampling=SAMPLING),
    StepDpo(sampling=SAMPLING),
    Dpo(SAMPLING, samples=6, pairs=2),
    Grpo(SAMPLING, samples=6),
]


def harvest(recipe: Recipe, problems: int) -> list[Encoded]:
    """What the recipe learns in the toy world, through the shipped tokenizer."""
    engines = dict.fromkeys(recipe.roles, Function(toy.answer))
    searches = ((p.id, recipe.grow(p)) for p in toy.problems(problems))
    done = sorted(drive(searches, engines), key=lambda finished: finished.key)
    assert [finished.error for finished in done] == [None] * problems
    found = [e for f in done if f.result is not None for e in recipe.harvest(f.result).examples]
    corpus = encode(found, Chat.load(POLICY), recipe.objective, max_length=4096)
    return [example for group in corpus.groups for example in group]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: type(recipe).__name__)
def test_on_harvested_trees(recipe: Recipe) -> None:
    examples = harvest(recipe, 3)
    whole = prefix_tree([path.ids for e in examples for path in e.paths])
    assert len(whole) < sum(len(path) for e in examples for path in e.paths)  # something is shared
    agree("llama", recipe.objective, examples)


def sees_all_before(network: PreTrainedModel, batch: Batch) -> torch.Tensor:
    """What a plain causal mask would make of the row."""
    assert len(batch["keys"]) == 1  # the block is the row
    return logits(network, batch | Batch(seen=torch.ones_like(batch["seen"]).tril()))


def stands_in_the_row(network: PreTrainedModel, batch: Batch) -> torch.Tensor:
    return logits(network, batch | Batch(positions=torch.arange(batch["ids"].shape[1])[None]))


@pytest.mark.parametrize("forward", [sees_all_before, stands_in_the_row])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_wrong_mask_or_position_would_be_noticed(architecture: str, forward: Forward) -> None:
    examples = [
        Encoded((TokenPath(np.array([3, 4, 5, *branch], np.int32), 2),), 1.0, number)
        for number, branch in enumerate(([3, 5, 4], [4, 4, 3], [5, 3, 3]))
    ]
    network, start = model(architecture), model(architecture, seed=1)
    loss, gradients = step(network, Likelihood(), examples, ALONE, start=start)
    wrong, wrong_gradients = step(
        network, Likelihood(), examples, WHOLE, start=start, forward=forward
    )
    assert abs(wrong - loss) > 100 * TOLERANCE
    assert furthest(wrong_gradients, gradients) > 100 * TOLERANCE


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_reference_model_would_be_noticed(architecture: str) -> None:
    """Every objective that compares differs from what it would be with itself as reference."""
    examples = harvest(Process(sampling=SAMPLING), 1)
    network = model(architecture)
    for objective in OBJECTIVES:
        if isinstance(objective, Likelihood) and objective.kl:
            one, _ = step(network, objective, examples, WHOLE, start=network)
            other, _ = step(network, objective, examples, WHOLE, start=model(architecture, 1))
            assert abs(one - other) > 100 * TOLERANCE
