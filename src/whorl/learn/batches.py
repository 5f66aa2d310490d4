"""Optimizer steps from examples, and the batches of each that one process computes."""

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Literal

import torch
from torch.utils.data import Dataset

from whorl.example import Objective
from whorl.learn.corpus import Encoded
from whorl.learn.layout import Batch, LogProbs, Share, lay_out
from whorl.learn.pack import Packing, batches, cheaper_packing, computed_tokens, real_tokens

SAMPLED = 64
"""Optimizer steps that are enough to see how much is shared."""


def plan_steps(
    groups: Sequence[Sequence[Encoded]],
    *,
    size: int,
    epochs: int,
    seed: int,
    of: Literal["examples", "states"] = "examples",
) -> list[list[list[Encoded]]]:
    """The optimizer steps of each epoch: at most `size` examples or states each, groups kept
    together.

    A group of more than `size` is cut along its tree. Every epoch holds every example once. A
    function of its arguments alone, so a training that was killed finds its place again by
    counting steps.
    """
    parts = [
        units[i : i + size]
        for group in groups
        for units in [_units(group, of)]
        for i in range(0, len(units), size)
    ]
    shuffle = random.Random(seed)
    planned = []
    for _ in range(epochs):
        shuffle.shuffle(parts)
        steps: list[list[Encoded]] = [[]]
        held = 0
        for part in parts:
            if held + len(part) > size:
                steps.append([])
                held = 0
            held += len(part)
            steps[-1] += chain.from_iterable(part)
        planned.append(steps)
    return planned


def _units(group: Sequence[Encoded], of: Literal["examples", "states"]) -> list[list[Encoded]]:
    """A group's examples in the order of their tree, each by itself or those of a state
    together."""
    ordered = sorted(group, key=lambda example: example.paths[0].ids.tobytes())
    if of == "examples":
        return [[example] for example in ordered]
    states: dict[bytes, list[Encoded]] = {}
    for example in ordered:
        path = example.paths[0]
        states.setdefault(path.ids[: path.start].tobytes(), []).append(example)
    return list(states.values())


class Steps(Dataset[list[Batch]]):
    """Data set of optimizer steps: item `step * processes + process` is what a process computes for
    a step."""

    def __init__(
        self,
        steps: Sequence[Sequence[Encoded]],
        objective: Objective,
        packing: Packing,
        *,
        processes: int = 1,
        reference: LogProbs | None = None,
        start: LogProbs | None = None,
    ) -> None:
        self._steps = steps
        self._objective = objective
        self._packing = packing
        self._processes = processes
        self._reference = reference
        self._start = start

    def __len__(self) -> int:
        return len(self._steps) * self._processes

    def __getitem__(self, index: int) -> list[Batch]:
        step, process = divmod(index, self._processes)
        examples = self._steps[step]
        share = Share.of(examples)
        packing = cheaper_packing(examples, self._packing)
        if self._processes > 1:  # or one would compute what others could
            part = math.ceil(real_tokens(examples, packing) / self._processes)
            packing = replace(packing, tokens=min(packing.tokens, part))
        mine = deal(batches(examples, packing), self._processes)[process]
        return [
            lay_out(batch, self._objective, share, packing, self._reference, self._start)
            if batch
            else empty_batch()
            for batch in mine
        ]

    def sharing(self) -> float:
        """Tokens of the examples per token computed, padding included, in the first steps."""
        apart = computed = 0
        for step in self._steps[:SAMPLED]:
            apart += sum(len(path) for example in step for path in example.paths)
            packing = cheaper_packing(step, self._packing)
            computed += sum(computed_tokens(batch, packing) for batch in batches(step, packing))
        return apart / computed


def deal(work: Sequence[list[Encoded]], processes: int) -> list[list[list[Encoded]]]:
    """Batches for each process, equally many: processes that share a model take every pass
    together, so empty batches fill up."""
    turns = -(-len(work) // processes)
    padded = [*work, *([] for _ in range(turns * processes - len(work)))]
    return [padded[process::processes] for process in range(processes)]


def empty_batch() -> Batch:
    """A batch whose loss is 0."""
    one, none = torch.zeros(1, dtype=torch.int64), torch.zeros(0, dtype=torch.int64)
    zero = torch.zeros(1)
    return Batch(
        ids=torch.zeros(1, 2, dtype=torch.int64),
        keep=one,
        at=one,
        tokens=one,
        weights=zero,
        kl=zero,
        reference=zero,
        falls=zero,
        start=zero,
        members=none,
        sides=none,
        pair=0.0,
        paths=0,
        origins=(),
    )
