"""Low-rank adapters: trained alone, merged or kept, with the bare model as reference."""

import json
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from whorl.ask import Prompt
from whorl.chat import Chat
from whorl.engines.local import Local
from whorl.errors import UserError
from whorl.evaluate import Decoding, Setup, attempt_problems
from whorl.example import Likelihood, Objective, Pair, Preference, Weighted
from whorl.learn.train import train
from whorl.learn.training import Lora, Training
from whorl.problem import Problem

Apart = Callable[[Path, Path], float]

EXAMPLES = [
    Weighted(Prompt("", f"Problem: Mia has {n} apples."), f"Mia has {n}+{m}={n + m} apples.")
    for n in range(10, 18)
    for m in (1, 2)
]
PAIRS = [Pair(example.prompt, example.text, "The answer is.") for example in EXAMPLES]
ADAPTER = Lora(rank=4, alpha=8.0, merge=False)
SETTINGS = Training(epochs=3, lr=1e-2, batch=8, warmup=0.0, seed=1, lora=ADAPTER)
MERGED = replace(SETTINGS, lora=replace(ADAPTER, merge=True))


def base(model: Path) -> nn.Module:
    loaded: nn.Module = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    return loaded


def adapted(model: Path, adapter: Path) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of a name that transformers changed
        loaded: nn.Module = PeftModel.from_pretrained(base(model), adapter)
    return loaded.train(False)


def log_probs(model: nn.Module, chat: Chat, example: Weighted) -> tuple[Tensor, Tensor]:
    """Of the next token at every place of the completion, `[T, V]`, and the tokens, `[T]`."""
    ids, start = chat.encode_completion(example.prompt, example.text)
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0, start - 1 : -1]
    return logits.log_softmax(-1), torch.tensor(ids[start:])


