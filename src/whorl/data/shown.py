"""Test questions among what a model is shown: solved examples, and instructions that hold some."""

import re
from collections.abc import Iterator
from pathlib import Path

from whorl.data.contamination import Known
from whorl.data.duplicates import nearly_repeats
from whorl.data.problems import read_problems
from whorl.errors import UserError
from whorl.problem import Problem, plain
from whorl.prompts.wording import Wording

_LEAST = 5  # words and signs of a short test question that is looked for within a text
_SIGNS = re.compile(r"\\(?:cdot|times)\b")
_LATEX = re.compile(r"\\[a-zA-Z]+")


def check_examples(words: Wording, test: Path) -> None:
    """Raises `UserError` if what models are shown before a problem has a question of a file to
    measure on.

    An example's question or solution, or what else is said before the problem, may not share
    13 words in a row with one. An example's question may be no near duplicate of one, and a
    shorter one may not stand in it or in the instructions.
    """
    shown = list(_shown(words))
    if not words.examples and not re.search(r"\d", words.solve.system + words.solve.user):
        return  # nothing is solved in it, and the file may be large
    known = Known()
    tests = list(read_problems(test))
    known.add(tests)
    asked = [(problem.id, _spelled(problem.question)) for problem in tests]
    for what, text, question in shown:
        if match := known.match(Problem(what, text, "")):
            raise _refusal(what, match.why, match.of, test)
        spelled = _spelled(text)
        for of, other in asked if question else ():
            if why := _has(spelled, other):
                raise _refusal(what, why, of, test)


def _shown(words: Wording) -> Iterator[tuple[str, str, bool]]:
    """Texts that are shown, by name, and whether a question may stand in it."""
    for number, shot in enumerate(words.examples, start=1):
        yield f"example {number}", shot.question, True
        yield f"the solution of example {number}", shot.solution, False
    yield "solve.system", words.solve.system, True
    yield "solve.user", words.solve.user, True


def _has(text: str, question: str) -> str:
    """How a text has a test question, both as `_spelled`; empty if it does not."""
    own, whole = plain(text), plain(question)
    # a formula that goes on is another one
    if len(whole.split()) >= _LEAST and re.search(
        rf"(?<![^ ])(?<![-+*/^=<>] ){re.escape(whole)}(?! [-+*/^=<>])(?![^ ])", own
    ):
        return "the words of a test problem"
    return "nearly a test problem" if nearly_repeats(text, question) else ""


def _spelled(text: str) -> str:
    """A text without what LaTeX lays out, and without signs of products, which may be left out."""
    return _LATEX.sub(" ", _SIGNS.sub(" ", text)).replace("*", " ")


def _refusal(what: str, why: str, of: str, test: Path) -> UserError:
    return UserError(
        f"prompts: {what} shows {why}: {of} in {test}; what a model was shown measures nothing"
    )
