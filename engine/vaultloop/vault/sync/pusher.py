"""Pushing in the background: whoever made a commit goes on at once; the remote gets it as soon as it can."""

import logging
import random
from collections.abc import Callable
from datetime import timedelta

from vaultloop.aio.bell import Bell
from vaultloop.aio.clock import Clock
from vaultloop.aio.supervise import first
from vaultloop.model.status import PushState
from vaultloop.vault.sync.sync import Sync

log = logging.getLogger(__name__)

# How long a stranded push waits for the next try (seconds), the first time and at most.
FIRST_PAUSE = 5.0
LONGEST_PAUSE = 60.0
# Each of these is longer or shorter by up to this part of it.
JITTER = 0.1


class Pusher:
    """Brings the branch to the remote whenever it is rung, and tries again while a push is stranded."""

    def __init__(self, sync: Sync, clock: Clock, on_push: Callable[[], None]) -> None:
        """`on_push` is called when the push state has changed."""
        self._sync = sync
        self._clock = clock
        self._on_push = on_push
        self._bell = Bell()

    def ring(self) -> None:
        """There may be something to push."""
        self._bell.ring()

    def ring_unless_pushed(self) -> None:
        """Ring if the newest commit is only here; a stranded one has its own time for the next try."""
        if self._sync.push_state.state is PushState.LOCAL:
            self._bell.ring()

    async def run(self) -> None:
        """Push until cancelled."""
        self._bell.ring()
        pause = FIRST_PAUSE
        while True:
            await self._bell.heard()
            if await self._attempt() is not PushState.STRANDED:
                pause = FIRST_PAUSE
                continue
            log.info("next push in %.0f s, or with the next commit", pause)
            # Two engines that lost against each other must not meet again.
            jitter = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - keeps no secret
            until = self._clock.now() + timedelta(seconds=pause * jitter)
            await first(self._clock.sleep_until(until), self._bell.heard())
            if self._clock.now() >= until:
                # A commit that comes meanwhile is a try of its own; it puts the next one off no longer.
                pause = min(pause * 2, LONGEST_PAUSE)
            self._bell.ring()

    async def _attempt(self) -> PushState:
        before = self._sync.push_state
        after = await self._sync.push()
        if after != before:
            if after.state is PushState.PUSHED:
                # Not the branch's commit: there may be a newer one by now.
                there = self._sync.at_remote
                log.info("pushed %s", (there or "")[:12], extra={"revision": there})
            self._on_push()
        return after.state
