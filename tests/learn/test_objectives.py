"""Every objective, from examples to a trained folder."""

import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from whorl.ask import Prompt
from whorl.chat import Chat
from whorl.errors import UserError
from whorl.example import Example, Likelihood, Objective, Pair, Preference, Weighted
from whorl.learn.train import train
from whorl.learn.training import Training

Apart = Callable[[Path, Path], float]

QUESTIONS = [
    Prompt("", f"Problem: Mia has {n} apples and buys {n % 4}.", "Mia has\n\n" * (n % 2))
    for n in range(10, 18)
]
SINGLE = [
    Weighted(question, f"Mia has {n}+{n % m}={n + n % m} apples.", weight)
    for n, question in enumerate(QUESTIONS, start=10)
    for m, weight in ((4, 1.0), (5, 0.5), (3, -0.25))
]
PAIRS = [
    Pair(question, f"Mia has {n}+{n % 4}={n + n % 4} apples.", wrong)
    for n, question in enumerate(QUESTIONS, start=10)
    for wrong in (f"Mia has {n}-{n % 4}={n - n % 4} apples.", "The answer is")
]
SETTINGS = Training(epochs=3, lr=1e-3, batch=8, warmup=0.0, seed=1)
OBJECTIVES = [
    *(Likelihood(kl=0.2, penalty=penalty) for penalty in ("exact", "k3", "linear")),
    Preference(),
    Preference(beta=0.5, nll=0.2),
]


def eaten(objective: Objective) -> Sequence[Example]:
    return PAIRS if isinstance(objective, Preference) else SINGLE


def held_back(weight: float) -> list[Weighted]:
    return [replace(example, weight=weight) for example in SINGLE]


def divergence(trained: Path, start: Path) -> float:
    """Mean KL(trained || start) of the next token, over the completions of `SINGLE`."""
    chat = Chat.load(start)
    new, old = (AutoModelForCausalLM.from_pretrained(folder) for folder in (trained, start))
    total, tokens = 0.0, 0
    for example in SINGLE:
        ids, first = chat.encode_completion(example.prompt, example.text)
        with torch.no_grad():
            p, q = (
                model(torch.tensor([ids])).logits[0, first - 1 : -1].log_softmax(-1)
                for model in (new, old)
            )
        total += float((p.exp() * (p - q)).sum())
        tokens += len(p)
    return total / tokens


@pytest.mark.parametrize("objective", [Likelihood(), *OBJECTIVES], ids=repr)
def test_the_loss_goes_down(tiny_model: Path, tmp_path: Path, log, objective: Objective) -> None:
    examples = held_back(1.0) if objective == Likelihood() else eaten(objective)
    seen = log()
    settings = replace(SETTINGS, epochs=6, batch=24)
    result = train(
        tiny_model,
        examples,
        tmp_path / "out",
        settings=settings,
        objective=objective,
        watch=seen,
    )
    assert seen.lines == []  # nothing to excuse: the examples were packed
    assert len(seen.losses) == result.steps == 6
    assert all(later < before for before, later in zip(seen.losses, seen.losses[1:], strict=False))


def test_the_first_loss_of_a_preference_is_log_2(tiny_model: Path, tmp_path: Path, log) -> None:
    """Nothing is preferred yet, by a model that is its own reference."""
    seen = log()
    train(
        tiny_model,
        PAIRS,
        tmp_path / "out",
        settings=SETTINGS,
        objective=Preference(),
        watch=seen,
    )
    assert seen.losses[0] == pytest.approx(math.log(2), abs=1e-6)


@pytest.mark.parametrize("penalty", ["exact", "k3"])
def test_a_penalty_keeps_the_model_near_its_start(
    tiny_model: Path, tmp_path: Path, penalty: str
) -> None:
    far = {}
    for kl in (0.0, 0.5, 5.0):
        out = tmp_path / str(kl)
        objective = Likelihood(kl=kl, penalty=penalty)  # type: ignore[arg-type]
        settings = replace(SETTINGS, epochs=15, lr=3e-3)
        train(tiny_model, held_back(1.0), out, settings=settings, objective=objective)
        far[kl] = divergence(out, tiny_model)
    assert 2 * far[5.0] < far[0.5] < far[0.0]


def test_a_linear_penalty_is_more_weight(tiny_model: Path, tmp_path: Path, apart: Apart) -> None:
    settings = replace(SETTINGS, clip=1e9)
    train(
        tiny_model,
        SINGLE,
        tmp_path / "penalty",
        settings=settings,
        objective=Likelihood(kl=0.5, penalty="linear"),
    )
    heavier = [replace(example, weight=example.weight + 0.5) for example in SINGLE]
    train(tiny_model, heavier, tmp_path / "weight", settings=settings)
    assert apart(tmp_path / "penalty", tmp_path / "weight") < 1e-6
    assert apart(tmp_path / "penalty", tiny_model) > 1e-3


@pytest.mark.parametrize("penalty", ["exact", "k3"])
def test_a_penalty_alone_changes_nothing(
    tiny_model: Path, tmp_path: Path, log, penalty: str
) -> None:
    """The start is where it is least. AdamW makes a step of lr even of a rounding error, so the
    weights tremble; at the learning rate that is the default, what the model says stays the same.
    """
    seen = log()
    train(
        tiny_model,
        held_back(0.0),
        tmp_path / "out",
        settings=replace(SETTINGS, lr=Training().lr),
        objective=Likelihood(kl=1.0, penalty=penalty),  # type: ignore[arg-type]
        watch=seen,
    )
    assert max(map(abs, seen.losses)) < 1e-6
    assert abs(divergence(tmp_path / "out", tiny_model)) < 1e-6


