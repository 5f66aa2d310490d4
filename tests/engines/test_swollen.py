"""The swollen policy says what the policy says."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from transformers import AutoModelForCausalLM

from whorl import prompts
from whorl.chat import Chat
from whorl.data.synthetic import problems
from whorl.models import POLICY

SMALL = {"hidden": 512, "intermediate": 400, "layers": 5, "heads": 16, "shared": 4, "head": 128}
QUESTIONS = [problem.question for problem in problems("test", 8, seed=1)]


@pytest.fixture
def script(load_benchmark: Callable[[str], ModuleType]) -> ModuleType:
    return load_benchmark("swollen")


def log_probs(model: Path, ids: list[list[int]]) -> list[torch.Tensor]:
    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    with torch.no_grad():
        return [network(input_ids=torch.tensor([row])).logits[0].log_softmax(-1) for row in ids]


def test_it_computes_what_the_policy_computes(script: ModuleType, tmp_path: Path) -> None:
    script.swell(tmp_path, script.Size(**SMALL))
    chat = Chat.load(POLICY)
    ids = [chat.encode(prompts.solve(question)) for question in QUESTIONS]
    assert [Chat.load(tmp_path).encode(prompts.solve(q)) for q in QUESTIONS] == ids
    for swollen, plain in zip(log_probs(tmp_path, ids), log_probs(POLICY, ids), strict=True):
        assert float((swollen - plain).abs().max()) < 1e-4


def test_it_writes_what_the_policy_writes(script: ModuleType, tmp_path: Path) -> None:
    script.swell(tmp_path, script.Size(**SMALL))
    chat = Chat.load(POLICY)
    models = [
        AutoModelForCausalLM.from_pretrained(f, dtype=torch.float32) for f in (POLICY, tmp_path)
    ]
    for question in QUESTIONS:
        ids = torch.tensor([chat.encode(prompts.solve(question))])
        texts = [m.generate(ids, do_sample=False, max_new_tokens=200)[0].tolist() for m in models]
        assert texts[0] == texts[1]
        assert len(texts[0]) > ids.shape[1] + 10


def test_the_frequencies_of_its_heads_matter(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dimensions in the order of the small head turn at other speeds, and that is noticed."""
    monkeypatch.setattr(script, "_rotary", lambda small, large: torch.arange(small))
    script.swell(tmp_path, script.Size(**SMALL))
    ids = [Chat.load(POLICY).encode(prompts.solve(QUESTIONS[0]))]
    (swollen,), (plain,) = log_probs(tmp_path, ids), log_probs(POLICY, ids)
    assert float((swollen - plain).abs().max()) > 0.1
