"""Time as a dependency: the engine asks a clock, and tests hand it one that they turn themselves."""

import asyncio
import heapq
import itertools
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
        """Return once `now() >= when`; at once if that is already so."""
        ...


async def sleep(clock: Clock, seconds: float) -> None:
    """Sleep for `seconds` of the clock's own time."""
    await clock.sleep_until(clock.now() + timedelta(seconds=seconds))


class SystemClock:
    """The machine's wall clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep_until(self, when: datetime) -> None:
        while (left := when - self.now()) > timedelta(0):  # noqa: ASYNC110 - only time makes it come
            await asyncio.sleep(min(left, SLICE).total_seconds())


class VirtualClock:
    """A clock that moves only when told to, so that a year of schedules passes in a second."""

    def __init__(self, start: datetime) -> None:
        self._now = start.astimezone(UTC)
        self._order = itertools.count()
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return self._now

    async def sleep_until(self, when: datetime) -> None:
        if when <= self._now:
            # Yield all the same: a caller in a loop must not starve the others.
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (when.astimezone(UTC), next(self._order), woken))
        await woken

    async def advance_to(self, when: datetime) -> None:
        """Move time forward, waking sleepers one after the other in the order of their times."""
        await self._settle()
        while self._sleepers and self._sleepers[0][0] <= when:
            at, _, woken = heapq.heappop(self._sleepers)
            self._now = max(self._now, at)
            if not woken.done():
                woken.set_result(None)
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
