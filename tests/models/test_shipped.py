from pathlib import Path

import pytest
import torch

from whorl import models
from whorl.chat import Chat
from whorl.data.countdown import problems
from whorl.data.synthetic import generate
from whorl.models import countdown
from whorl.models.pretrain import accuracy, load_model

WRITERS = (
    models.POLICY,
    models.TEACHER,
    models.SMALL,
    models.COUNTDOWN_POLICY,
    models.COUNTDOWN_TEACHER,
)


@pytest.mark.parametrize("folder", WRITERS, ids=lambda path: path.name)
def test_a_shipped_folder_is_complete_and_loads(folder: Path) -> None:
    chat, model = Chat.load(folder), load_model(folder)
    assert model.config.vocab_size == len(chat.tokenizer)
    assert (folder / "README.md").is_file()


def test_together_they_are_under_ten_megabytes() -> None:
    files = [f for folder in WRITERS for f in folder.iterdir()]
    assert sum(file.stat().st_size for file in files) < 10_000_000


@pytest.mark.parametrize(
    ("folder", "low", "high"),
    [(models.POLICY, 0.28, 0.72), (models.TEACHER, 0.7, 1.0), (models.SMALL, 0.06, 0.54)],
)
def test_greedy_accuracy_is_what_the_card_says(folder: Path, low: float, high: float) -> None:
    torch.set_num_threads(1)
    score = accuracy(load_model(folder), Chat.load(folder), list(generate("test", 60, seed=5)))
    assert low <= score <= high  # four standard errors round the card's figure


def test_the_small_model_is_smaller_and_of_the_policys_family() -> None:
    small, policy = load_model(models.SMALL), load_model(models.POLICY)
    assert small.num_parameters() < 0.5 * policy.num_parameters()
    assert small.config.model_type == policy.config.model_type
    for name in ("tokenizer.json", "chat_template.jinja"):
        assert (models.SMALL / name).read_bytes() == (models.POLICY / name).read_bytes()


@pytest.mark.parametrize(
    ("folder", "low", "high"),
    [(models.COUNTDOWN_POLICY, 0.05, 0.39), (models.COUNTDOWN_TEACHER, 0.07, 0.42)],
)
def test_countdown_is_solved_as_often_as_the_card_says(
    folder: Path, low: float, high: float
) -> None:
    torch.set_num_threads(1)
    asked = list(problems("test", 100, seed=5, levels=(3,)))
    score = countdown.accuracy(load_model(folder), Chat.load(folder), asked, 3)
    assert low <= score <= high  # four standard errors round the card's figure
