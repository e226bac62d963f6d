"""The dispatcher: every message once into the inbox, every turn once to an outcome, in order, within limits.

It acts on the records, never on events: a bell says that there may be something to start, and the look that
follows reads the queue from the database. What a crash leaves behind is therefore found by the first look.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Self

from vaultloop.aio.bell import Bell
from vaultloop.aio.clock import sleep
from vaultloop.aio.failpoint import Failpoint, reached
from vaultloop.model.component import Channel
from vaultloop.model.conversation import AgentDefaults, Message, Outcome, Reply, Trigger, Turn, new_turn_id
from vaultloop.model.errors import Denied, Retry, Stalled
from vaultloop.model.policy import Audience, Policy
from vaultloop.sessions import commands
from vaultloop.sessions.courier import Courier
from vaultloop.sessions.publication import restore
from vaultloop.sessions.services import Services
from vaultloop.sessions.session import Session
from vaultloop.state.inbox import Fate, answer_key
from vaultloop.state.turns import TurnRecord, TurnState

log = logging.getLogger(__name__)

# How long what could not be recorded waits for the next try (seconds): the first time, and at most.
FIRST_PAUSE = 5.0
LONGEST_PAUSE = 300.0


@dataclass(slots=True)
class Burst:
    """Messages of one person that become one turn, and the timer that makes it."""

    scope: str
    messages: list[Message] = field(default_factory=list)
    timer: asyncio.Task[None] | None = None


@dataclass(frozen=True, slots=True)
class Active:
    """A session that is running in this process."""

    session: Session
    task: asyncio.Task[None]
    record: TurnRecord


class Dispatcher:
    """Takes messages, starts sessions, hands out replies; implements TurnStarter, Receiver and Configurable.

    Entering it recovers from whatever came before; it acts on messages and turns from `begin` on.
    """

    def __init__(
        self,
        services: Services,
        *,
        channels: Mapping[str, Channel],
        status: Callable[[], str],
        crons: Callable[[], str],
    ) -> None:
        """Make a dispatcher; `services.on_owed` is called besides its own bell.

        `channels`, by platform, may change while it runs.
        """
        self._courier = Courier(services.outbox, channels, services.clock)
        self._services = replace(
            services,
            on_owed=_both(services.on_owed, self._courier.offer),
        )
        self._clock = services.clock
        self._turns, self._inbox, self._outbox = services.turns, services.inbox, services.outbox
        self._answers = commands.Answers(
            status=status, crons=crons, cancel=self._cancel_here, retry=self._retry
        )
        self._channels = channels
        self._defaults = AgentDefaults()
        self._group = asyncio.TaskGroup()
        self._tasks: set[asyncio.Task[None]] = set()
        self._queue_bell = Bell()
        self._active: dict[str, Active] = {}
        self._bursts: dict[str, Burst] = {}
        self._waiters: dict[str, asyncio.Future[None]] = {}
        self._begun = False

    # Lifetime

    async def __aenter__(self) -> Self:
        await self._recover()
        await self._group.__aenter__()
        self._spawn(self._look_when_rung(), "queue of turns")
        self._spawn(self._courier.run(), "courier of replies")
        return self

    async def __aexit__(self, *exc: Any) -> None:
        # Sessions that run are cut off; the record says how far they got, and the next start goes on.
        self._begun = False
        for task in list(self._tasks):
            task.cancel()
        await self._group.__aexit__(*exc)

    def begin(self) -> None:
        """Act from now on: the scopes are in force, so the guard can tell who may speak."""
        if self._begun:
            return
        self._begun = True
        for message in self._inbox.waiting():
            self._dispatch(message)
        self._queue_bell.ring()

    async def _recover(self) -> None:
        for record in self._turns.unfinished():
            if record.state is TurnState.RUNNING:
                # Where it cannot be recorded now, the session does it when its turn comes.
                with suppress(sqlite3.OperationalError):
                    await self._session(record.id).recover()
        unpublished = (r for r in self._turns.unfinished() if r.state is not TurnState.PUBLISHED)
        in_use = {record.view for record in unpublished if record.view}
        await asyncio.to_thread(self._services.views.sweep, in_use, self._clock.now())
        await asyncio.to_thread(self._services.sweep_cells)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = self._group.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # Ports

    def configure(self, defaults: AgentDefaults) -> None:
        """Sessions that start from now on follow `defaults`."""
        self._defaults = defaults
        self._queue_bell.ring()

    async def receive(self, message: Message) -> None:
        """Take `message` durably and act on it. The same message twice is taken once.

        Raises:
            Retry: it could not be written down, so it is not taken.
        """
        try:
            new = self._inbox.take(message, self._clock.now())
        except sqlite3.OperationalError as error:
            raise Retry(f"What you said cannot be written down ({error}). Say it again later.") from error
        if not new:
            return
        reached(Failpoint.MESSAGE_RECEIVED)
        if self._begun:
            self._dispatch(message)

    def start(self, turn: Turn) -> None:
        """Queue `turn`, durably; a no-op if one with this key exists."""
        if self._turns.add(turn, self._clock.now()):
            reached(Failpoint.TURN_QUEUED)
        # Also if it is known: somebody may have queued it in a transaction of theirs.
        self._queue_bell.ring()

    async def cancel(self, key: str, outcome: Outcome) -> None:
        """End the turn with this key if it has not ended, with `outcome`; returns when it is gone.

        A turn whose agent has answered is published all the same: what is said is said.
        """
        record = self._turns.by_key(key)
        if record is None or record.state is TurnState.ENDED:
            return
        if active := self._active.get(record.id):
            active.session.stop(outcome)
            await asyncio.wait([active.task])
        elif record.state is TurnState.QUEUED:
            await self._session(record.id).give_up(outcome)
            self._ended(record.id)

    def unfinished(self, conversation: str) -> int:
        """How many turns of a conversation are queued or running."""
        return len(self._turns.unfinished(conversation))

    def offer_replies(self) -> None:
        """Somebody is there now who may take replies."""
        self._courier.offer()

    async def ended(self, turn_id: str) -> TurnRecord:
        """The record of a turn, once it has its outcome.

        Raises:
            Stalled: there is no such turn.
        """
        while True:
            record = self._turns.get(turn_id)
            if record is None:
                raise Stalled(f"There is no session {turn_id}.", cure="`vaultloop sessions` lists them.")
            if record.state is TurnState.ENDED:
                return record
            waiter = self._waiters.setdefault(turn_id, asyncio.get_running_loop().create_future())
            await asyncio.shield(waiter)

    async def restore(self, session: str) -> str:
        """Publish what was kept of a session; says what came of it.

        Raises:
            Stalled: nothing is kept of it.
        """
        return await restore(session, self._services)

    # From messages to turns

    def _dispatch(self, message: Message) -> None:
        try:
            self._decide(message)
        except sqlite3.OperationalError as error:
            log.error("a message cannot be settled (%s); next try in %.0f s", error, FIRST_PAUSE)
            self._spawn(self._dispatch_after(FIRST_PAUSE, message), "message, once more")

    async def _dispatch_after(self, seconds: float, message: Message) -> None:
        await sleep(self._clock, seconds)
        self._dispatch(message)

    def _decide(self, message: Message) -> None:
        try:
            policy = self._services.guard.admit(message)
        except Denied as error:
            self._answer(message, Fate.REFUSED, str(error))
            return
        if name := commands.command_in(message.text):
            self._command(name, message, policy)
        else:
            self._collect(message, policy)

    def _command(self, name: str, message: Message, policy: Policy) -> None:
        # What was said before the command comes before it.
        self._flush(message.conversation)
        try:
            with self._services.database.transaction():
                self._answer(message, Fate.COMMAND, commands.answer(name, message, policy, self._answers))
        except sqlite3.OperationalError:
            raise
        except Exception as error:
            # A command that cannot be carried out must not be found waiting again after each restart.
            log.exception("the command /%s failed", name)
            self._answer(message, Fate.COMMAND, f"/{name} failed ({type(error).__name__}); see the log.")

    def _answer(self, message: Message, fate: Fate, text: str) -> None:
        """Settle a message that becomes no turn."""
        with self._services.database.transaction():
            if self._inbox.settle(message, fate):
                reply = Reply(answer_key(message), message.channel, message.chat, text)
                self._outbox.put(reply, self._clock.now())
        self._courier.offer()

    def _collect(self, message: Message, policy: Policy) -> None:
        """Put a message to those that came just before it, or make a turn of it at once."""
        conversation = message.conversation
        channel = self._channels.get(message.channel)
        seconds = channel.coalesce if channel else 0.0
        burst = self._bursts.get(conversation)
        if burst and (burst.scope, burst.messages[0].person) != (policy.scope, message.person):
            self._flush(conversation)
            burst = None
        if burst is None:
            burst = self._bursts[conversation] = Burst(policy.scope)
        burst.messages.append(message)
        if seconds <= 0:
            self._flush(conversation)
            return
        if burst.timer:
            burst.timer.cancel()
        burst.timer = self._spawn(self._flush_after(seconds, conversation), f"burst in {message.channel}")

    async def _flush_after(self, seconds: float, conversation: str) -> None:
        await sleep(self._clock, seconds)
        burst = self._bursts.get(conversation)
        if burst:
            burst.timer = None
        self._flush(conversation)

    def _flush(self, conversation: str) -> None:
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

    def _queue(self, conversation: str, burst: Burst) -> None:
        first, *_ = burst.messages
        turn = Turn(
            id=new_turn_id(self._clock.now()),
            key=first.key,
            conversation=conversation,
            scope=burst.scope,
            trigger=Trigger("message", first.channel),
            prompt="\n".join(message.text for message in burst.messages),
            reply_to=(first.channel, first.chat),
        )
        with self._services.database.transaction():
            self._turns.add(turn, self._clock.now())
            for message in burst.messages:
                self._inbox.settle(message, Fate.TURN, turn.id)
        reached(Failpoint.TURN_QUEUED)
        self._queue_bell.ring()

    # Commands that act

    def _cancel_here(self, message: Message, policy: Policy) -> str:
        here = [record for record in self._turns.unfinished() if _concerns(record, message, policy)]
        waiting = [record for record in here if record.state in (TurnState.QUEUED, TurnState.RUNNING)]
        for record in waiting:
            cancel = partial(self.cancel, record.turn.key, Outcome.CANCELLED)
            self._spawn(self._persistently("/cancel", cancel), "cancel")
        if not waiting:
            return "Nothing is running for this chat."
        return "Cancelling what runs." if len(waiting) == 1 else f"Cancelling {len(waiting)} turns."

    def _retry(self, message: Message, policy: Policy) -> str:
        """Runs within the transaction that settles the command: run again once, or not at all."""
        ended = self._turns.retryable((message.channel, message.chat))
        record = next((record for record in ended if _concerns(record, message, policy)), None)
        if record is None:
            return "There is nothing to run again."
        key = self._turns.next_key(record.turn.key)
        self._turns.add(replace(record.turn, id=new_turn_id(self._clock.now()), key=key), self._clock.now())
        self._queue_bell.ring()
        return "Running it again."

    # From turns to sessions

    async def _look_when_rung(self) -> None:
        while True:
            await self._queue_bell.heard()
            if self._begun:
                await self._persistently("the queue of turns", self._look)

    async def _look(self) -> None:
        self._start_what_may_run()

    async def _persistently(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do `work`; where it fails, because the records cannot be written say, again later.

        Nothing that fails here ends the engine: the record says from where to go on.
        """
        pause = FIRST_PAUSE
        while True:
            try:
                await work()
                return
            except Exception:
                log.exception("%s failed; next try in %.0f s", name, pause)
                await sleep(self._clock, pause)
                pause = min(pause * 2, LONGEST_PAUSE)

    def _start_what_may_run(self) -> None:
        """One look at the queue: the oldest turn of each idle conversation, as many as the limit allows."""
        taken: set[str] = set()
        for record in self._turns.unfinished():
            conversation = record.turn.conversation
            if conversation in taken:
                continue
            taken.add(conversation)
            if record.id in self._active:
                continue
            if len(self._active) < self._defaults.max_sessions:
                session = self._session(record.id)
                task = self._spawn(self._run(session, record.id), f"session {record.id}")
                self._active[record.id] = Active(session, task, record)
            else:
                self._say_that_it_waits(record)

    def _session(self, turn_id: str) -> Session:
        return Session(turn_id, self._services, self._defaults)

    async def _run(self, session: Session, turn_id: str) -> None:
        try:
            await self._persistently(f"session {turn_id}", session.run)
        finally:
            del self._active[turn_id]
            self._ended(turn_id)
            self._queue_bell.ring()

    def _ended(self, turn_id: str) -> None:
        if waiter := self._waiters.pop(turn_id, None):
            waiter.set_result(None)

    def _say_that_it_waits(self, record: TurnRecord) -> None:
        turn = record.turn
        if turn.trigger.kind != "message" or turn.reply_to is None or record.state is not TurnState.QUEUED:
            return
        text = f"Queued: {self._defaults.max_sessions} sessions are running; this one comes next when it can."
        if self._outbox.put(Reply(f"{turn.id}/queued", *turn.reply_to, text), self._clock.now()):
            self._courier.offer()


def _concerns(record: TurnRecord, message: Message, policy: Policy) -> bool:
    """Whether who speaks under `policy` may decide about a turn: it answers here, and under their scope."""
    here = record.turn.reply_to == (message.channel, message.chat)
    return here and (policy.audience is Audience.OWNER or record.turn.scope == policy.scope)


def _both(first: Callable[[], None], second: Callable[[], None]) -> Callable[[], None]:
    def call() -> None:
        first()
        second()

    return call
