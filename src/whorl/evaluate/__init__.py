"""Evaluation: attempts at held-out problems, measures with intervals, and paired comparisons.

`setup` says how problems are put, `attempts` puts them, `scores` keeps what became of them,
`measures` sums up, `pairing` compares, `seen` tells what a model was trained on.
"""

from whorl.evaluate.attempts import Attempt, Record, attempt_problems, attempted
from whorl.evaluate.intervals import Rate, macro_rate, wilson
from whorl.evaluate.measures import (
    Repeats,
    Summary,
    pass_at,
    pass_rate,
    pass_rate_over,
    repeated,
    sensible_ks,
    summarise,
)
from whorl.evaluate.pairing import Paired, findable, paired, paired_over
from whorl.evaluate.scores import (
    Place,
    Score,
    in_order,
    read_records,
    read_scores,
    score_of,
    write_records,
    write_scores,
)
from whorl.evaluate.setup import PRESETS, Decoding, Setup

__all__ = [
    "PRESETS",
    "Attempt",
    "Decoding",
    "Paired",
    "Place",
    "Rate",
    "Record",
    "Repeats",
    "Score",
    "Setup",
    "Summary",
    "attempt_problems",
    "attempted",
    "findable",
    "in_order",
    "macro_rate",
    "paired",
    "paired_over",
    "pass_at",
    "pass_rate",
    "pass_rate_over",
    "read_records",
    "read_scores",
    "repeated",
    "score_of",
    "sensible_ks",
    "summarise",
    "wilson",
    "write_records",
    "write_scores",
]
