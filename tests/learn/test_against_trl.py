"""The two standard losses against TRL's own trainers: same models, rows by TRL's own collator."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from datasets import Dataset
from numpy.typing import NDArray
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

from whorl.chat import Chat
from whorl.example import Example, Likelihood, Objective, Pair, Preference, Weighted
from whorl.learn.attention import GATHERED, register
from whorl.learn.corpus import Encoded, encode
from whorl.learn.layout import LogProbs, Share, lay_out
from whorl.learn.losses import batch_loss, log_probs
from whorl.learn.network import logits
from whorl.learn.pack import Packing, batches
from whorl.models import POLICY
from whorl.prompts import solve

# TRL asks transformers by an old name
pytestmark = pytest.mark.filterwarnings(
    "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning:transformers"
)

FIRST = "3 + 4 = 7.\n\n"
PAIRS = [
    Pair(solve("Add 3, 4 and 5."), f"{FIRST}7 + 5 = 12.\n\n\\boxed{{12}}", f"{FIRST}\\boxed{{11}}"),
    Pair(solve("Add 20 and 22."), "20 + 22 = 42.\n\n\\boxed{42}", "\\boxed{40}"),
    Pair(solve("Mia has 12 apples and buys 5."), "\\boxed{17}", "12 - 5 = 7.\n\n\\boxed{7}"),
]
STEPS = [
    Pair(replace(PAIRS[0].prompt, prefix=FIRST), "7 + 5 = 12.\n\n\\boxed{12}", "\\boxed{11}"),
    *PAIRS[1:],
]
SINGLE = [
    *(Weighted(pair.prompt, pair.chosen) for pair in PAIRS),
    Weighted(PAIRS[0].prompt, f"{FIRST}\\boxed{{12}}"),
]
OPTIONS: dict[str, Any] = {
    "per_device_train_batch_size": 4,  # all examples
    "report_to": "none",
    "use_cpu": True,
    "bf16": False,
    "activation_checkpointing": False,
    "disable_tqdm": True,
}

Step = tuple[float, dict[str, Tensor]]
"""Loss and gradients."""
Form = Literal["padded", "gathered"]
Rows = list[tuple[list[int], int]]
"""Token ids, and where the completion starts."""


@pytest.fixture(scope="module")
def chat() -> Chat:
    return Chat.load(POLICY)


@pytest.fixture(scope="module")
def policy(chat: Chat) -> PreTrainedModel:
    config = LlamaConfig(
        vocab_size=len(chat.tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.2,
        pad_token_id=chat.tokenizer.pad_token_id,
        bos_token_id=chat.tokenizer.bos_token_id,
        eos_token_id=chat.end[-1],
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return LlamaForCausalLM(config)


@pytest.fixture(scope="module")
def start(policy: PreTrainedModel) -> PreTrainedModel:
    """The reference model: what the policy might have been before."""
    moved = copy.deepcopy(policy)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in moved.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    return moved


def turns(example: Example, answer: str) -> list[list[dict[str, str]]]:
    """Prompt and completion as messages; a prefix goes to the completion, for want of a place."""
    prompt = example.prompt
    return [
        [{"role": "system", "content": prompt.system}, {"role": "user", "content": prompt.user}],
        [{"role": "assistant", "content": prompt.prefix + answer}],
    ]


def dpo(
    pairs: Sequence[Pair],
    models: tuple[PreTrainedModel, PreTrainedModel],
    chat: Chat,
    out: Path,
    options: dict[str, Any],
) -> tuple[Step, Rows]:
    rows = []
    for pair in pairs:
        (prompt, chosen), (_, rejected) = turns(pair, pair.chosen), turns(pair, pair.rejected)
        rows.append({"prompt": prompt, "chosen": chosen, "rejected": rejected})
    policy, start = map(copy.deepcopy, models)  # a trainer changes its model's methods
    trainer = DPOTrainer(
        policy,
        ref_model=start,
        args=DPOConfig(str(out), **OPTIONS, **options),
        train_dataset=Dataset.from_list(rows),
        processing_class=chat.tokenizer,
    )
    (inputs,) = trainer.get_train_dataloader()
    return their_step(trainer, inputs), rows_of(inputs, inputs["completion_mask"])


def sft(
    examples: Sequence[Weighted], policy: PreTrainedModel, chat: Chat, out: Path
) -> tuple[Step, Rows]:
    rows = [dict(zip(("prompt", "completion"), turns(e, e.text), strict=True)) for e in examples]
    trainer = SFTTrainer(
        copy.deepcopy(policy),
        args=SFTConfig(str(out), **OPTIONS),
        train_dataset=Dataset.from_list(rows),
        processing_class=chat.tokenizer,
    )
    (inputs,) = trainer.get_train_dataloader()
    learnt = rows_of(inputs, (inputs["labels"] != -100).long())
    return their_step(trainer, inputs), learnt


def rows_of(inputs: dict[str, Tensor], learnt: Tensor) -> Rows:
    lengths, starts = inputs["attention_mask"].sum(1), learnt.argmax(1)
    assert torch.equal(learnt.sum(1), lengths - starts)  # one piece, to the end
    return [
        (ids[:length].tolist(), int(first))
        for ids, length, first in zip(inputs["input_ids"], lengths, starts, strict=True)
    ]


def their_step(trainer: Any, inputs: dict[str, Tensor]) -> Step:
    loss = trainer.compute_loss(trainer.model, inputs)
    loss.backward()
    return loss.item(), gradients(trainer.model)


def our_step(
    model: PreTrainedModel,
    objective: Objective,
    examples: Sequence[Encoded],
    *,
    form: Form,
    reference: LogProbs | None = None,
) -> Step:
    register()
    model = copy.deepcopy(model)
    model.set_attn_implementation(GATHERED)
    packing, total = Packing(10**6, form), 0.0
    for some in batches(examples, packing):
        batch = lay_out(some, objective, Share.of(examples), packing, reference)
        loss = batch_loss(objective, batch, logits(model, batch))
        loss.backward()
        total += loss.item()
    return total, gradients(model)


def gradients(model: torch.nn.Module) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def reference_of(model: PreTrainedModel, examples: Sequence[Encoded]) -> LogProbs:
    found: list[NDArray[np.float32]] = []
    for path in (path for example in examples for path in example.paths):
        ids = torch.from_numpy(path.ids).long()
        with torch.no_grad():
            scores = model(input_ids=ids[None]).logits[0]
        found.append(log_probs(scores[path.start - 1 : -1], ids[path.start :]).numpy())
    return found


def encoded(examples: Sequence[Example], chat: Chat, objective: Objective) -> list[Encoded]:
    corpus = encode(examples, chat, objective, max_length=4096)
    return sorted((e for group in corpus.groups for e in group), key=lambda e: e.first)


def assert_same(ours: Step, theirs: Step) -> None:
    assert ours[0] == pytest.approx(theirs[0], abs=1e-5)
    assert ours[1].keys() == theirs[1].keys()
    assert max(float(gradient.abs().max()) for gradient in theirs[1].values()) > 0.01
    for name, gradient in theirs[1].items():
        torch.testing.assert_close(ours[1][name], gradient, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("form", ["padded", "gathered"])
@pytest.mark.parametrize("nll", [0.0, 0.25])
def test_preference_is_their_dpo(
    policy: PreTrainedModel,
    start: PreTrainedModel,
    chat: Chat,
    tmp_path: Path,
    nll: float,
    form: Form,
) -> None:
    objective = Preference(beta=0.3, nll=nll)
    options: dict[str, Any] = {"beta": 0.3}
    if nll:
        options |= {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, nll]}
    theirs, rows = dpo(PAIRS, (policy, start), chat, tmp_path, options)
    examples = encoded(PAIRS, chat, objective)
    our_rows = [(path.ids.tolist(), path.start) for e in examples for path in e.paths]
    assert sorted(our_rows) == sorted(rows)
    reference = reference_of(start, examples)
    assert_same(our_step(policy, objective, examples, form=form, reference=reference), theirs)
    equal = our_step(
        policy, objective, examples, form=form, reference=reference_of(policy, examples)
    )
    assert abs(equal[0] - theirs[0]) > 0.01  # the reference model matters


def test_a_prefix_cancels_out_of_their_dpo(
    policy: PreTrainedModel, start: PreTrainedModel, chat: Chat, tmp_path: Path
) -> None:
    """TRL has no place for steps that both sides share but as part of both completions."""
    objective = Preference(beta=0.3)
    theirs, rows = dpo(STEPS, (policy, start), chat, tmp_path, {"beta": 0.3})
    examples = encoded(STEPS, chat, objective)
    assert sorted(path.ids.tolist() for e in examples for path in e.paths) == sorted(
        ids for ids, _ in rows
    )
    reference = reference_of(start, examples)
    assert_same(our_step(policy, objective, examples, form="gathered", reference=reference), theirs)


@pytest.mark.parametrize("form", ["padded", "gathered"])
def test_weight_one_is_their_sft(
    policy: PreTrainedModel, chat: Chat, tmp_path: Path, form: Form
) -> None:
    theirs, rows = sft(SINGLE, policy, chat, tmp_path)
    examples = encoded(SINGLE, chat, Likelihood())
    our_rows = [(path.ids.tolist(), path.start) for e in examples for path in e.paths]
    assert sorted(our_rows) == sorted(rows)
    assert_same(our_step(policy, Likelihood(), examples, form=form), theirs)
