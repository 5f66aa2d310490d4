"""drive: a result depends on the key, the seed and the replies, and on nothing else."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.ask import Ask, Asking, Failure, Prompt, Replies, Reply, digest
from whorl.budget import SPENT
from whorl.drive import Finished, drive, seed_for
from whorl.engines.function import Function


def answer(ask: Ask) -> Replies:
    """Replies that depend on the whole ask, seed and sample number included."""
    rng = random.Random(digest(ask))
    return tuple(Reply(rng.choice("abcd"), tokens=rng.randint(1, 5)) for _ in range(ask.n))


class Scrambled:
    """Answers in random order and in batches of random size, none included."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.waiting: list[tuple[int, Ask]] = []
        self.tickets: Counter[int] = Counter()

    def submit(self, ticket: int, ask: Ask) -> None:
        self.tickets[ticket] += 1
        self.waiting.append((ticket, ask))

    def poll(self, timeout: float) -> Sequence[tuple[int, Replies | Failure]]:
        self.rng.shuffle(self.waiting)
        count = self.rng.randint(0, len(self.waiting))
        done, self.waiting = self.waiting[:count], self.waiting[count:]
        return [(ticket, answer(ask)) for ticket, ask in done]

    def close(self) -> None:
        assert not self.waiting


def wander(name: str, depth: int) -> Asking[str]:
    """Asks a number of questions that depends on the replies, sometimes none, of two roles."""
    said = name
    for _ in range(depth):
        width = len(said) % 4
        replies = yield [
            Ask(Prompt("", said), role="critic" if k == 2 else "policy", n=k + 1)
            for k in range(width)
        ]
        said += "".join(reply.text for group in replies for reply in group) or "-"
    return said


def searches(depths: Sequence[int]) -> Iterator[tuple[str, Asking[str]]]:
    return ((f"p{i}", wander(f"p{i}", depth)) for i, depth in enumerate(depths))


def results(finished: Iterator[Finished[str]]) -> dict[str, Finished[str]]:
    found = list(finished)
    assert len({f.key for f in found}) == len(found)
    return {f.key: f for f in found}


@settings(max_examples=60, deadline=None)
@given(
    depths=st.lists(st.integers(0, 6), max_size=12),
    width=st.integers(1, 15),
    order=st.integers(),
    seed=st.integers(0, 3),
)
def test_results_do_not_depend_on_order_batching_or_width(
    depths: list[int], width: int, order: int, seed: int
) -> None:
    function = Function(answer)
    calm = results(
        drive(searches(depths), {"policy": function, "critic": function}, width=64, seed=seed)
    )
    rng = random.Random(order)
    policy, critic = Scrambled(rng), Scrambled(rng)
    engines = {"policy": policy, "critic": critic}
    wild = results(drive(searches(depths), engines, width=width, seed=seed))
    assert wild == calm
    assert len(calm) == len(depths)
    assert not policy.waiting and not critic.waiting
    assert all(count == 1 for count in (policy.tickets + critic.tickets).values())


def test_every_reply_reaches_the_search_that_asked_in_the_order_of_its_asks() -> None:
    def search(name: str) -> Asking[list[str]]:
        replies = yield [Ask(Prompt("", f"{name}{k}")) for k in range(5)]
        return [reply.text for (reply,) in replies]

    def echo(ask: Ask) -> Replies:
        return (Reply(ask.prompt.user),)

    class Backwards(Function):
        def poll(self, timeout: float) -> Sequence[tuple[int, Replies | Failure]]:
            return super().poll(timeout)[::-1]

    for done in drive(((n, search(n)) for n in "xyz"), {"policy": Backwards(echo)}, width=2):
        assert done.result == [f"{done.key}{k}" for k in range(5)]


def test_cost_counts_sampled_tokens_by_role() -> None:
    def search() -> Asking[None]:
        yield [Ask(Prompt("", "a"), n=3), Ask(Prompt("", "b"), role="critic")]
        yield [Ask(Prompt("", "c"))]

    engine = Function(lambda ask: (Reply(tokens=7),) * ask.n)
    (done,) = drive([("k", search())], {"policy": engine, "critic": engine})
    assert done.cost == {"policy": 28, "critic": 7}


def test_samples_of_an_ask_that_fails_all_the_same_are_a_cost() -> None:
    class Torn(Function):
        def poll(self, timeout: float) -> Sequence[tuple[int, Replies | Failure]]:
            some = Failure("gone", made=(Reply(tokens=7),) * 3, withheld=(Reply(tokens=2),))
            return [(ticket, some) for ticket, _ in super().poll(timeout)]

    (done,) = drive([("k", wander("ab", 1))], {"policy": Torn(answer), "critic": Function(answer)})
    assert done.error == "policy: gone"
    assert done.cost == {"policy": 2 * (3 * 7 + 2)}