def test_negative_weights_need_a_penalty(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"33% .* negative weight.*give the objective a kl") as e:
        train(tiny_model, SINGLE, tmp_path / "out", settings=SETTINGS)
    assert "\n" not in str(e.value)
    assert not list(tmp_path.iterdir())
    result = train(
        tiny_model,
        SINGLE,
        tmp_path / "out",
        settings=replace(SETTINGS, epochs=1),
        objective=Likelihood(kl=0.1),
    )
    assert result.negative == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("examples", "objective", "why"),
    [
        (PAIRS, Likelihood(), "these are pairs, which likelihood cannot learn from"),
        (SINGLE, Preference(), "these are single completions, which preference cannot learn from"),
        ([PAIRS[0], SINGLE[0]], Preference(), "these are single completions"),
    ],
)
def test_examples_of_the_other_kind_are_refused(
    tiny_model: Path,
    tmp_path: Path,
    examples: Sequence[Example],
    objective: Objective,
    why: str,
) -> None:
    with pytest.raises(UserError, match=why) as caught:
        train(tiny_model, examples, tmp_path / "out", settings=SETTINGS, objective=objective)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)
def test_unpacked_is_the_same_training(
    tiny_model: Path, tmp_path: Path, apart: Apart, objective: Objective
) -> None:
    """To a hundredth of what the steps move: AdamW brings out the rounding of small gradients."""
    results = [
        train(
            tiny_model,
            eaten(objective),
            tmp_path / str(packed),
            settings=replace(SETTINGS, epochs=1, lr=1e-4, packed=packed, clip=1e9),
            objective=objective,
        )
        for packed in (True, False)
    ]
    assert results[0].loss == pytest.approx(results[1].loss, abs=1e-6)
    assert results[0].sharing > 1.2 > 1 >= results[1].sharing
    moved = apart(tmp_path / "True", tiny_model)
    assert moved > 1e-4
    assert apart(tmp_path / "True", tmp_path / "False") < 0.0075 * moved


class Peek:
    """Looks at the cached reference while a training runs."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.seen: set[tuple[int, int]] = set()
        self.losses: list[float] = []

    def training(self, step: int, steps: int, loss: float) -> None:
        found = self._file.stat()
        self.seen.add((found.st_ino, found.st_mtime_ns))
        self.losses.append(loss)

    def say(self, line: str) -> None:
        raise AssertionError(line)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)
def test_a_stopped_training_goes_on_to_the_same_weights(
    tiny_model: Path, tmp_path: Path, log, apart: Apart, objective: Objective
) -> None:
    settings = replace(SETTINGS, save_steps=2)

    def run(out: Path, watch) -> None:
        train(
            tiny_model,
            eaten(objective),
            out,
            settings=settings,
            objective=objective,
            watch=watch,
        )

    run(tmp_path / "undisturbed", log())
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "out", log(4))
    file = tmp_path / "out.partial" / "reference.npy"
    assert file.exists() == objective.compares_tokens
    if objective.compares_tokens:
        before = file.stat()
        peek = Peek(file)
        run(tmp_path / "out", peek)
        assert peek.seen == {(before.st_ino, before.st_mtime_ns)}
    else:
        run(tmp_path / "out", log())
    assert apart(tmp_path / "out", tmp_path / "undisturbed") == 0


def test_the_cached_reference_is_what_is_compared_with(
    tiny_model: Path, tmp_path: Path, log
) -> None:
    """A reference that says something else of every token gives another loss."""
    objective = Likelihood(kl=1.0, penalty="k3")

    def run(watch) -> None:
        train(
            tiny_model,
            held_back(0.0),
            tmp_path / "out",
            settings=replace(SETTINGS, epochs=1),
            objective=objective,
            watch=watch,
        )

    with pytest.raises(KeyboardInterrupt):
        run(log(1))  # before there is a checkpoint
    file = tmp_path / "out.partial" / "reference.npy"
    np.save(file, np.load(file) + np.float32(0.5))
    seen = log()
    run(seen)
    assert seen.losses[0] == pytest.approx(math.exp(0.5) - 0.5 - 1, rel=1e-5)


def test_a_vocabulary_that_is_too_small_is_one_line(tiny_model: Path, tmp_path: Path) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "model")
    config = LlamaConfig.from_pretrained(tiny_model, vocab_size=100)
    LlamaForCausalLM(config).save_pretrained(model)
    with pytest.raises(UserError, match=r"gives token \d+, but its model knows only 100 t") as e:
        train(model, held_back(1.0), tmp_path / "out", settings=SETTINGS)
    assert str(model) in str(e.value) and "\n" not in str(e.value)
    assert not (tmp_path / "out.partial").exists()


def test_a_tokenizer_without_a_chat_template_is_one_line(tiny_model: Path, tmp_path: Path) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "model")
    (model / "chat_template.jinja").unlink()
    with pytest.raises(UserError, match="has no chat template") as caught:
        train(model, held_back(1.0), tmp_path / "out", settings=SETTINGS)
    assert str(model) in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "out.partial").exists()
