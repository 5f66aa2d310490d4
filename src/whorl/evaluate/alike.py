"""Whether evaluations are of the same problems: ids that number lines are those of many sets."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from whorl.data.content import content
from whorl.data.problems import read_problems
from whorl.errors import UserError
from whorl.evaluate.scores import Place, read_records
from whorl.problem import Problem, plain


@dataclass(frozen=True, slots=True)
class Asked:
    """The problems of an evaluation, or of a file of problems, as far as it is known which.

    name: what they are called in messages. digest: of the file they came from, empty if unknown.
    problems: the file that holds them, or the attempts at them.
    """

    name: str
    digest: str
    problems: Path

    @classmethod
    def of_scores(cls, scores: Path) -> "Asked":
        """The problems that scores are of, by the files beside them."""
        place = Place(scores)
        return cls(str(scores), _digest(str(place.said().get("problems", ""))), place.attempts)

    @classmethod
    def of_file(cls, problems: Path) -> "Asked":
        """The problems of a file."""
        return cls(str(problems), _digest(content(problems)), problems)

    @property
    def known(self) -> bool:
        """Whether their questions can be read."""
        return self.problems.is_file()

    def read(self) -> Iterator[Problem]:
        """The problems. Raises `UserError` if they cannot be read."""
        if self.problems.name.endswith(".attempts.jsonl"):
            return (record.problem for record in read_records(self.problems))
        return read_problems(self.problems)


def check_alike(one: Asked, other: Asked) -> None:
    """Raises `UserError` if problems of one id are not the same in both, or if their files differ
    and it cannot be told.

    A file that was packed, sorted or cut differs too, so that what counts are the questions and
    their answers: those of ids that both have are compared, where the digests differ or one is
    unknown. Where no digest differs and questions are unknown, as of scores that were written by
    hand, the ids have to do.
    """
    if one.digest and one.digest == other.digest:
        return
    if unknown := next((each for each in (one, other) if not each.known), None):
        if one.digest and other.digest:
            raise UserError(
                f"{one.name} and {other.name} are of files of problems that differ, and "
                f"{unknown.problems}, which would say whether the problems do, is not there; "
                "evaluate both on one file"
            )
        return
    check_questions(one.name, worded(one.read()), other.name, other.read())


def check_questions(
    name: str, known: Mapping[str, bytes], other: str, problems: Iterable[Problem]
) -> None:
    """Raises `UserError` at the first of `problems` that is another one than that of its id in
    `known`, as `worded` gives it. name, other: of what the two are, for the message."""
    for problem in problems:
        if problem.id in known and known[problem.id] != _wording(problem):
            raise UserError(
                f"{name} and {other} are not of the same problems: {problem.id!r} has another "
                "question or answer in each; evaluate both on one file"
            )


def worded(problems: Iterable[Problem]) -> dict[str, bytes]:
    """The wording of problems by id. Memory: 16 bytes and a dictionary's overhead for each."""
    return {problem.id: _wording(problem) for problem in problems}


def _wording(problem: Problem) -> bytes:
    """Digest of a question, whose layout and punctuation do not count, and of its answer."""
    text = "\n".join((plain(problem.question), problem.answer, problem.check))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _digest(named: str) -> str:
    """The digest in what `content` says: the same file may have another name."""
    return named.rpartition(" ")[2]
