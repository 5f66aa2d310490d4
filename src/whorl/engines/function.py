"""A plain function as an engine: for tests, benchmarks and your own experiments."""

from collections.abc import Callable, Sequence

from whorl.ask import Ask, Failure, Replies


class Function:
    """Answers every ask by calling `answer(ask)`; what it raises becomes the ask's `Failure`."""

    def __init__(self, answer: Callable[[Ask], Replies]) -> None:
        self._answer = answer
        self._waiting: list[tuple[int, Ask]] = []

    def submit(self, ticket: int, ask: Ask) -> None:
        self._waiting.append((ticket, ask))

    def poll(self, timeout: float) -> Sequence[tuple[int, Replies | Failure]]:
        asks, self._waiting = self._waiting, []
        return [(ticket, self._try(ask)) for ticket, ask in asks]

    def close(self) -> None:
        self._waiting.clear()

    def _try(self, ask: Ask) -> Replies | Failure:
        try:
            return self._answer(ask)
        except Exception as error:
            return Failure(f"{type(error).__name__}: {error}")
