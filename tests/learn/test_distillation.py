"""Distillation's loss: its gradient is that of the reverse KL divergence."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from whorl.ask import Prompt
from whorl.chat import Chat
from whorl.errors import UserError
from whorl.example import Distillation, Pair, Weighted
from whorl.learn import network
from whorl.learn.corpus import Encoded, TokenPath, encode
from whorl.learn.layout import Share, lay_out
from whorl.learn.losses import batch_loss
from whorl.learn.pack import Packing
from whorl.learn.train import train
from whorl.learn.training import Training

CONTEXT = (7, 40, 12, 99)


@pytest.fixture(scope="module")
def student(tiny_model: Path) -> nn.Module:
    return AutoModelForCausalLM.from_pretrained(tiny_model)


@pytest.fixture(scope="module")
def teacher(tiny_model: Path) -> nn.Module:
    """The student, knocked out of place."""
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight += weight.std() * torch.randn(weight.shape, generator=generator)
    return model


def distribution(model: nn.Module, ids: tuple[int, ...]) -> Tensor:
    return model(torch.tensor([ids])).logits[0, -1].log_softmax(-1)


def gradient(model: nn.Module, loss: Tensor) -> Tensor:
    model.zero_grad()
    loss.backward()
    return torch.cat([weight.grad.flatten() for weight in model.parameters()])


def lossy(model: nn.Module, examples: list[Encoded], taught: list[np.ndarray]) -> Tensor:
    objective = Distillation()
    share, packing = Share.of(examples), Packing(10**6, "padded")
    batch = lay_out(examples, objective, share, packing, taught)
    return batch_loss(objective, batch, network.logits(model, batch))


def test_over_all_tokens_it_is_the_gradient_of_a_plain_reverse_kl(student, teacher) -> None:
    """Every token of the vocabulary once, as often as the student samples it."""
    wise = distribution(teacher, CONTEXT).detach()
    new = distribution(student, CONTEXT)
    by_hand = gradient(student, (new.exp() * (new - wise)).sum())
    chances = distribution(student, CONTEXT).detach().exp()
    examples = [
        Encoded(
            (TokenPath(np.array([*CONTEXT, token], np.int32), len(CONTEXT)),),
            weight=float(chance) * len(chances),
            first=token,
        )
        for token, chance in enumerate(chances)
    ]
    taught = [np.array([value], np.float32) for value in wise.tolist()]
    ours = gradient(student, lossy(student, examples, taught))
    assert by_hand.abs().max() > 1e-3
    assert (ours - by_hand).abs().max() < 1e-5


def test_of_a_sample_it_is_the_sampled_reverse_kl(student, teacher) -> None:
    """Sum over tokens of (log new - log teacher) times the gradient of log new, over their
    number."""
    said = (3, 60, 61)
    new, wise = (
        torch.stack(
            [distribution(model, (*CONTEXT, *said[:i]))[token] for i, token in enumerate(said)]
        )
        for model in (student, teacher)
    )
    by_hand = gradient(student, ((new - wise).detach() * new).sum() / len(said))
    path = TokenPath(np.array([*CONTEXT, *said], np.int32), len(CONTEXT))
    taught = [wise.detach().numpy().astype(np.float32)]
    ours = gradient(student, lossy(student, [Encoded((path,), 1.0, 0)], taught))
    assert by_hand.abs().max() > 1e-3
    assert (ours - by_hand).abs().max() < 1e-5


PROMPT = Prompt("", "Mia has 12 apples and buys 5.")


def test_a_training_moves_the_student_towards_the_teacher(
    tiny_model: Path, tmp_path: Path, teacher
) -> None:
    chat = Chat.load(tiny_model)
    texts = ("12+5=17", "Mia has 17.", "17")

    def likely(model: nn.Module) -> list[list[float]]:
        found = []
        for text in texts:
            ids, start = chat.encode_completion(PROMPT, text)
            with torch.no_grad():
                scores = model(torch.tensor([ids])).logits[0].log_softmax(-1)
            found.append([float(scores[i - 1, ids[i]]) for i in range(start, len(ids))])
        return found

    wise = likely(teacher)
    examples = [Weighted(PROMPT, t, taught=tuple(w)) for t, w in zip(texts, wise, strict=True)]
    mismatched = Weighted(PROMPT, "17", taught=(-1.0,) * 99)
    settings = Training(epochs=30, lr=1e-3, batch=8, warmup=0.0)
    result = train(
        tiny_model,
        [*examples, mismatched],
        tmp_path / "out",
        settings=settings,
        objective=Distillation(),
    )
    assert result.dropped == {"teacher's tokens are others": 1}

    def apart(model: Path) -> float:
        found = likely(AutoModelForCausalLM.from_pretrained(model))
        return sum(
            (a - b) ** 2
            for one, two in zip(found, wise, strict=True)
            for a, b in zip(one, two, strict=True)
        )

    assert apart(tmp_path / "out") < 0.2 * apart(tiny_model)


def test_examples_that_no_teacher_has_read_are_refused(tiny_model: Path) -> None:
    chat = Chat.load(tiny_model)
    with pytest.raises(UserError, match="no teacher's log-probabilities"):
        encode([Weighted(PROMPT, "17")], chat, Distillation(), max_length=100)
    with pytest.raises(UserError, match="these are pairs"):
        encode([Pair(PROMPT, "17", "18")], chat, Distillation(), max_length=100)
