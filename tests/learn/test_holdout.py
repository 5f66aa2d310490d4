"""Questions held out of training: never learned from, and the judges of what is published."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from whorl.ask import Prompt
from whorl.chat import Chat
from whorl.errors import UserError
from whorl.example import Example, Likelihood, Objective, Pair, Preference, Weighted
from whorl.learn import trainer
from whorl.learn.layout import Batch
from whorl.learn.train import train
from whorl.learn.training import Lora, Training, TrainResult

Apart = Callable[[Path, Path], float]

EXAMPLES = [
    Weighted(
        Prompt("", f"Problem: Mia has {n} apples."),
        str((n * m) ** 7),  # nothing that one question could teach of another
        origin=f"{n}#/{m}",
    )
    for n in range(10, 20)
    for m in (1, 2)
]
PAIRS = [
    Pair(example.prompt, example.text, "The answer is.", origin=example.origin)
    for example in EXAMPLES
]
SETTINGS = Training(
    epochs=12, lr=2e-2, batch=8, warmup=0.0, seed=1, holdout=0.3, patience=2, tokens=60
)
"""Learns by heart and so soon gets worse at what it does not see; a pass holds few examples."""


@dataclass
class Passes:
    """What went through the model: in each measurement, and in training."""

    trained: set[str] = field(default_factory=set)
    measured: list[list[str]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    measuring: bool = False


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> Passes:
    """A look at the batches and at the measurements; both are what they are without it."""
    seen = Passes()
    loss, evaluate = trainer.batch_loss, trainer.TreeTrainer.evaluate

    def looked_at(objective: Objective, batch: Batch, *logits: Any) -> Tensor:
        if torch.is_grad_enabled():
            seen.trained.update(batch["origins"])
        elif seen.measuring:  # the end of a training looks at a step that was trained on
            seen.measured[-1] += batch["origins"]
        return loss(objective, batch, *logits)

    def measured(self: trainer.TreeTrainer, *args: Any, **kwargs: Any) -> dict[str, float]:
        seen.measured.append([])
        seen.measuring = True
        found = evaluate(self, *args, **kwargs)
        seen.measuring = False
        seen.losses.append(found["eval_loss"])
        return found

    monkeypatch.setattr(trainer, "batch_loss", looked_at)
    monkeypatch.setattr(trainer.TreeTrainer, "evaluate", measured)
    return seen


def likelihood(model: Path, examples: list[Weighted]) -> float:
    """Mean negative log-likelihood per completion token."""
    network, chat = AutoModelForCausalLM.from_pretrained(model), Chat.load(model)
    total, tokens = 0.0, 0
    for example in examples:
        ids, start = chat.encode_completion(example.prompt, example.text)
        with torch.no_grad():
            logits = network(torch.tensor([ids])).logits[0, start - 1 : -1]
        chosen = logits.log_softmax(-1).gather(1, torch.tensor(ids[start:])[:, None])
        total -= float(chosen.sum())
        tokens += len(chosen)
    return total / tokens


@pytest.mark.parametrize(
    ("examples", "objective"),
    [(EXAMPLES, Likelihood(kl=0.1)), (PAIRS, Preference())],
    ids=["likelihood", "preference"],
)
def test_held_out_questions_are_measured_and_never_trained_on(
    tiny_model: Path,
    tmp_path: Path,
    passes: Passes,
    examples: list[Example],
    objective: Objective,
) -> None:
    settings = replace(SETTINGS, epochs=2, lr=1e-3)
    result = train(tiny_model, examples, tmp_path / "out", settings=settings, objective=objective)
    every = {example.origin for example in examples}
    held = set(passes.measured[0])
    assert passes.trained | held == every and not passes.trained & held
    questions = {origin.partition("#")[0] for origin in held}
    assert len(questions) == 3 and len(held) == 6  # with all their examples
    assert len(passes.measured) == 2  # an epoch each
    for measured in passes.measured:
        assert sorted(measured) == sorted(held)  # each of them once
    assert result.dropped == {"held out": 6}
    assert result.examples == 14
    assert result.held_out == min(passes.losses)


def test_what_else_is_asked_about_a_held_out_problem_is_held_out_too(
    tiny_model: Path, tmp_path: Path, passes: Passes
) -> None:
    reflected = [
        replace(one, prompt=replace(one.prompt, user=f"Reflect: {one.prompt.user}"))
        for one in EXAMPLES
    ]
    settings = replace(SETTINGS, epochs=1, holdout=0.1)
    train(tiny_model, [*EXAMPLES, *reflected], tmp_path / "out", settings=settings)
    trained, held = (
        {origin.partition("#")[0] for origin in seen}
        for seen in (passes.trained, passes.measured[0])
    )
    assert held and trained and not held & trained


def test_where_the_best_checkpoint_is_taken_their_distance_is_of_the_training(
    tiny_model: Path, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, epochs=1)
    train(tiny_model, EXAMPLES, tmp_path / "out", settings=settings)
    with pytest.raises(UserError, match=r"\(save_steps = None, now 1\)"):
        train(tiny_model, EXAMPLES, tmp_path / "out", settings=replace(settings, save_steps=1))


def test_the_best_model_is_published(tiny_model: Path, tmp_path: Path, passes: Passes) -> None:
    """It overfits: the last model is worse than the best one at what it does not see."""
    result = train(tiny_model, EXAMPLES, tmp_path / "out", settings=SETTINGS)
    best = min(passes.losses)
    assert best < passes.losses[-1] - 0.01
    assert result.held_out == best
    held = [example for example in EXAMPLES if example.origin in passes.measured[0]]
    assert likelihood(tmp_path / "out", held) == pytest.approx(best, rel=1e-5)
    assert likelihood(tiny_model, held) > best + 0.1


def test_patience_ends_the_training(tiny_model: Path, tmp_path: Path, passes: Passes) -> None:
    """After as many measurements without a better one as it says, and not before."""
    for patience in (1, 3):
        passes.losses.clear()
        settings = replace(SETTINGS, patience=patience)
        result = train(tiny_model, EXAMPLES, tmp_path / str(patience), settings=settings)
        steps = 2  # an epoch: 14 examples by 8
        assert result.steps == steps * len(passes.losses) < steps * SETTINGS.epochs
        assert worse_at_the_end(passes.losses) == patience
        assert all(
            worse_at_the_end(passes.losses[:n]) < patience for n in range(1, len(passes.losses))
        )


def worse_at_the_end(losses: list[float]) -> int:
    """Measurements since the best one."""
    return len(losses) - 1 - losses.index(min(losses))


@pytest.fixture(scope="module")
def undisturbed(
    tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, TrainResult]:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    return out, train(tiny_model, EXAMPLES, out, settings=SETTINGS)


@pytest.mark.parametrize("before_the_end", [5, 3, 1, 0])
def test_a_stopped_training_goes_on_to_the_same_weights(
    tiny_model: Path,
    tmp_path: Path,
    log,
    apart: Apart,
    undisturbed: tuple[Path, TrainResult],
    before_the_end: int,
) -> None:
    """Also in the middle of its patience, and when it has run out."""
    whole, expected = undisturbed
    with pytest.raises(KeyboardInterrupt):
        train(
            tiny_model,
            EXAMPLES,
            tmp_path / "out",
            settings=SETTINGS,
            watch=log(expected.steps - before_the_end),
        )
    assert train(tiny_model, EXAMPLES, tmp_path / "out", settings=SETTINGS) == expected
    assert apart(tmp_path / "out", whole) == 0


@pytest.mark.parametrize("killed_in", ["_finalize_training", "save_model"])
def test_a_training_whose_patience_has_run_out_does_not_go_on(
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    apart: Apart,
    undisturbed: tuple[Path, TrainResult],
    killed_in: str,
) -> None:
    """Killed after the last checkpoint, before the model was saved."""
    whole, expected = undisturbed
    out = tmp_path / "out"
    own = getattr(trainer.TreeTrainer, killed_in)

    def killed(self: trainer.TreeTrainer, folder: Any = None, *args: Any, **more: Any) -> Any:
        if "checkpoint" in str(folder):
            return own(self, folder, *args, **more)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(trainer.TreeTrainer, killed_in, killed)
        with pytest.raises(KeyboardInterrupt):
            train(tiny_model, EXAMPLES, out, settings=SETTINGS)
    assert train(tiny_model, EXAMPLES, out, settings=SETTINGS) == expected
    assert apart(out, whole) == 0


def test_the_best_model_is_found_where_the_folder_was_moved(
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    apart: Apart,
    undisturbed: tuple[Path, TrainResult],
) -> None:
    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    whole, expected = undisturbed
    with monkeypatch.context() as patched:
        patched.setattr(trainer.TreeTrainer, "_finalize_training", killed)
        with pytest.raises(KeyboardInterrupt):
            train(tiny_model, EXAMPLES, tmp_path / "here" / "out", settings=SETTINGS)
    (tmp_path / "here").rename(tmp_path / "there")
    assert train(tiny_model, EXAMPLES, tmp_path / "there" / "out", settings=SETTINGS) == expected
    assert apart(tmp_path / "there" / "out", whole) == 0


def test_adapters_are_judged_too(tiny_model: Path, tmp_path: Path, passes: Passes) -> None:
    settings = replace(SETTINGS, lora=Lora(rank=8, alpha=32.0))
    result = train(tiny_model, EXAMPLES, tmp_path / "out", settings=settings)
    held = [example for example in EXAMPLES if example.origin in passes.measured[0]]
    assert result.held_out == min(passes.losses)
    assert likelihood(tmp_path / "out", held) == pytest.approx(result.held_out, rel=1e-5)


def test_something_must_be_left_to_train_on(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holdout = 0.9 leaves nothing of 1 questions") as caught:
        train(tiny_model, EXAMPLES[:2], tmp_path / "out", settings=replace(SETTINGS, holdout=0.9))
    assert "\n" not in str(caught.value)
