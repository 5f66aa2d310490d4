import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from whorl.chat import Chat
from whorl.models.curriculum import Curriculum
from whorl.models.plans import POLICY_PLAN, TEACHER_PLAN, smoke
from whorl.models.pretrain import grown, learn, learning_rate, load_model, loss_of, optimisers


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the smoke run filled."""
    out = tmp_path_factory.mktemp("models")
    command = [sys.executable, "-m", "whorl.models.pretrain", "--out", str(out), "--smoke"]
    subprocess.run(command, check=True, capture_output=True)
    return out


def test_the_smoke_run_makes_folders_that_transformers_reads(trained: Path) -> None:
    for name, layers in (("policy", 3), ("small", 2), ("teacher", 5)):
        model = AutoModelForCausalLM.from_pretrained(trained / name)
        tokenizer = AutoTokenizer.from_pretrained(trained / name)
        assert model.dtype == torch.bfloat16
        assert model.config.num_hidden_layers == layers
        assert model.config.vocab_size == len(tokenizer)
        prompt = tokenizer("<|bos|>Problem: 1+1\n\n", return_tensors="pt")
        assert model.generate(**prompt, max_new_tokens=3).shape[1] > prompt["input_ids"].shape[1]


def test_a_grown_model_computes_the_same(trained: Path) -> None:
    model = load_model(trained / "policy").eval()
    deeper = grown(model, TEACHER_PLAN).eval()
    ids = torch.arange(3, 40)[None]
    with torch.inference_mode():
        torch.testing.assert_close(deeper(ids).logits, model(ids).logits)


def test_only_what_is_to_be_learned_counts(trained: Path) -> None:
    chat = Chat.load(trained / "policy")
    stage = TEACHER_PLAN.stages[0]
    curriculum = Curriculum(stage, chat, Random(0), [])
    items = [curriculum.item() for _ in range(300)]
    for item in items:
        assert len(item.ids) == len(item.learn)
        assert any(item.learn)
        assert not item.learn[0]
    drills = [item for item in items if item.ids[-1] != chat.end[-1]]
    learned = chat.decode([i for i, on in zip(drills[0].ids, drills[0].learn, strict=True) if on])
    assert learned.replace("\n", "").isdecimal()
    model = load_model(trained / "policy")
    padded = loss_of(model, [items[0], items[1]])
    parts = [loss_of(model, [item]) * sum(item.learn[1:]) for item in items[:2]]
    together = sum(parts) / sum(sum(item.learn[1:]) for item in items[:2])
    torch.testing.assert_close(padded, together)


def test_training_lowers_the_loss(trained: Path) -> None:
    chat = Chat.load(trained / "policy")
    model = load_model(trained / "policy")
    parts = optimisers(model, POLICY_PLAN.lr)
    curriculum = Curriculum(smoke(POLICY_PLAN).stages[0], chat, Random(0), [])
    items = [curriculum.item() for _ in range(8)]
    losses = [learn(model, parts, items, lr=POLICY_PLAN.lr) for _ in range(8)]
    assert losses[-1] < losses[0] - 0.3


def test_the_learning_rate_warms_up_and_ends_at_zero() -> None:
    plan = POLICY_PLAN
    rates = [learning_rate(step, plan) for step in range(plan.steps + 1)]
    assert rates[0] == 1 / plan.warmup
    assert max(rates) == 1.0 == rates[plan.warmup]
    assert rates[-1] == 0.0
