"""Time as a dependency."""

import asyncio
from datetime import UTC, datetime, timedelta

from support.run import asynchronous
from vaultloop.aio.clock import SystemClock, VirtualClock, sleep

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@asynchronous
async def test_virtual_time_stands_still_until_it_is_moved() -> None:
    clock = VirtualClock(NOON)
    async with asyncio.TaskGroup() as group:
        sleeper = group.create_task(sleep(clock, 3600))
        await clock.advance(3599)
        assert not sleeper.done()
        await clock.advance(1)
        assert sleeper.done()
    assert clock.now() == NOON + timedelta(hours=1)


@asynchronous
async def test_sleepers_wake_in_the_order_of_their_times_and_see_their_own_time() -> None:
    clock = VirtualClock(NOON)
    seen: list[tuple[int, datetime]] = []

    async def sleeper(seconds: int) -> None:
        await sleep(clock, seconds)
        seen.append((seconds, clock.now()))

    async with asyncio.TaskGroup() as group:
        for seconds in (30, 10, 20):
            group.create_task(sleeper(seconds))
        await clock.advance(60)
    assert seen == [(s, NOON + timedelta(seconds=s)) for s in (10, 20, 30)]


@asynchronous
async def test_a_time_that_has_passed_is_not_waited_for() -> None:
    clock = VirtualClock(NOON)
    await clock.sleep_until(NOON - timedelta(days=1))
    assert clock.now() == NOON


@asynchronous
async def test_the_system_clock_is_in_utc_and_wakes_no_earlier_than_asked() -> None:
    clock = SystemClock()
    when = clock.now() + timedelta(milliseconds=5)
    await clock.sleep_until(when)
    assert clock.now() >= when
    assert clock.now().tzinfo is UTC


@asynchronous
async def test_who_waits_for_a_time_of_day_looks_again_when_the_clock_was_set_back() -> None:
    clock = VirtualClock(NOON)
    async with asyncio.TaskGroup() as group:
        by_time_of_day = group.create_task(clock.sleep_until(NOON + timedelta(hours=1)))
        by_duration = group.create_task(clock.sleep(60))
        await clock.advance(30)
        clock.set_back(timedelta(days=1))
        await clock.advance(29)
        assert (by_time_of_day.done(), by_duration.done()) == (True, False)
        await clock.advance(1)
        assert by_duration.done()
    assert clock.now() == NOON - timedelta(days=1) + timedelta(seconds=60)


class Corrected(SystemClock):
    """A system clock that shows an earlier time at each look."""

    def __init__(self) -> None:
        self._now = NOON

    def now(self) -> datetime:
        self._now -= timedelta(milliseconds=1)
        return self._now


@asynchronous
async def test_the_system_clock_notices_that_it_was_set_back_and_still_measures_durations() -> None:
    clock = Corrected()
    await clock.sleep_until(NOON + timedelta(milliseconds=5))
    assert clock.now() < NOON
    await clock.sleep(0.001)