@pytest.mark.timeout(20)
def test_an_empty_batch_does_not_hang() -> None:
    def search() -> Asking[str]:
        assert (yield []) == []
        ((reply,),) = yield [Ask(Prompt("", "q"))]
        assert (yield []) == []
        return reply.text

    found = list(drive([("a", search()), ("b", search())], {"policy": Function(answer)}, width=1))
    assert [done.key for done in found] == ["a", "b"]
    assert all(done.error is None for done in found)


def test_a_failing_search_names_itself_and_the_others_go_on() -> None:
    def raises() -> Asking[str]:
        yield [Ask(Prompt("", "q"))]
        raise KeyError("gone")

    def asks_amiss() -> Asking[str]:
        yield [Ask(Prompt("", "fine")), Ask(Prompt("", "broken")), Ask(Prompt("", "broken too"))]
        raise AssertionError("must not be resumed")

    def asks_nobody() -> Asking[str]:
        yield [Ask(Prompt("", "q")), Ask(Prompt("", "q"), role="prm")]
        return "unreachable"

    def fragile(ask: Ask) -> Replies:
        if ask.prompt.user.startswith("broken"):
            raise ValueError(ask.prompt.user)
        return answer(ask)

    every = [
        ("good", wander("good", 4)),
        ("raises", raises()),
        ("amiss", asks_amiss()),
        ("nobody", asks_nobody()),
        ("last", wander("last", 4)),
    ]
    engine = Function(fragile)
    found = results(drive(every, {"policy": engine, "critic": engine}, width=2))
    assert found["raises"].error == "KeyError: 'gone'"
    assert found["amiss"].error == "policy: ValueError: broken"
    assert found["nobody"].error == "no engine for role 'prm'"
    for name in ("good", "last"):
        assert found[name].error is None and found[name].result
    for name in ("raises", "amiss", "nobody"):
        assert found[name].result is None


def test_input_is_read_as_places_become_free() -> None:
    opened: list[int] = []

    def source() -> Iterator[tuple[str, Asking[str]]]:
        for i in range(100):
            opened.append(i)
            yield f"p{i}", wander(f"p{i}", 3)

    engine = Function(answer)
    running = drive(source(), {"policy": engine, "critic": engine}, width=4)
    for ended, _ in enumerate(running):
        assert len(opened) <= ended + 1 + 4
    assert len(opened) == 100


def test_a_source_without_end_is_driven_until_the_caller_stops() -> None:
    def source() -> Iterator[tuple[str, Asking[str]]]:
        i = 0
        while True:
            yield f"p{i}", wander(f"p{i}", 2)
            i += 1

    engine = Function(answer)
    running = drive(source(), {"policy": engine, "critic": engine}, width=8)
    assert len([next(running) for _ in range(50)]) == 50


def test_seeds_are_part_of_the_contract() -> None:
    """A changed seed would make every journal and every published tree worthless."""
    assert seed_for(0, "p", 0) == 5528985442051952463
    seeds = {
        seed_for(s, key, k)
        for s in range(3)
        for key in ("", "p", "p\x00", "\ud800")
        for k in (0, 1)
    }
    assert len(seeds) == 24
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_asks_carry_the_seed_of_their_ordinal() -> None:
    seen: list[int] = []

    def note(ask: Ask) -> Replies:
        seen.append(ask.seed)
        return (Reply(),) * ask.n

    def search() -> Asking[None]:
        yield [Ask(Prompt("", "a"), seed=5), Ask(Prompt("", "b"))]
        yield [Ask(Prompt("", "c"))]

    list(drive([("k", search())], {"policy": Function(note)}, seed=9))
    assert seen == [seed_for(9, "k", ordinal) for ordinal in range(3)]


def test_what_is_not_paid_for_ends_its_search_and_no_other_is_started() -> None:
    class Stingy(Function):
        def poll(self, timeout: float) -> Sequence[tuple[int, Replies | Failure]]:
            answers = super().poll(timeout)
            return [(ticket, SPENT if ticket > 9 else found) for ticket, found in answers]

    def search(name: str, requests: int) -> Asking[str]:
        for number in range(requests):
            yield [Ask(Prompt("", f"{name}{number}"))]
        return name

    started = []

    def source() -> Iterator[tuple[str, Asking[str]]]:
        for name in "abcdefghij":
            started.append(name)
            yield name, search(name, 3)

    found = list(drive(source(), {"policy": Stingy(answer)}, width=3))
    assert [done.result for done in found if done.error is None] == ["a", "b", "c"]
    begun = {done.key: bool(done.cost) for done in found if done.error == SPENT.error}
    assert begun == {"d": True, "e": False, "f": False}
    assert "".join(started) == "abcdef"


def test_a_width_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="width"):
        next(drive([], {}, width=0))


def test_no_searches_end_at_once() -> None:
    assert list(drive([], {"policy": Function(answer)})) == []
