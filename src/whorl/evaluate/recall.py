"""Recall of test questions: does a model write on a question of which it has seen the first words?

Reasoning or Memorization (2507.10532) gives a model the first part of a question as plain text, not
in its chat template, and counts how often it writes the rest word for word, and how often it comes
to the right answer of a question that it was not told. A model that has not read a test does
neither. How the paper cuts a question was not to be read; here words are counted.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from whorl.answer import concluded
from whorl.ask import Ask, Asking, Engine, Prompt
from whorl.drive import drive
from whorl.problem import Problem
from whorl.rollout import verdicts


@dataclass(frozen=True, slots=True)
class Recalled:
    """Continuation of a question by a model that saw its first words.

    rest: the words of the question that it was not shown. text: what it wrote.
    exact: whether it wrote the rest, blank space aside, before anything else.
    right: whether it then came to the right answer. error: why it was not asked; empty if it was.
    """

    problem: Problem
    rest: str
    text: str = ""
    exact: bool = False
    right: bool = False
    error: str = ""


def recall_questions(
    problems: Iterable[Problem],
    engines: Mapping[str, Engine],
    *,
    share: float = 0.6,
    max_tokens: int = 512,
    width: int = 256,
) -> Iterator[Recalled]:
    """Have a model write on every question, greedily; yields what came of each, in any order.

    engines: for `policy` and `judge`. share: of a question's words, in (0, 1), that are shown; of
    words at least one is shown and one is not. A question that is not `askable` is passed over.
    """
    asked: dict[str, Recalled] = {}

    def searches() -> Iterator[tuple[str, Asking[Recalled]]]:
        for problem in problems:
            if askable(problem.question):
                shown, rest = _cut(problem.question, share)
                asked[problem.id] = Recalled(problem, rest)
                yield problem.id, _recalled(asked[problem.id], shown, max_tokens)

    for done in drive(searches(), engines, width=width):
        one = asked.pop(done.key)
        yield done.result or replace(one, error=done.error or "")


def askable(question: str) -> bool:
    """Whether a question has words to show and words to leave out."""
    return len(question.split()) > 1


def _cut(question: str, share: float) -> tuple[str, str]:
    """The first words of a question that is askable, its layout kept, and the others."""
    words = question.split()
    count = min(max(1, round(share * len(words))), len(words) - 1)
    rest, shown = words[count:], question.rstrip()
    for word in reversed(rest):
        shown = shown.removesuffix(word).rstrip()
    return shown, " ".join(rest)


def _recalled(one: Recalled, shown: str, max_tokens: int) -> Asking[Recalled]:
    prompt = Prompt("", "", shown)
    ((reply,),) = yield [Ask(prompt, max_tokens=max_tokens, temperature=0.0)]
    rest = one.rest.split()
    exact = reply.text.split()[: len(rest)] == rest
    answer = concluded(reply.text)
    (verdict,) = yield from verdicts(one.problem.answer, [answer], one.problem.check)
    return replace(one, text=reply.text, exact=exact, right=verdict.right is True)
