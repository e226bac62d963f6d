"""Calls that come in flurries: the first is answered at once, all that follow it close by one more action."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from support.run import asynchronous
from vaultloop.aio.clock import VirtualClock
from vaultloop.aio.flurry import LONGEST, QUIET, Flurry
from vaultloop.aio.supervise import background


class Counted:
    """A flurry in virtual time, and the seconds at which it acted."""

    def __init__(self) -> None:
        self.clock = VirtualClock(datetime(2026, 11, 22, tzinfo=UTC))
        self._start = self.clock.now()
        self.acted: list[float] = []
        self.flurry = Flurry(self._note, self.clock)

    def _note(self) -> None:
        self.acted.append((self.clock.now() - self._start) / timedelta(seconds=1))


@asynccontextmanager
async def counted() -> AsyncIterator[Counted]:
    made = Counted()
    async with background("flurry", made.flurry.run()):
        await asyncio.sleep(0)
        yield made


@asynchronous
async def test_one_call_is_acted_upon_at_once_and_once() -> None:
    async with counted() as calls:
        calls.flurry.call()
        await calls.clock.advance(60)
        assert calls.acted == [0]


@asynchronous
async def test_a_thousand_calls_at_once_are_two_actions_and_the_second_comes_after_the_last_call() -> None:
    async with counted() as calls:
        for _ in range(10):
            for _ in range(100):
                calls.flurry.call()
            await calls.clock.advance(QUIET / 5)
        await calls.clock.advance(60)
        first, second = calls.acted
        assert first == 0
        assert QUIET * 2 <= second <= QUIET * 4


@asynchronous
async def test_calls_far_apart_are_each_acted_upon_at_once() -> None:
    async with counted() as calls:
        for _ in range(3):
            calls.flurry.call()
            await calls.clock.advance(10)
        assert calls.acted == [0, 10, 20]


@asynchronous
async def test_calls_that_never_cease_are_acted_upon_every_so_often() -> None:
    async with counted() as calls:
        for _ in range(int(5 * LONGEST.total_seconds() / 0.25)):
            calls.flurry.call()
            await calls.clock.advance(0.25)
        gaps = [after - before for before, after in zip(calls.acted, calls.acted[1:], strict=False)]
        assert gaps
        assert max(gaps) <= LONGEST.total_seconds() + QUIET
        assert min(gaps) >= LONGEST.total_seconds()
