"""Requests get their answers, whatever becomes of a server on the way."""

import asyncio
import resource
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
from tests.engines.server.conftest import (
    SOLVE,
    STEP,
    Chatting,
    Opened,
    Spoken,
    answer,
    answers,
    chat,
)

from whorl.ask import Ask, Failure, Prompt, Replies
from whorl.engines.server import transport
from whorl.engines.server.http import Response
from whorl.errors import UserError
from whorl.models import POLICY

Server = Callable[..., str]


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeat at once, so that tests are quick."""
    monkeypatch.setattr(transport, "_PAUSE", 0.01)
    monkeypatch.setattr(transport, "_UNSAID", 0.01)


def asks(count: int) -> list[Ask]:
    """About as many questions, each alone in its samples."""
    prompts = [replace(SOLVE, user=f"{SOLVE.user} {number} + 4?") for number in range(count)]
    return [replace(STEP, prompt=prompt, seed=number) for number, prompt in enumerate(prompts)]


def said(found: list[Replies | Failure]) -> list[list[str]]:
    failures = [one.error for one in found if isinstance(one, Failure)]
    assert not failures, failures[0]
    return [[reply.text for reply in one] for one in found if not isinstance(one, Failure)]


@pytest.mark.parametrize(
    ("fault", "settings"),
    [
        ("500", {}),
        ("503", {"retry_after": 0}),
        ("429", {"retry_after": 0}),
        ("cut", {}),
        ("malformed", {}),
        ("count", {}),
        ("slow", {"drip": 5.0}),
    ],
)
def test_what_passes_is_tried_again_and_changes_nothing(
    fault: str,
    settings: dict[str, float],
    rig_server: Server,
    opened: Opened,
) -> None:
    calm = opened(rig_server(tokenizer=str(POLICY)))
    rough = opened(
        rig_server(tokenizer=str(POLICY), faults={fault: 0.2}, seed=3, **settings), timeout=0.3
    )
    assert said(answers(rough, asks(60))) == said(answers(calm, asks(60)))


def test_a_server_of_many_that_is_out_of_reach_is_left_out(
    rig_server: Server, opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    url, dead = rig_server(tokenizer=str(POLICY)), "http://127.0.0.1:9/v1"
    many = opened(dead, url)
    assert f"no answer from {dead}" in caplog.text and "left out" in caplog.text
    assert said(answers(many, asks(10))) == said(answers(opened(url), asks(10)))
    with pytest.raises(UserError, match=f"no answer from {dead}"):
        opened(dead, "http://127.0.0.1:10/v1")


def test_what_does_not_pass_fails_that_ask_alone(
    rig_server: Server, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "_TRIES", 2)
    engine = opened(rig_server(tokenizer=str(POLICY), faults={"500": 0.3}, seed=2))
    found = answers(engine, asks(100))
    failures = [one.error for one in found if isinstance(one, Failure)]
    assert 0 < len(failures) < 30  # less than without a second try
    assert "500" in failures[0]
    assert "\n" not in failures[0]


@pytest.mark.parametrize("fault", ["empty", "repeat"])
def test_strange_samples_are_samples(fault: str, rig_server: Server, opened: Opened) -> None:
    engine = opened(rig_server(tokenizer=str(POLICY), faults={fault: 0.5}, seed=3))
    texts = said(answers(engine, [replace(ask, stop=()) for ask in asks(20)]))
    assert len(texts) == 20


def test_a_busy_server_is_given_less_and_everything_is_answered(
    rig_server: Server, opened: Opened, rig: ModuleType
) -> None:
    url = rig_server(tokenizer=str(POLICY), latency=0.005, limit=12, retry_after=0)
    assert len(said(answers(opened(url), asks(300)))) == 300
    statuses = rig.stats(url)["statuses"]
    assert 0 < statuses["429"] < 300  # of the first 64 sent at once, and few after that


def test_a_busy_server_is_left_alone_for_as_long_as_it_asks(
    rig_server: Server, opened: Opened, rig: ModuleType
) -> None:
    url = rig_server(tokenizer=str(POLICY), latency=0.1, limit=1, retry_after=1)
    engine = opened(url)
    start = time.monotonic()
    assert len(said(answers(engine, asks(2)))) == 2
    assert time.monotonic() - start >= 1
    assert rig.stats(url)["statuses"]["429"] == 1


def test_the_time_that_a_request_waits_for_its_turn_is_no_refusal(
    chatting: Chatting, opened: Opened
) -> None:
    """A server that answers one in a tenth of a second, and 20 that want one in half of one."""
    free = 0.0

    def say(body: dict[str, Any]) -> Spoken:
        nonlocal free
        if body["max_tokens"] != STEP.max_tokens or (now := time.monotonic()) >= free:
            free = time.monotonic() + 0.1
            return chat(body)
        return 429, {"error": f"in {free - now} s"}, {}

    engine = opened(chatting(say), tokenizer=None, patience=0.5, in_flight=4)
    start = time.monotonic()
    said(answers(engine, [replace(one, stop=(), n=1) for one in asks(20)]))
    assert time.monotonic() - start > 1.5


def test_a_request_that_a_server_never_takes_fails_though_others_are_answered(
    chatting: Chatting, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "_PASSED_OVER", 3)

    def say(body: dict[str, Any]) -> Spoken:
        never = body["messages"][-1]["content"] == "never"
        return (429, {"error": "too large"}, {}) if never else chat(body)

    engine = opened(chatting(say), tokenizer=None)
    engine.submit(0, Ask(Prompt("", "never")))
    found: dict[int, Replies | Failure] = {}
    for number in range(1, 100):  # one after the other
        engine.submit(number, Ask(Prompt("", "now")))
        while number not in found and 0 not in found:
            found.update(engine.poll(0.1))
        if 0 in found:
            break
        time.sleep(0.02)
    failure = found[0]
    assert isinstance(failure, Failure) and failure.error.endswith(
        "too large (others are answered)"
    )


@pytest.mark.parametrize("in_flight", [1, 64])
def test_what_a_busy_server_refuses_goes_to_another(
    in_flight: int, chatting: Chatting, opened: Opened
) -> None:
    """Also what waits there for its turn."""
    busy, refused = False, 0

    def refusing(body: dict[str, Any]) -> Spoken:
        nonlocal refused
        if not busy:
            return chat(body)
        refused += 1
        return 503, {"error": "overloaded"}, {"Retry_After": "1"}

    engine = opened(
        chatting(refusing), chatting(chat), tokenizer=None, patience=2, in_flight=in_flight
    )
    busy = True
    said(answers(engine, [replace(one, stop=(), n=1) for one in asks(40)]))
    assert 0 < refused < 40


def test_no_more_is_in_flight_than_allowed(
    rig_server: Server, opened: Opened, rig: ModuleType
) -> None:
    url = rig_server(tokenizer=str(POLICY), latency=0.005)
    said(answers(opened(url, in_flight=7), asks(60)))
    assert rig.stats(url)["peak"] == 7


def test_one_question_goes_to_one_server_and_all_have_work(
    rig_server: Server, opened: Opened, rig: ModuleType
) -> None:
    urls = [rig_server(tokenizer=str(POLICY), cache=True) for _ in range(2)]
    before = [rig.stats(url)["requests"] for url in urls]
    engine = opened(*urls)
    prefixes = [replace(ask, prompt=replace(ask.prompt, prefix="3")) for ask in asks(40)]
    said(answers(engine, asks(40)))
    found = answers(engine, prefixes)
    counts = [rig.stats(url)["requests"] - was for url, was in zip(urls, before, strict=True)]
    assert min(counts) >= 16
    known = [one[0].cached_tokens for one in found if not isinstance(one, Failure)]
    assert all(known)


def test_where_one_server_is_lost_the_other_goes_on(opened: Opened, rig: ModuleType) -> None:
    with ExitStack() as first, rig.running(rig.Rig(tokenizer=str(POLICY))) as there:
        here = first.enter_context(rig.running(rig.Rig(tokenizer=str(POLICY), latency=0.05)))
        engine = opened(here, there)
        for ticket, ask in enumerate(asks(40)):
            engine.submit(ticket, ask)
        found = dict(engine.poll(0.01))
        first.close()  # in the middle
        while len(found) < 40:
            found.update(engine.poll(0.1))
        said(list(found.values()))


def test_a_server_that_comes_back_is_used_again(opened: Opened, rig: ModuleType) -> None:
    settings = rig.Rig(tokenizer=str(POLICY), latency=0.05)
    with rig.running(settings) as url:
        engine = opened(url)
        for ticket, ask in enumerate(asks(40)):
            engine.submit(ticket, ask)
        found = dict(engine.poll(0.01))
    port = int(url.split(":")[2].partition("/")[0])
    found.update(engine.poll(0.1))
    with rig.running(settings, port=port):
        while len(found) < 40:
            found.update(engine.poll(0.1))
    said(list(found.values()))


def test_when_all_servers_are_lost_the_run_ends_and_says_how_to_go_on(
    opened: Opened, rig: ModuleType
) -> None:
    with rig.running(rig.Rig(tokenizer=str(POLICY))) as url:
        engine = opened(url, patience=0.1)
        assert answer(engine, STEP)
    engine.submit(1, STEP)
    end = time.monotonic() + 20
    with pytest.raises(UserError, match="start the server, then repeat"):
        while time.monotonic() < end:
            engine.poll(0.1)


def test_what_came_before_all_servers_were_lost_is_handed_over_first(
    opened: Opened, rig: ModuleType
) -> None:
    """An ask of a thousand requests, of which so many are answered that some are when it ends."""
    with rig.running(rig.Rig(tokenizer=str(POLICY), lacks=["n"], latency=0.02)) as url:
        engine = opened(url, patience=0.1)
        asked = rig.stats(url)["requests"]
        engine.submit(0, replace(STEP, n=1000))
        end = time.monotonic() + 20
        while rig.stats(url)["requests"] - asked < 100:
            assert not engine.poll(0.01) and time.monotonic() < end
    found: list[tuple[int, Replies | Failure]] = []
    with pytest.raises(UserError, match="start the server, then repeat"):
        while time.monotonic() < end:
            found += engine.poll(0.1)
    ((_, failure),) = found
    assert isinstance(failure, Failure)
    assert 0 < len(failure.made) < 1000


def test_errors_are_one_line_without_the_key() -> None:
    async def check() -> str:
        address = transport.Address(("http://host/v1",))
        link = transport.Transport(address, "sesame")
        try:
            said = '{"error": {"message": "bad\\nkey sesame ' + "x" * 1000 + '"}}'
            return link._complaint("http://host", Response(400, "", said.encode(), 0))
        finally:
            await link.close()

    said = asyncio.run(check())
    assert said.startswith("http://host says 400: bad key *** xxx")
    assert len(said) < 250


def test_one_request_is_not_repeated_for_as_long_as_each_try_may_take(
    rig_server: Server, opened: Opened, rig: ModuleType
) -> None:
    """All its tries have the time-out and the patience together."""
    url = rig_server(tokenizer=str(POLICY))
    engine = opened(url, timeout=0.4, patience=0.3)
    with rig.running(rig.Rig(tokenizer=str(POLICY), latency=5.0)) as slow:
        engine._transport._endpoints[0].url = slow
        start = time.monotonic()
        (failure,) = answers(engine, [STEP])
        assert isinstance(failure, Failure)
        assert "(2 times)" in failure.error
        assert 0.6 < time.monotonic() - start < 2


def test_a_body_that_drips_has_the_time_of_one_request(
    rig_server: Server, opened: Opened, rig: ModuleType
) -> None:
    """A byte now and then does not make it last."""
    engine = opened(rig_server(tokenizer=str(POLICY)), timeout=0.5, patience=0.4)
    with rig.running(rig.Rig(tokenizer=str(POLICY), faults={"slow": 1.0}, drip=60.0)) as slow:
        engine._transport._endpoints[0].url = slow
        start = time.monotonic()
        (failure,) = answers(engine, [STEP])
        assert isinstance(failure, Failure) and "(2 times)" in failure.error
        assert 0.8 < time.monotonic() - start < 4


def test_a_probe_has_the_time_of_one_request(opened: Opened, rig: ModuleType) -> None:
    with rig.running(rig.Rig(tokenizer=str(POLICY), latency=30.0)) as slow:
        start = time.monotonic()
        with pytest.raises(UserError):
            opened(slow, timeout=0.5)
        assert time.monotonic() - start < 8


def test_a_low_limit_of_open_files_is_raised_or_kept_to() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (300, hard))
        assert transport._open_files(100) == 100
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 300
        assert transport._open_files(1000) == 1000
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 1000
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
