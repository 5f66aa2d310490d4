"""Final answers: finding one in a text, its plain form, and equality where arithmetic settles it.

Everything here takes microseconds and time linear in the text. What needs algebra is left
undecided (None) for the judge. Where graders differ, `Conventions` says what counts as the same.
"""

from whorl.answer.conclusion import boxed, concluded, settled
from whorl.answer.conventions import FLOAT_NOISE, FLOAT_PLACES, LONGEST, USUAL, Conventions, Verdict
from whorl.answer.equal import compare, equal
from whorl.answer.extract import bare, extract, gold_in, parsable, read
from whorl.answer.lists import Items, items
from whorl.answer.measures import both_measured, in_one_unit, tell_apart
from whorl.answer.plain import Parts, normalise, take_apart, with_points, worded
from whorl.answer.solution import first_solution

__all__ = [
    "FLOAT_NOISE",
    "FLOAT_PLACES",
    "LONGEST",
    "USUAL",
    "Conventions",
    "Items",
    "Parts",
    "Verdict",
    "bare",
    "both_measured",
    "boxed",
    "compare",
    "concluded",
    "equal",
    "extract",
    "first_solution",
    "gold_in",
    "in_one_unit",
    "items",
    "normalise",
    "parsable",
    "read",
    "settled",
    "take_apart",
    "tell_apart",
    "with_points",
    "worded",
]
