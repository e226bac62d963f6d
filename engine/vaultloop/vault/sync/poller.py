"""Asking the remote in the background: what is looked at, applied or saved meanwhile does not wait for it."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import timedelta
from typing import Any

from vaultloop.aio.bell import Bell
from vaultloop.aio.clock import Clock, sleep
from vaultloop.aio.supervise import first
from vaultloop.vault.sync.sync import Sync

# How long (seconds) somebody who asks waits for a slow remote; then what is known must do.
PATIENCE = 30.0
# As long (seconds) the start does: a cron that was deleted meanwhile must not run once more, if that can be.
START_PATIENCE = 3.0


class Poller:
    """Asks the remote now and then, and whenever it is rung."""

    def __init__(self, sync: Sync, period: timedelta, clock: Clock, on_poll: Callable[[], None]) -> None:
        """`on_poll` is called after each poll: there may be something to take, or to tell."""
        self._sync = sync
        self._period = period
        self._clock = clock
        self._on_poll = on_poll
        self._bell = Bell()
        self._polled = asyncio.Event()

    def ring(self) -> None:
        """There may be news."""
        self._bell.ring()

    async def asked(self) -> None:
        """Ask now, for somebody who waits; a remote that is slow is not waited for longer than `PATIENCE`."""
        poll = asyncio.ensure_future(self._sync.poll())
        try:
            await asyncio.wait({poll}, timeout=PATIENCE)
            if poll.done():
                poll.result()
        finally:
            poll.cancel()

    def knows(self) -> None:
        """Somebody else has asked it just now, or has waited long enough."""
        self._polled.set()

    async def then(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do `work` once the first poll is over; if the remote is slow, begin with what is known."""
        with suppress(TimeoutError):
            # Not `wait_for`: in Python 3.11 it forgets a cancellation that comes with the first poll's end.
            async with asyncio.timeout(START_PATIENCE):
                await self._polled.wait()
        await work()

    async def run(self) -> None:
        """Poll now, and then after each period, with a tenth of it as jitter, until cancelled."""
        while True:
            await self._sync.poll()
            self._polled.set()
            self._on_poll()
            pause = self._period.total_seconds() * random.uniform(0.9, 1.1)  # noqa: S311 - keeps no secret
            await first(sleep(self._clock, pause), self._bell.heard())
