"""Examples to batches: encoded once, laid out for all epochs, padded to the batch's longest."""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.utils.data import Dataset

from whorl.chat import Chat
from whorl.errors import UserError
from whorl.example import Example, Pair
from whorl.learn.losses import IGNORED

SHUFFLED = 50
"""Batches' worth of examples that are sorted by length together, as transformers does."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """An example as token ids, `ids[start:]` being the completion."""

    ids: Tensor  # [T], int32
    start: int
    weight: float


@dataclass(slots=True)
class Corpus:
    """The examples that can be trained on, and how many cannot, by reason."""

    examples: list[Encoded] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)

    @property
    def tokens(self) -> int:
        """Completion tokens."""
        return sum(len(example.ids) - example.start for example in self.examples)


def encode(examples: Iterable[Example], chat: Chat, *, max_length: int) -> Corpus:
    """Encode with the renderer that sampling uses; drop what is longer than `max_length`."""
    corpus = Corpus()
    for example in examples:
        if isinstance(example, Pair):
            raise UserError("pairs cannot be trained on yet")
        ids, start = chat.encode_completion(example.prompt, example.text, ended=example.ended)
        if len(ids) > max_length:
            corpus.dropped["too long"] += 1
        elif start >= len(ids):
            corpus.dropped["empty"] += 1
        else:
            encoded = Encoded(torch.tensor(ids, dtype=torch.int32), start, example.weight)
            corpus.examples.append(encoded)
    return corpus


def plan(lengths: Sequence[int], *, size: int, epochs: int, seed: int) -> list[list[int]]:
    """Every batch of a training, as indices into `lengths`: at most `size` of similar length each.

    Every epoch holds every index once. A function of its arguments alone, so a training that was
    killed finds its place again by counting batches.
    """
    shuffle = random.Random(seed)
    batches = []
    for _ in range(epochs):
        order = list(range(len(lengths)))
        shuffle.shuffle(order)
        epoch = []
        for first in range(0, len(order), size * SHUFFLED):
            chunk = sorted(order[first : first + size * SHUFFLED], key=lengths.__getitem__)
            epoch += [chunk[i : i + size] for i in range(0, len(chunk), size)]
        shuffle.shuffle(epoch)
        batches += epoch
    return batches


class Batches(Dataset[dict[str, Tensor]]):
    """The planned batches, collated when they are asked for."""

    def __init__(self, examples: Sequence[Encoded], batches: Sequence[Sequence[int]]) -> None:
        self._examples = examples
        self._batches = batches

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return collate([self._examples[i] for i in self._batches[index]])


def collate(examples: Sequence[Encoded]) -> dict[str, Tensor]:
    """`ids` and `labels` `[B, T]`, padded on the right, and `weights` `[B]`.

    There is no attention mask: the model is causal, so no token sees the padding to its right.
    """
    shape = len(examples), max(len(example.ids) for example in examples)
    ids_BT = torch.zeros(shape, dtype=torch.int64)
    labels_BT = torch.full(shape, IGNORED)
    for row, example in enumerate(examples):
        length = len(example.ids)
        ids_BT[row, :length] = example.ids
        labels_BT[row, example.start : length] = example.ids[example.start :]
    weights_B = torch.tensor([example.weight for example in examples])
    return {"ids": ids_BT, "labels": labels_BT, "weights": weights_B}
