"""Examples as token ids, encoded once."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from whorl.chat import Chat
from whorl.errors import UserError
from whorl.example import Distillation, Example, Objective, Pair, Preference, Weighted
from whorl.problem import fingerprint
from whorl.prompts import questions

Ids: TypeAlias = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class TokenPath:
    """A completion in its context, as token ids: `ids[start:]` is the completion, and `start` is at
    least 1."""

    ids: Ids  # [T]
    start: int

    def __len__(self) -> int:
        """Number of tokens of context and completion."""
        return len(self.ids)

    @property
    def learnt(self) -> int:
        """Number of tokens of the completion."""
        return len(self.ids) - self.start


@dataclass(frozen=True, slots=True)
class Encoded:
    """An example as token ids: one path, or a chosen and a rejected one.

    weight: of a single path; a pair has none and holds 1.
    first: number of its first path among those of the corpus.
    origin: as the example's.
    """

    paths: tuple[TokenPath, ...]
    weight: float
    first: int
    origin: str = ""


@dataclass(slots=True)
class Corpus:
    """Encoded examples, grouped by question.

    groups: the examples of one question each, which share its text and perhaps steps.
    paths: how many there are.
    longest: tokens of the longest path.
    highest: token id.
    dropped: examples that cannot be trained on, by reason.
    questions: fingerprints of what may be their questions.
    taught: a teacher's log-probabilities of every completion token, by path; empty without one.
    """

    groups: list[list[Encoded]] = field(default_factory=list)
    paths: int = 0
    longest: int = 0
    highest: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    questions: set[str] = field(default_factory=set)
    taught: list[NDArray[np.float32]] = field(default_factory=list)

    def __len__(self) -> int:
        """Number of examples."""
        return sum(map(len, self.groups))

    @property
    def tokens(self) -> int:
        """Number of completion tokens; a token that two examples share counts twice."""
        return sum(p.learnt for group in self.groups for e in group for p in e.paths)

    @property
    def negative(self) -> float:
        """Share of the examples whose weight is below 0."""
        below = sum(e.weight < 0 for group in self.groups for e in group)
        return below / max(1, len(self))


def encode(
    examples: Iterable[Example], chat: Chat, objective: Objective, *, max_length: int
) -> Corpus:
    """Encode examples with the renderer that sampling uses; examples longer than `max_length`
    tokens are dropped.

    Raises `UserError` at an example of a kind that the objective does not eat.
    """
    corpus = Corpus()
    wanted = Pair if isinstance(objective, Preference) else Weighted
    groups: dict[tuple[str, str], list[Encoded]] = {}
    for example in examples:
        if not isinstance(example, wanted):
            raise UserError(_mismatch(example))
        paths = tuple(_paths(example, chat))
        if any(len(path) > max_length for path in paths):
            corpus.dropped["too long"] += 1
        elif any(not path.learnt for path in paths):
            corpus.dropped["empty"] += 1
        elif isinstance(objective, Distillation) and not _teach(corpus, example, paths):
            corpus.dropped["teacher's tokens are others"] += 1
        else:
            weight = example.weight if isinstance(example, Weighted) else 1.0
            key = (example.prompt.system, example.prompt.user)
            if not any(key):  # a text in a form of its own: the question is somewhere in it
                key = ("", min(questions(example.prompt), key=len))
            if key not in groups or not example.prompt.user:
                corpus.questions.update(map(fingerprint, questions(example.prompt)))
            groups.setdefault(key, []).append(Encoded(paths, weight, corpus.paths, example.origin))
            corpus.paths += len(paths)
            corpus.longest = max(corpus.longest, *map(len, paths))
            corpus.highest = max(corpus.highest, *(int(path.ids.max()) for path in paths))
    corpus.groups = list(groups.values())
    return corpus


def _teach(corpus: Corpus, example: Example, paths: Sequence[TokenPath]) -> bool:
    """Note what the teacher says of an example's tokens; returns False if these are others than the
    teacher's. Raises `UserError` if no teacher was asked."""
    assert isinstance(example, Weighted)
    if not example.taught:
        raise UserError(
            "these examples have no teacher's log-probabilities, which distillation learns from; "
            "on_policy_distill harvests some"
        )
    if len(example.taught) != paths[0].learnt:
        return False
    corpus.taught.append(np.array(example.taught, np.float32))
    return True


def _paths(example: Example, chat: Chat) -> Iterable[TokenPath]:
    if isinstance(example, Pair):
        completions = [
            (example.chosen, example.chosen_ended),
            (example.rejected, example.rejected_ended),
        ]
    else:
        completions = [(example.text, example.ended)]
    for text, ended in completions:
        ids, start = chat.encode_completion(example.prompt, text, ended=ended)
        # nothing predicts a text's first token
        yield TokenPath(np.array(ids, dtype=np.int32), max(1, start))


def _mismatch(example: Example) -> str:
    if isinstance(example, Pair):
        return "these are pairs, which likelihood cannot learn from; the objective is preference"
    return (
        "these are single completions, which preference cannot learn from; "
        "the objective is likelihood"
    )