@pytest.fixture(scope="module")
def adapter(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("adapter") / "out"
    train(tiny_model, EXAMPLES, out, settings=SETTINGS)
    return out


@pytest.fixture(scope="module")
def merged(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("merged") / "out"
    train(tiny_model, EXAMPLES, out, settings=MERGED)
    return out


def test_only_adapters_are_trained(tiny_model: Path, adapter: Path) -> None:
    names = load_file(adapter / "adapter_model.safetensors")
    assert names and all(".lora_A." in name or ".lora_B." in name for name in names)
    linear = [n for n, part in base(tiny_model).named_modules() if isinstance(part, nn.Linear)]
    assert len(names) == 2 * (len(linear) - 1)  # every one but the head
    assert all(tensor.any() for tensor in names.values())
    config = json.loads((adapter / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"]) == (4, 8.0)


def test_a_merged_model_is_an_ordinary_one(tiny_model: Path, merged: Path) -> None:
    assert not list(merged.glob("adapter*"))
    before, after = (
        load_file(tiny_model / "model.safetensors"),
        load_file(merged / "model.safetensors"),
    )
    assert before.keys() == after.keys()
    for name in before:
        assert torch.equal(before[name], after[name]) == ("_proj" not in name), name
    engine = Local(merged)
    problems = [Problem("a", "Mia has 12 apples.", "12")]
    setup = Setup(decoding=Decoding(max_tokens=8))
    (record,) = attempt_problems(problems, {"policy": engine}, setup=setup)
    engine.close()
    assert len(record.attempts) == 1 and not record.error


def test_merged_is_base_and_adapter(tiny_model: Path, adapter: Path, merged: Path) -> None:
    chat = Chat.load(merged)
    together, one, bare = adapted(tiny_model, adapter), base(merged), base(tiny_model)
    for example in EXAMPLES:
        expected, _ = log_probs(together, chat, example)
        found, _ = log_probs(one, chat, example)
        before, _ = log_probs(bare, chat, example)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
        assert (found - before).abs().max() > 0.1


def test_the_reference_is_the_model_without_its_adapters(
    tiny_model: Path, tmp_path: Path, log
) -> None:
    """The second step's loss, against what the adapter of the first one alone gives."""
    objective = Likelihood(kl=50.0)
    once, twice = log(), log()
    settings = replace(SETTINGS, epochs=1, batch=len(EXAMPLES))
    train(
        tiny_model,
        EXAMPLES,
        tmp_path / "once",
        settings=settings,
        objective=objective,
        watch=once,
    )
    train(
        tiny_model,
        EXAMPLES,
        tmp_path / "twice",
        settings=replace(settings, epochs=2),
        objective=objective,
        watch=twice,
    )
    chat = Chat.load(tiny_model)
    bare = base(tiny_model)

    def loss(model: nn.Module) -> tuple[float, float]:
        likelihood = divergence = tokens = 0.0
        for example in EXAMPLES:
            new, ids = log_probs(model, chat, example)
            old, _ = log_probs(bare, chat, example)
            likelihood -= float(new.gather(1, ids[:, None]).sum())
            divergence += float((new.exp() * (new - old)).sum())
            tokens += len(ids)
        return likelihood / tokens, divergence / tokens

    start, nothing = loss(bare)
    assert nothing == 0
    assert once.losses == pytest.approx([start], rel=1e-5)  # the first step's divergence is 0
    likelihood, divergence = loss(adapted(tiny_model, tmp_path / "once"))
    assert 50 * divergence > 1e-2
    assert twice.losses == pytest.approx([start, likelihood + 50 * divergence], rel=1e-5)


def test_a_penalty_without_weights_starts_at_0(tiny_model: Path, tmp_path: Path, log) -> None:
    seen = log()
    nothing = [replace(example, weight=0.0) for example in EXAMPLES]
    train(
        tiny_model,
        nothing,
        tmp_path / "out",
        settings=replace(SETTINGS, epochs=1),
        objective=Likelihood(kl=1.0),
        watch=seen,
    )
    assert seen.losses[0] == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize(
    ("objective", "dropout"),
    [(Likelihood(kl=0.5), 0.0), (Preference(), 0.0), (Likelihood(), 0.1)],
    ids=["exact KL", "preference", "dropout"],
)
def test_a_stopped_training_goes_on_to_the_same_weights(
    tiny_model: Path, tmp_path: Path, log, apart: Apart, objective: Objective, dropout: float
) -> None:
    settings = replace(MERGED, save_steps=2, lora=replace(MERGED.lora, dropout=dropout))
    examples = PAIRS if isinstance(objective, Preference) else EXAMPLES

    def run(out: Path, watch) -> None:
        train(tiny_model, examples, out, settings=settings, objective=objective, watch=watch)

    run(tmp_path / "undisturbed", log())
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "out", log(4))
    seen = log()
    run(tmp_path / "out", seen)
    assert seen.steps[0] == 3
    assert apart(tmp_path / "out", tmp_path / "undisturbed") == 0


def test_recomputed_activations_give_the_same(
    tiny_model: Path, tmp_path: Path, adapter: Path, apart: Apart
) -> None:
    out = tmp_path / "out"
    train(tiny_model, EXAMPLES, out, settings=replace(SETTINGS, checkpointing=True))
    assert apart(out, adapter) < 1e-6


def test_another_rank_is_another_training(tiny_model: Path, adapter: Path) -> None:
    with pytest.raises(UserError, match=r"another training \(.*rank.*4.*8"):
        train(
            tiny_model,
            EXAMPLES,
            adapter,
            settings=replace(SETTINGS, lora=replace(ADAPTER, rank=8)),
        )


def test_without_peft_it_is_one_line(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(UserError, match=r"LoRA needs peft: pip install") as caught:
        train(tiny_model, EXAMPLES, tmp_path / "out", settings=SETTINGS)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("wrong", [{"rank": -1}, {"alpha": 0.0}, {"dropout": 1.0}])
def test_settings_are_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(UserError, match="must"):
        Lora(**wrong)  # type: ignore[arg-type]
