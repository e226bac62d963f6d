"""The courier: hands out what the outbox owes, in order for each chat, until somebody takes it."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Mapping

from vaultloop.aio.bell import Bell
from vaultloop.aio.clock import Clock, sleep
from vaultloop.aio.failpoint import Failpoint, reached
from vaultloop.model.component import Channel
from vaultloop.model.conversation import Reply
from vaultloop.state.outbox import Outbox

log = logging.getLogger(__name__)

# How long a reply that nobody took waits for the next offer (seconds): the first time, and at most. A channel
# that becomes ready rings, so this only backs it up.
FIRST_PAUSE = 5.0
LONGEST_PAUSE = 300.0


class Courier:
    """Offers replies to their channels. A slow chat delays no other one."""

    def __init__(
        self,
        outbox: Outbox,
        channels: Mapping[str, Channel],
        clock: Clock,
        acting: Callable[[], bool] = lambda: True,
    ) -> None:
        """Nothing is handed out while this engine is not `acting`."""
        self._acting = acting
        self._outbox = outbox
        self._channels = channels
        self._clock = clock
        self._bell = Bell()
        self._busy: set[tuple[str, str]] = set()
        # Keys of replies that were taken but could not be recorded so: they are not offered a second time.
        self._taken: set[str] = set()
        self._pause = FIRST_PAUSE
        self._pausing = False

    def offer(self) -> None:
        """There is a new reply, or somebody new to take one."""
        self._pause = FIRST_PAUSE
        self._bell.ring()

    async def run(self) -> None:
        """Deliver until cancelled."""
        self._bell.ring()
        async with asyncio.TaskGroup() as group:
            while True:
                await self._bell.heard()
                for chat in self._waiting(group):
                    if chat not in self._busy:
                        self._busy.add(chat)
                        group.create_task(self._serve(group, *chat), name="courier")

    def _waiting(self, group: asyncio.TaskGroup) -> list[tuple[str, str]]:
        try:
            return self._outbox.waiting()
        except sqlite3.OperationalError as error:
            log.error("the replies that are owed cannot be read: %s", error)
            self._come_back(group)
            return []

    async def _serve(self, group: asyncio.TaskGroup, channel: str, chat: str) -> None:
        try:
            while self._acting() and (reply := self._outbox.next(channel, chat)):
                if reply.key not in self._taken and not await self._handed_over(reply):
                    self._come_back(group)
                    return
                reached(Failpoint.REPLY_DELIVERED)
                self._taken.add(reply.key)
                self._outbox.delivered(reply.key, self._clock.now())
                self._taken.discard(reply.key)
        except sqlite3.OperationalError as error:
            log.error("a reply of %s cannot be recorded as delivered: %s", channel, error)
            self._come_back(group)
        finally:
            self._busy.discard((channel, chat))

    async def _handed_over(self, reply: Reply) -> bool:
        channel = self._channels.get(reply.channel)
        if channel is None:
            return False
        try:
            return await channel.deliver(reply)
        except Exception:
            # Whatever a channel's library raises: the reply stays owed and is offered again.
            log.exception("a reply could not be handed to %s", reply.channel, extra={"reply": reply.key})
            return False

    def _come_back(self, group: asyncio.TaskGroup) -> None:
        if not self._pausing:
            self._pausing = True
            group.create_task(self._later(), name="courier's next try")

    async def _later(self) -> None:
        await sleep(self._clock, self._pause)
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
        self._pausing = False
        self._bell.ring()
