"""Replay of a search from a journal: which of the replies on record are to its asks."""

from collections.abc import Callable, Sequence
from typing import Any, get_args

from whorl.ask import Ask, Asking, Failure, Replies, Role, digest
from whorl.drive import drive
from whorl.engines import row
from whorl.engines.journal import Journal


def replayed(
    key: str, begin: Callable[[], Asking[Any]], journal: Journal, seed: int
) -> Sequence[row.Answer]:
    """The replies in `journal` to what a search asks, until it asks for what is not there."""
    engine = _Recalled(journal)
    for _ in drive([(key, begin())], dict.fromkeys(get_args(Role), engine), seed=seed):
        pass
    return [*engine.used.values()]


class _Recalled:
    """An engine that answers from a journal, and fails where it has too few replies.

    used: what it answered, or could have answered in part, by the digest of the ask.
    """

    def __init__(self, journal: Journal) -> None:
        self.used: dict[bytes, row.Answer] = {}
        self._journal = journal
        self._answers: list[tuple[int, Replies | Failure]] = []

    def submit(self, ticket: int, ask: Ask) -> None:
        name = bytes.fromhex(digest(ask))
        known = self._journal.recall(name)
        if known:
            self.used[name] = name, ask.role, known
        whole = len(known) >= ask.n
        self._answers.append((ticket, known if whole else Failure("not on record")))

    def poll(self, timeout: float) -> Sequence[tuple[int, Replies | Failure]]:
        answers, self._answers = self._answers, []
        return answers

    def close(self) -> None:
        pass
