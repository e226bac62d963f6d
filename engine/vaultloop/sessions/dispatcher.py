"""The dispatcher: every message once into the inbox, and from there to what becomes of it.

Here a message is admitted or refused, carried out as a command, or handed to the bursts; bursts make turns,
and the queue brings turns to their outcomes.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import Any, Self

from vaultloop.aio.clock import sleep
from vaultloop.aio.failpoint import Failpoint, reached
from vaultloop.model.component import Channel
from vaultloop.model.conversation import OWNER, AgentDefaults, Message, Outcome, Reply, Turn, new_turn_id
from vaultloop.model.errors import Denied, NotYet, Retry, Stalled, VaultloopError
from vaultloop.model.policy import Audience, Policy
from vaultloop.sessions import commands, report
from vaultloop.sessions.approvals import Approvals
from vaultloop.sessions.bursts import Bursts
from vaultloop.sessions.courier import Courier
from vaultloop.sessions.publication import OWNERS_CHAT, restore
from vaultloop.sessions.queue import Queue, persistently
from vaultloop.sessions.services import FIRST_PAUSE, Services
from vaultloop.sessions.undoing import Undoing
from vaultloop.state.inbox import Fate, answer_key
from vaultloop.state.turns import TurnRecord, TurnState

log = logging.getLogger(__name__)

HOUR = timedelta(hours=1)


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

        `status` and `crons` tell of the whole engine: the first is for the owner's own chat alone.
        `channels`, by platform, may change while it runs.
        """
        self._courier = Courier(services.outbox, channels, services.clock, services.acting)
        self._services = replace(
            services,
            on_owed=_both(services.on_owed, self._courier.offer),
        )
        self._clock = services.clock
        self._turns, self._inbox, self._outbox = services.turns, services.inbox, services.outbox
        self._whole_status = status
        self._answers = commands.Answers(
            status=self._status, crons=crons, cancel=self._cancel_here, retry=self._retry
        )
        self._group = asyncio.TaskGroup()
        self._tasks: set[asyncio.Task[None]] = set()
        self._queue = Queue(self._services, self._spawn)
        self._bursts = Bursts(self._services, channels, self._spawn, on_turn=self._queue.ring)
        self._begun = False

    # Lifetime

    async def __aenter__(self) -> Self:
        await self._recover()
        await self._group.__aenter__()
        self._spawn(self._queue.run(), "queue of turns")
        self._spawn(self._courier.run(), "courier of replies")
        return self

    async def __aexit__(self, *exc: Any) -> None:
        # Sessions that run are cut off; the record says how far they got, and the next start goes on.
        self._begun = False
        self._queue.close()
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
        self._queue.begin()

    @property
    def is_at_work(self) -> bool:
        """Whether a session runs just now."""
        return self._queue.is_at_work

    async def wind_down(self) -> None:
        """Start no more sessions, and give those that run a short time; messages are still taken."""
        await self._queue.wind_down()

    async def _recover(self) -> None:
        for record in self._turns.unfinished():
            if record.state is TurnState.RUNNING:
                # Where it cannot be recorded now, the session does it when its turn comes.
                with suppress(sqlite3.OperationalError):
                    await self._queue.session(record.id).recover()
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
        self._queue.configure(defaults)

    def reconsider(self) -> None:
        """Notes were applied: turns that wait for a budget look again whether they still have to."""
        self._queue.reconsider()

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
        self._queue.ring()

    async def cancel(self, key: str, outcome: Outcome) -> None:
        """End the turn with this key if it has not ended, with `outcome`; returns when it is gone.

        A turn whose agent has answered is published all the same: what is said is said.
        """
        await self._queue.cancel(key, outcome)

    def unfinished(self, conversation: str) -> int:
        """How many turns of a conversation are queued or running."""
        return len(self._turns.unfinished(conversation))

    def look_again(self) -> None:
        """This engine acts again: what waits may start, and what is owed may be told."""
        self._queue.ring()
        self._courier.offer()

    def offer_replies(self) -> None:
        """Somebody is there now who may take replies."""
        self._courier.offer()

    def tell_owner(self, key: str, text: str) -> None:
        """Something that the owner must know though they asked nothing; once for each `key`."""
        self._outbox.put(Reply(key, *OWNERS_CHAT, text), self._clock.now())
        self._courier.offer()

    async def ended(self, turn_id: str) -> TurnRecord:
        """The record of a turn, once it has its outcome.

        Raises:
            Stalled: there is no such turn.
        """
        return await self._queue.ended(turn_id)

    async def restore(self, session: str) -> str:
        """Publish what was kept of a session; says what came of it.

        Raises:
            Stalled: nothing is kept of it.
        """
        return await restore(session, self._services)

    @cached_property
    def approvals(self) -> Approvals:
        """The owner's decisions about proposals; one object, for one decision is made at a time."""
        services = self._services
        return Approvals(services.proposals, services.sync, self._clock, services.on_published)

    @cached_property
    def undoing(self) -> Undoing:
        """The owner takes something back; one object, for the same reason."""
        services = self._services
        return Undoing(
            services.database, services.sync, self._clock, services.on_published, author=services.author
        )

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
            self._refuse(message, error)
            return
        if name := commands.command_in(message.text):
            self._command(name, message, policy)
        elif (again := self._too_often(message, policy)) is None:
            self._bursts.add(message, policy)
        elif self._inbox.refused_aloud(message, self._clock.now() - HOUR):
            # Who says too much is not answered as often.
            self._inbox.settle(message, Fate.REFUSED)
        else:
            self._answer(message, Fate.REFUSED, _slower(again, policy))

    def _refuse(self, message: Message, error: Denied) -> None:
        name = commands.command_in(message.text)
        if isinstance(error, NotYet) and name in commands.WHILE_IT_WAITS.intersection(
            commands.available(error.policy)
        ):
            self._command(name, message, error.policy)
        else:
            self._answer(message, Fate.REFUSED, str(error))

    def _too_often(self, message: Message, policy: Policy) -> datetime | None:
        """When the person is answered again, where they said as much in this hour as the scope allows."""
        most = policy.messages_per_person_per_hour
        # A private chat has the id of the person in it.
        if most is None or message.person == OWNER or self._services.guard.is_owners(message.person):
            return None
        said = self._inbox.taken_from(message, policy.scope, self._clock.now() - HOUR)
        return said[-most] + HOUR if len(said) >= most else None

    def _command(self, name: str, message: Message, policy: Policy) -> None:
        # What was said before the command comes before it.
        self._bursts.flush(message.conversation)
        if name in commands.ON_PROPOSALS and name in commands.available(policy):
            decide = partial(self._decide_on_proposal, name, message)
            self._spawn(persistently(f"/{name}", decide, self._clock), name)
            return
        try:
            with self._services.database.transaction():
                self._answer(message, Fate.COMMAND, commands.answer(name, message, policy, self._answers))
        except sqlite3.OperationalError:
            raise
        except Exception as error:
            # A command that cannot be carried out must not be found waiting again after each restart.
            log.exception("the command /%s failed", name)
            self._answer(message, Fate.COMMAND, f"/{name} failed ({type(error).__name__}); see the log.")

    async def _decide_on_proposal(self, name: str, message: Message) -> None:
        """Settled only when it is done: after a crash it is done again, which changes nothing."""
        try:
            text = await commands.answer_on_proposals(name, message, self.approvals)
        except VaultloopError as error:
            text = str(error)
        except sqlite3.OperationalError:
            raise
        except Exception as error:
            log.exception("the command /%s failed", name)
            text = f"/{name} failed ({type(error).__name__}); see the log."
        self._answer(message, Fate.COMMAND, text)

    def _answer(self, message: Message, fate: Fate, text: str) -> None:
        """Settle a message that becomes no turn."""
        with self._services.database.transaction():
            if self._inbox.settle(message, fate):
                reply = Reply(answer_key(message), message.channel, message.chat, text)
                self._outbox.put(reply, self._clock.now())
        self._courier.offer()

    def _status(self, message: Message, policy: Policy) -> str:
        """All of it in the owner's own chat; elsewhere others read along, the owner's question too."""
        if policy.audience is Audience.OWNER:
            return self._whole_status()
        here = [record for record in self._turns.unfinished() if _concerns(record, message, policy)]
        return report.of_standing(here, self._queue.timezone, waits=self._waits(message))

    def _waits(self, message: Message) -> bool:
        try:
            policy = self._services.guard.admit(message)
            self._services.confinement(policy.audience)
        except (Denied, Stalled):
            return True
        return False

    # Commands that act

    def _cancel_here(self, message: Message, policy: Policy) -> str:
        here = [record for record in self._turns.unfinished() if _concerns(record, message, policy)]
        if not (policy.audience is Audience.OWNER or self._services.guard.is_owners(message.person)):
            here = [record for record in here if not self._others_asked(record, message.person)]
        waiting = [record for record in here if record.state in (TurnState.QUEUED, TurnState.RUNNING)]
        for record in waiting:
            cancel = partial(self.cancel, record.turn.key, Outcome.CANCELLED)
            self._spawn(persistently("/cancel", cancel, self._clock), "cancel")
        if not waiting:
            return "Nothing of yours is running for this chat."
        return "Cancelling what runs." if len(waiting) == 1 else f"Cancelling {len(waiting)} turns."

    def _others_asked(self, record: TurnRecord, person: str) -> bool:
        """Whether a turn answers others; a schedule's run answers nobody."""
        people = {asked.person for asked in self._inbox.of_turn(record.id)}
        return bool(people) and person not in people

    def _retry(self, message: Message, policy: Policy) -> str:
        """Runs within the transaction that settles the command: run again once, or not at all."""
        ended = self._turns.retryable((message.channel, message.chat))
        record = next((record for record in ended if _concerns(record, message, policy)), None)
        if record is None:
            return "There is nothing to run again."
        key = self._turns.next_key(record.turn.key)
        turn = replace(record.turn, id=new_turn_id(self._clock.now()), key=key)
        self._turns.add(turn, self._clock.now())
        # Who asked is asked for again when it starts.
        self._inbox.hand_on(record.id, turn.id)
        self._queue.ring()
        return "Running it again."


def _concerns(record: TurnRecord, message: Message, policy: Policy) -> bool:
    """Whether who speaks under `policy` may decide about a turn: it answers here, and under their scope."""
    here = (message.channel, message.chat) in record.turn.recipients
    return here and (policy.audience is Audience.OWNER or record.turn.scope == policy.scope)


def _slower(again: datetime, policy: Policy) -> str:
    limit = policy.messages_per_person_per_hour
    messages = "one message" if limit == 1 else f"{limit} messages"
    return f"You are answered at most {messages} an hour here. Say it again after {again:%H:%M} UTC."


def _both(first: Callable[[], None], second: Callable[[], None]) -> Callable[[], None]:
    def call() -> None:
        first()
        second()

    return call
