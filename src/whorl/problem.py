"""A math problem with a known final answer: the ground everything else stands on."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem.

    id: unique within a run; seeds and journal entries derive from it.
    question: the text shown to a model.
    answer: the final answer only, e.g. `18` or `\\frac{1}{2}`.
    source, split, level: where it came from; carried along for reports, empty when unknown.
    """

    id: str
    question: str
    answer: str
    source: str = ""
    split: str = ""
    level: str = ""
