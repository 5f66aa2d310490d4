"""SPHERE's second stage as it is harvested: what the policy made of its own wrong solution."""

from collections import Counter

from whorl import credit, prompts
from whorl.example import Pair
from whorl.prompts.wording import Wording
from whorl.tree import Author, Tree

CORRECTION: tuple[Author, ...] = ("reflector", "corrector")


def corrected_pairs(tree: Tree, wrong: int, words: Wording) -> tuple[list[Pair], Counter[str]]:
    """Pairs of stage 2: the corrected solution over the wrong one after the plain question, and
    over a wrong correction after the request to reflect, each with its reflection."""
    corrected, missed = credit.solutions(tree, CORRECTION)
    if not corrected:
        return [], Counter({"no right solution": 1})
    pairs = [credit.solution_pair(tree, prompts.plain(tree), corrected[0], wrong)]
    same = [end for end in missed if tree.path(end)[0] == tree.path(corrected[0])[0]]
    reflect = prompts.reflect(tree.problem.question, tree.text(wrong), words)
    for end in (same or missed)[-1:]:
        pairs.append(credit.solution_pair(tree, reflect, corrected[0], end, noted=True))
    return pairs, Counter({"no wrong correction": int(not missed)})
