"""Leases: whatever dies, every search ends once, and who is set aside died alone."""

from hypothesis import given, settings
from hypothesis import strategies as st

from whorl.engines.cluster.leases import Leases

WIDTH, TRIES = 16, 3


@settings(max_examples=200)
@given(st.data(), st.integers(1, 60), st.integers(1, 4))
def test_every_search_ends_once_or_is_set_aside(
    data: st.DataObject, count: int, hands: int
) -> None:
    leases = Leases(WIDTH, TRIES)
    fresh = [str(n) for n in range(count)]
    ended: list[str] = []
    deaths = dict.fromkeys(fresh, 0)
    while fresh or len(leases):
        for hand in range(hands):
            assert all(key not in ended for key in leases.again(hand))
            while fresh and leases.has_room(hand):
                leases.lend(hand, fresh.pop())
            assert len(leases.of(hand)) <= WIDTH
        hand = data.draw(st.sampled_from([n for n in range(hands) if leases.of(n)]))
        if data.draw(st.integers(0, 3)) == 0:
            had = list(leases.of(hand))
            for key in had:
                deaths[key] += 1
            aside = leases.die(hand)
            assert aside == [key for key in had if deaths[key] == TRIES]
            assert not aside or had == aside  # it was alone
            ended += aside
        else:
            key = data.draw(st.sampled_from(leases.of(hand)))
            assert leases.end(hand, key)
            assert not leases.end(hand, key)
            ended.append(key)
    assert sorted(ended) == sorted(deaths)


def test_suspects_come_with_fewer_others_each_time() -> None:
    leases = Leases(WIDTH, TRIES)
    for n in range(WIDTH):
        leases.lend("a", str(n))
    assert not leases.has_room("a")
    assert leases.die("a") == []
    assert len(list(leases.again("b"))) == 4 == len(leases.of("b"))
    assert not leases.has_room("b")
    leases.die("b")
    assert len(leases.of("c")) == 0 and leases.waiting == WIDTH
    lent = list(leases.again("c"))
    assert len(lent) == 4
    for key in lent:
        leases.end("c", key)
    while leases.waiting > 4:
        for key in list(leases.again("c")):
            leases.end("c", key)
    alone = list(leases.again("c"))
    assert len(alone) == 1
    assert leases.die("c") == alone


def test_one_try_sets_aside_at_once() -> None:
    leases = Leases(4, 1)
    leases.lend("a", "x")
    assert leases.die("a") == ["x"]
    assert len(leases) == 0


def test_what_a_worker_had_that_was_sent_away_is_no_suspect() -> None:
    leases = Leases(WIDTH, 2)
    for n in range(WIDTH):
        leases.lend("a", str(n))
    leases.leave("a")
    assert len(leases) == leases.waiting == WIDTH
    assert len(list(leases.again("b"))) == WIDTH  # all at once
    assert leases.die("b") == []  # none of them was seen to die before
