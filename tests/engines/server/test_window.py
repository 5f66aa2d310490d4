import asyncio
from collections.abc import Coroutine
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from whorl.engines.server.window import Window


def run(doing: Coroutine[Any, Any, None]) -> None:
    asyncio.run(doing)


def test_no_more_than_the_limit_is_in_flight() -> None:
    async def check() -> None:
        window, running, peak = Window(3), 0, 0

        async def request() -> None:
            nonlocal running, peak
            await window.enter()
            running += 1
            peak = max(peak, running)
            await asyncio.sleep(0)
            running -= 1
            window.answered()
            window.leave()

        await asyncio.gather(*(request() for _ in range(50)))
        assert peak == 3
        assert window.load == 0

    run(check())


def test_a_round_of_answers_doubles_a_window_that_is_in_use() -> None:
    async def check() -> None:
        window = Window(1000, start=4)
        for limit in (4, 8, 16):
            assert window.limit == limit
            for _ in range(limit):
                await window.enter()
            for _ in range(limit):
                window.answered()
            for _ in range(limit):
                window.leave()

    run(check())


def test_an_idle_window_does_not_grow() -> None:
    async def check() -> None:
        window = Window(1000, start=8)
        for _ in range(100):
            await window.enter()
            window.answered()
            window.leave()
        assert window.limit == 8

    run(check())


def test_refusals_of_one_round_halve_it_once_and_then_it_rises_by_one_a_round() -> None:
    async def check() -> None:
        window = Window(1000, start=64)
        starts = [await window.enter() for _ in range(64)]
        await asyncio.sleep(0.001)
        for since in starts:
            window.refused(since, 0.0)
            window.leave()
        assert window.limit == 32
        for _ in range(32):
            await window.enter()
        for _ in range(33):
            window.answered()
        assert window.limit == 33

    run(check())


def test_nothing_is_sent_while_the_server_asks_to_wait() -> None:
    async def check() -> None:
        window, loop = Window(4), asyncio.get_running_loop()
        window.refused(await window.enter(), 0.05)
        start = loop.time()
        window.leave()
        await window.enter()
        assert loop.time() - start >= 0.04

    run(check())


def test_who_is_sent_away_has_no_place_and_who_comes_after_has() -> None:
    async def check() -> None:
        window = Window(1)
        await window.enter()
        waiting = [asyncio.create_task(window.enter()) for _ in range(2)]
        await asyncio.sleep(0)
        window.send_away()
        waiting[1].cancel()
        first, second = await asyncio.gather(*waiting, return_exceptions=True)
        assert first is None and isinstance(second, asyncio.CancelledError)
        assert window.load == 1
        window.leave()
        assert await window.enter() is not None

    run(check())


@given(st.integers(1, 5), st.lists(st.integers(0, 19), max_size=10))
def test_whoever_is_cancelled_gives_the_place_to_another(most: int, cancelled: list[int]) -> None:
    async def check() -> None:
        window, done = Window(most), 0

        async def request() -> None:
            nonlocal done
            await window.enter()
            try:
                await asyncio.sleep(0)
                done += 1
            finally:
                window.leave()

        tasks = [asyncio.create_task(request()) for _ in range(20)]
        await asyncio.sleep(0)
        ended = {number for number in cancelled if tasks[number].cancel()}
        await asyncio.gather(*tasks, return_exceptions=True)
        assert done >= 20 - len(ended)
        assert window.load == 0

    run(check())


def test_a_place_given_to_one_who_is_cancelled_at_that_moment_is_not_lost() -> None:
    async def check() -> None:
        window = Window(1)
        await window.enter()
        waiting = asyncio.create_task(window.enter())
        await asyncio.sleep(0)
        window.leave()  # the place is given, and nobody has woken up yet
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert window.load == 0

    run(check())
