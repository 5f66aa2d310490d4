"""Sets and relations, with what their "and" and "or" say."""

import re

from whorl.answer import Conventions, Parts, Verdict, items, worded
from whorl.engines.judge.compare import same_terms
from whorl.engines.judge.reader import read
from whorl.engines.judge.sets import EMPTY, REALS, NotASet, has_sets, is_relation, joined, variables
from whorl.engines.judge.signs import DOUBLE, signs
from whorl.engines.judge.terms import Term, Unreadable


def same_statement(gold: str, answer: str, rules: Conventions) -> Verdict | None:
    """The verdict on sets and relations, with their "or" and "and"; None on other answers."""
    terms = []
    for text in (worded(gold), worded(answer)):
        try:
            terms.append(_SETS.get(text.casefold()) or _read_whole(text))
        except Unreadable:
            return None
    if not any(map(has_sets, terms)):
        return None
    verdict = same_terms(terms[0], terms[1], rules)
    return verdict if verdict.right is not None else None


_SETS = {
    **dict.fromkeys(("all real numbers", "all reals"), REALS),
    **dict.fromkeys(
        ("no solution", "no solutions", "no real solution", "no real solutions"), EMPTY
    ),
    **dict.fromkeys(("empty set", "the empty set"), EMPTY),
}


def with_commas(answer: Parts) -> Parts:
    """Relations of several variables with "and" between them are a list."""
    return answer._replace(body=re.sub(r"\s?(?<![a-zA-Z\\])and(?![a-zA-Z])\s?", ", ", answer.body))


def _read_whole(text: str) -> Term:
    """A text as one term; relations with commas between them as what they say together."""
    listed = items(text)
    if listed is None or listed.left:
        if r"\ne" not in text or not DOUBLE.search(text):
            return read(text)
        return joined([read(variant) for variant in signs(text, linked=True)])  # neither of them
    members = [read(member) for member in listed.members]
    if not all(map(is_relation, members)) or len(frozenset().union(*map(variables, members))) > 1:
        raise Unreadable("a list")
    try:
        return joined(members)
    except NotASet as reason:
        raise Unreadable(str(reason)) from None
