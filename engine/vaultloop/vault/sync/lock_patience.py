"""How long a lock of git's in the folder is waited for before people hear of it."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from vaultloop.aio.clock import Clock, sleep
from vaultloop.vault.git.index import LockedError
from vaultloop.vault.sync.standing import Standing

log = logging.getLogger(__name__)

# A lock that stays for longer is told.
LOCK_PATIENCE = timedelta(seconds=3)

# The word for what makes sync stand still here.
CAUSE = "lock"


class LockPatience:
    """A git command takes moments, and what could not be looked at is remembered; what stays is told."""

    def __init__(self, clock: Clock, standing: Standing, on_change: Callable[[], None]) -> None:
        """`on_change` is called when it is time to look again."""
        self._clock, self._standing, self._on_change = clock, standing, on_change
        self._since: datetime | None = None
        self._waiting: asyncio.Task[None] | None = None

    def note(self, error: LockedError | None) -> None:
        """A look has met this lock, or none."""
        if error is None:
            self._since = None
            self._standing.resume(CAUSE)
            return
        now = self._clock.now()
        self._since = since = self._since or now
        if now - since >= LOCK_PATIENCE:
            self._standing.pause(
                CAUSE,
                f"{error} Edits in the folder are taken once it is gone. If no git command is running there,"
                " delete that file.",
            )
            return
        log.debug("%s", error)
        if self._waiting is None or self._waiting.done():
            self._waiting = asyncio.create_task(self._look_later(), name="wait for git's lock")

    def give_up(self) -> None:
        """At the end: nobody looks again."""
        if self._waiting:
            self._waiting.cancel()

    async def _look_later(self) -> None:
        await sleep(self._clock, LOCK_PATIENCE.total_seconds())
        self._on_change()
