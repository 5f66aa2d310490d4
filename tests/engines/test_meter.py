"""The meter passes everything on and counts it."""

from pathlib import Path

from whorl.ask import Ask, Failure, Prompt, Replies, Reply
from whorl.engines.function import Function
from whorl.engines.journal import Journal
from whorl.engines.meter import Meter


def answer(ask: Ask) -> Replies:
    if ask.prompt.user == "broken":
        raise ValueError("no answer")
    first = Reply("x", tokens=1, prompt_tokens=9, cached_tokens=4)
    return first, *(Reply("x", tokens=k + 1) for k in range(1, ask.n))


def test_everything_is_passed_on_and_counted() -> None:
    plain, meter = Function(answer), Meter(Function(answer))
    asks = [Ask(Prompt("", user), n=3) for user in ("a", "broken", "b")]
    for engine in (plain, meter):
        for ticket, ask in enumerate(asks):
            engine.submit(ticket, ask)
    assert (meter.asks, meter.in_flight, meter.answered) == (3, 3, 0)
    answers = meter.poll(0.0)
    assert answers == plain.poll(0.0)
    assert isinstance(dict(answers)[1], Failure)
    assert (meter.asks, meter.in_flight, meter.answered, meter.failed) == (3, 0, 2, 1)
    assert (meter.samples, meter.tokens) == (6, 12)
    assert (meter.prompt_tokens, meter.cached_tokens) == (18, 8)
    assert not meter.poll(0.0)


def test_what_an_engine_keeps_to_itself_is_counted_and_is_no_sample() -> None:
    failure = Failure("kept", (Reply("x", tokens=2),), (Reply(tokens=5, prompt_tokens=9),))
    meter = Meter(Withholding(failure))
    meter.submit(0, Ask(Prompt("", "a"), n=2))
    assert meter.poll(0.0) == [(0, failure)]
    assert (meter.samples, meter.tokens, meter.prompt_tokens) == (1, 7, 9)


class Withholding:
    """An engine that answers every poll with the same failure."""

    def __init__(self, failure: Failure) -> None:
        self._failure = failure

    def submit(self, ticket: int, ask: Ask) -> None:
        pass

    def poll(self, timeout: float) -> list[tuple[int, Failure]]:
        return [(0, self._failure)]

    def close(self) -> None:
        pass


def test_inside_a_journal_it_counts_what_is_generated(tmp_path: Path) -> None:
    meter = Meter(Function(answer))
    counts = []
    for ticket in range(3):
        with Journal(tmp_path / "j.db") as journal:
            engine = journal.wrap(meter)
            engine.submit(ticket, Ask(Prompt("", "a"), n=2))
            assert len(engine.poll(0.0)) == 1
            counts.append((journal.asked, journal.recalled))
    assert (meter.asks, meter.samples, meter.tokens) == (1, 2, 3)
    assert counts == [(1, 0), (0, 1), (0, 1)]


def test_closing_it_closes_the_engine() -> None:
    function = Function(answer)
    function.submit(0, Ask(Prompt("", "a")))
    Meter(function).close()
    assert not function.poll(0.0)
