"""Calls that come in flurries: the first is answered at once, all that follow it close by one more action."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

from vaultloop.aio.clock import Clock, sleep

# A flurry is over after so many seconds without a call; one that lasts longer than `LONGEST` is acted upon
# all the same.
QUIET = 0.5
LONGEST = timedelta(seconds=10)


class Flurry:
    """An action that is worth doing again, though not for each of a thousand calls within a second."""

    def __init__(
        self,
        action: Callable[[], None],
        clock: Clock,
        *,
        quiet: float = QUIET,
        longest: timedelta = LONGEST,
    ) -> None:
        self._action = action
        self._clock = clock
        self._quiet = quiet
        self._longest = longest
        self._calls = 0
        self._called = asyncio.Event()

    def call(self) -> None:
        """Ask for the action; after each call it begins once more, sooner or later."""
        self._calls += 1
        self._called.set()

    async def run(self) -> None:
        """Act upon calls, until cancelled."""
        while True:
            await self._called.wait()
            while self._called.is_set():
                self._called.clear()
                self._action()
                await self._over()

    async def _over(self) -> None:
        """Wait until there was no call for a while, or for as long as anybody may have to wait."""
        limit = self._clock.now() + self._longest
        calls = -1
        while calls != self._calls and self._clock.now() < limit:
            calls = self._calls
            await sleep(self._clock, self._quiet)
