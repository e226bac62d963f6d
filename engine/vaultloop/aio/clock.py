"""Time as a dependency: the engine asks a clock, and tests hand it one that they turn themselves."""

import asyncio
import heapq
import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

# A laptop that slept or a corrected wall clock is noticed within one slice: long sleeps are cut into these.
SLICE = timedelta(seconds=20)


class Clock(Protocol):
    """What the engine knows of time."""

    def now(self) -> datetime:
        """The current instant, aware and in UTC."""
        ...

    async def sleep_until(self, when: datetime) -> None:
        """Return once `now() >= when`; at once if that is already so.

        Somebody may set the clock back meanwhile: then this returns early, so that who waits looks again.
        """
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`, whatever becomes of the time of day."""
        ...


async def sleep(clock: Clock, seconds: float) -> None:
    """Sleep for `seconds` of the clock's own time."""
    await clock.sleep(seconds)


class SystemClock:
    """The machine's wall clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep_until(self, when: datetime) -> None:
        now = self.now()
        while (left := when - now) > timedelta(0):
            await asyncio.sleep(min(left, SLICE).total_seconds())
            before, now = now, self.now()
            if now < before:
                return

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass(order=True, slots=True)
class _Sleeper:
    at: datetime
    order: int
    woken: asyncio.Future[None] = field(compare=False)
    by_time_of_day: bool = field(compare=False)


class VirtualClock:
    """A clock that moves only when told to, so that a year of schedules passes in a second."""

    def __init__(self, start: datetime) -> None:
        self._now = start.astimezone(UTC)
        self._order = itertools.count()
        self._sleepers: list[_Sleeper] = []

    def now(self) -> datetime:
        return self._now

    async def sleep_until(self, when: datetime) -> None:
        if when <= self._now:
            # Yield all the same: a caller in a loop must not starve the others.
            await asyncio.sleep(0)
            return
        await self._woken(when.astimezone(UTC), by_time_of_day=True)

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        await self._woken(self._now + timedelta(seconds=seconds), by_time_of_day=False)

    async def _woken(self, at: datetime, *, by_time_of_day: bool) -> None:
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, _Sleeper(at, next(self._order), woken, by_time_of_day))
        await woken

    def set_back(self, span: timedelta) -> None:
        """Show an earlier time from now on, as when somebody corrects the clock of a machine."""
        self._now -= span
        for sleeper in self._sleepers:
            sleeper.at -= span
            if sleeper.by_time_of_day and not sleeper.woken.done():
                sleeper.woken.set_result(None)

    async def advance_to(self, when: datetime) -> None:
        """Move time forward, waking sleepers one after the other in the order of their times."""
        await self._settle()
        while self._sleepers and self._sleepers[0].at <= when:
            sleeper = heapq.heappop(self._sleepers)
            if not sleeper.woken.done():
                self._now = max(self._now, sleeper.at)
                sleeper.woken.set_result(None)
            await self._settle()
        self._now = max(self._now, when.astimezone(UTC))
        await self._settle()

    async def advance(self, seconds: float) -> None:
        """Move time forward by `seconds`."""
        await self.advance_to(self._now + timedelta(seconds=seconds))

    @staticmethod
    async def _settle() -> None:
        # A woken task may wake others in turn; a few rounds let such chains of hand-overs finish.
        for _ in range(20):
            await asyncio.sleep(0)
