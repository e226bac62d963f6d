"""Bursts: what one person says in quick succession becomes one turn."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from vaultloop.aio.clock import sleep
from vaultloop.aio.failpoint import Failpoint, reached
from vaultloop.model.component import Channel
from vaultloop.model.conversation import Message, Trigger, Turn, new_turn_id
from vaultloop.model.policy import Policy
from vaultloop.sessions.services import FIRST_PAUSE, Services, Spawn
from vaultloop.state.inbox import Fate

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Burst:
    """Messages of one person that become one turn, and the timer that makes it."""

    scope: str
    messages: list[Message] = field(default_factory=list)
    timer: asyncio.Task[None] | None = None


class Bursts:
    """Collects admitted messages, and writes a turn once a conversation has paused."""

    def __init__(
        self,
        services: Services,
        channels: Mapping[str, Channel],
        spawn: Spawn,
        on_turn: Callable[[], None],
    ) -> None:
        """Collect as long as the channel of a message says; `on_turn` is called after a turn was queued."""
        self._services = services
        self._clock = services.clock
        self._channels = channels
        self._spawn = spawn
        self._on_turn = on_turn
        self._bursts: dict[str, Burst] = {}

    def add(self, message: Message, policy: Policy) -> None:
        """Put a message to those that came just before it, or make a turn of it at once."""
        conversation = message.conversation
        channel = self._channels.get(message.channel)
        seconds = channel.coalesce if channel else 0.0
        burst = self._bursts.get(conversation)
        if burst and (burst.scope, burst.messages[0].person) != (policy.scope, message.person):
            self.flush(conversation)
            burst = None
        if burst is None:
            burst = self._bursts[conversation] = Burst(policy.scope)
        burst.messages.append(message)
        if seconds <= 0:
            self.flush(conversation)
            return
        if burst.timer:
            burst.timer.cancel()
        burst.timer = self._spawn(self._flush_after(seconds, conversation), f"burst in {message.channel}")

    def flush(self, conversation: str) -> None:
        """Make the turn of the messages that were collected, if there are any."""
        burst = self._bursts.pop(conversation, None)
        if burst is None:
            return
        if burst.timer:
            burst.timer.cancel()
        try:
            self._queue(conversation, burst)
        except sqlite3.OperationalError as error:
            # They stay together, and are joined by what is said meanwhile.
            log.error("a message cannot become a turn (%s); next try in %.0f s", error, FIRST_PAUSE)
            self._bursts[conversation] = burst
            burst.timer = self._spawn(self._flush_after(FIRST_PAUSE, conversation), "burst, once more")

    async def _flush_after(self, seconds: float, conversation: str) -> None:
        await sleep(self._clock, seconds)
        burst = self._bursts.get(conversation)
        if burst:
            burst.timer = None
        self.flush(conversation)

    def _queue(self, conversation: str, burst: Burst) -> None:
        first, *_ = burst.messages
        now = self._clock.now()
        turn = Turn(
            id=new_turn_id(now),
            key=first.key,
            conversation=conversation,
            scope=burst.scope,
            trigger=Trigger("message", first.channel),
            prompt="\n".join(message.text for message in burst.messages),
            recipients=((first.channel, first.chat),),
        )
        with self._services.database.transaction():
            self._services.turns.add(turn, now)
            for message in burst.messages:
                self._services.inbox.settle(message, Fate.TURN, turn.id)
        reached(Failpoint.TURN_QUEUED)
        self._on_turn()
