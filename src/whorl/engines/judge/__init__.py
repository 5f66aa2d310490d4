"""Verdicts that take algebra: `pool` keeps processes, `decide` compares, `reader` reads LaTeX,
`values` computes.
"""

from whorl.engines.judge.pool import Judgement, Judges

__all__ = ["Judgement", "Judges"]
