"""Contamination: training problems that are in a test set too, found by the words they share.

A window of 13 words is what language models' training data is checked by since GPT-3 (2005.14165,
appendix C). Time and memory are linear in the words.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from whorl.ask import Prompt
from whorl.data.problems import read_problems
from whorl.data.rows import BadRow, Row, columns, read_rows
from whorl.data.selection import Dropped, OnDrop
from whorl.errors import UserError
from whorl.problem import Problem, fingerprint, plain
from whorl.prompts import questions

WINDOW = 13
"""Words in a row that two different problems do not share by chance, or so it is assumed: problems
of a textbook, or with one way of asking, may. `Dropped.words` shows which."""

_WORD = re.compile(r"[^\W_]+")
_DRAWING = re.compile(r"\[asy\].*?\[/asy\]", re.DOTALL | re.IGNORECASE)


def words(text: str) -> list[str]:
    """Words of a text: runs of letters and digits in lower case, so neither blanks, punctuation,
    the signs of formulas nor their layout count. The program of a drawing is no wording: `[asy]` is
    left out."""
    return _WORD.findall(_DRAWING.sub(" ", text).casefold())


@dataclass(slots=True)
class Known:
    """The wording of test sets: each window of words and each whole text, with the first problem
    that has it.

    problems: how many.
    """

    problems: int = 0
    windows: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    def add(self, problems: Iterable[Problem]) -> None:
        """Add the problems of a test set."""
        for problem in problems:
            self.problems += 1
            if whole := plain(problem.question):
                self.texts.setdefault(whole, problem.id)
            for window in _windows(words(problem.question)):
                self.windows.setdefault(window, problem.id)

    def match(self, problem: Problem) -> Dropped | None:
        """The overlap of a problem with a test problem; None if neither its `plain` text nor
        `WINDOW` words in a row are known. Of several, the one that shares the most windows."""
        own, whole = words(problem.question), plain(problem.question)
        if whole in self.texts:
            return Dropped(problem.id, "the text of a test problem", self.texts[whole], 1.0, whole)
        shared = [window for window in _windows(own) if window in self.windows]
        if not shared:
            return None
        ((of, count),) = Counter(self.windows[window] for window in shared).most_common(1)
        first = next(window for window in shared if self.windows[window] == of)
        share = count / (len(own) - WINDOW + 1)
        return Dropped(problem.id, f"{WINDOW} words of a test problem", of, share, first)


def without_test_problems(
    problems: Iterable[Problem], known: Known, *, overlap: float = 0.0, on_drop: OnDrop
) -> Iterator[Problem]:
    """The problems that no test set has, as a stream.

    overlap: the least share of a problem's windows that makes a match. The default is the strict
    rule: a single window does, also one that is no more than a usual way of asking.
    """
    for problem in problems:
        match = known.match(problem)
        if match and (match.share or 0.0) >= overlap:
            on_drop(match)
        else:
            yield problem


def check_apart(learned: Path, test: Path) -> None:
    """Raises `UserError` if a file of problems to learn from and a file to measure on share a
    question, in the same words."""
    refuse_shared(
        ids_among(read_problems(learned, skip_bad=True), fingerprints_of_problems(test)),
        learned,
        test,
    )


def fingerprints_of_problems(test: Path) -> set[str]:
    """Fingerprints of the questions of a file of problems."""
    return {fingerprint(problem.question) for problem in read_problems(test)}


def refuse_shared(both: Sequence[str], learned: Path, test: Path) -> None:
    """Raises `UserError` if there are problems in both files. both: their ids."""
    if both:
        raise UserError(
            f"{len(both):,} problems are both in {learned} and in {test}, the first: {both[0]}; "
            "what a model was trained on measures nothing. `whorl problems --from "
            f"{learned} --against {test} --out OUT` leaves them out"
        )


def ids_among(problems: Iterable[Problem], fingerprints: Collection[str]) -> list[str]:
    """Ids of the problems whose wording is among the fingerprints."""
    return [p.id for p in problems if (name := fingerprint(p.question)) and name in fingerprints]


def fingerprints_in(path: Path) -> set[str]:
    """Fingerprints of the questions of a file of problems, trees or examples.

    Raises `UserError` at a line that is none of them.
    """
    found: set[str] = set()
    for number, row in read_rows(path):
        try:
            if isinstance(row, BadRow):
                raise row
            found.update(map(fingerprint, _questions(row)))
        except BadRow as bad:
            raise UserError(f"{path}, line {number}: {bad}") from None
    return found - {""}


def _questions(row: Row) -> Iterable[str]:
    try:
        if "nodes" in row:
            return [str(row["problem"]["question"])]
        if "prompt" in row:
            said = {message["role"]: str(message["content"]) for message in row["prompt"]}
            return questions(Prompt("", said.get("user", ""), str(row.get("prefix", ""))))
    except (TypeError, KeyError):
        raise BadRow("neither a tree nor an example") from None
    question = row.get("question") or row.get("problem")
    if not isinstance(question, str):
        raise BadRow(f"no problem, tree or example (there are {columns(row)})")
    return [question]


def _windows(own: list[str]) -> Iterator[str]:
    return (" ".join(own[start : start + WINDOW]) for start in range(len(own) - WINDOW + 1))
