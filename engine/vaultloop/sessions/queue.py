"""The queue: turns wait here for their sessions, those of one conversation one after the other.

It acts on the records, never on events: a bell says that there may be something to start, and the look that
follows reads the queue from the database. What a crash leaves behind is therefore found by the first look.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import datetime

from vaultloop.aio.bell import Bell
from vaultloop.aio.clock import Clock, sleep
from vaultloop.aio.supervise import first
from vaultloop.model.conversation import AgentDefaults, Outcome, Reply
from vaultloop.model.errors import Stalled
from vaultloop.sessions import report
from vaultloop.sessions.services import FIRST_PAUSE, LONGEST_PAUSE, Services, Spawn
from vaultloop.sessions.session import Session
from vaultloop.state.turns import TurnRecord, TurnState

log = logging.getLogger(__name__)

# How long sessions that run may go on once the engine was asked to stop (seconds): long enough to publish
# what an agent has just finished, short enough that whoever pressed ctrl-C does not press it again.
STOP_PATIENCE = 3.0


@dataclass(frozen=True, slots=True)
class Active:
    """A session that is running in this process."""

    session: Session
    task: asyncio.Task[None]


class Queue:
    """Starts sessions, at most so many at once; nothing before `begin`."""

    def __init__(self, services: Services, spawn: Spawn) -> None:
        self._services = services
        self._turns = services.turns
        self._clock = services.clock
        self._spawn = spawn
        self._defaults = AgentDefaults()
        self._bell = Bell()
        self._begun = False
        self._active: dict[str, Active] = {}
        self._waiters: dict[str, asyncio.Future[None]] = {}
        # Turns that are ended before they have begun.
        self._leaving: set[str] = set()
        # When the first of those that wait, for their next try or for a budget, may start.
        self._next_try: datetime | None = None
        self._reconsiders = False

    def configure(self, defaults: AgentDefaults) -> None:
        """Sessions that start from now on follow `defaults`."""
        self._defaults = defaults
        self.ring()

    @property
    def timezone(self) -> str:
        """In which people are told of times."""
        return self._defaults.timezone

    def reconsider(self) -> None:
        """What a note allows changed: what waits for a budget may look again."""
        self._reconsiders = True
        self.ring()

    def begin(self) -> None:
        """Start sessions from now on."""
        self._begun = True
        self.ring()

    def close(self) -> None:
        """Start no more of them."""
        self._begun = False

    @property
    def is_at_work(self) -> bool:
        """Whether a session runs just now."""
        return bool(self._active)

    async def wind_down(self) -> None:
        """Start no more of them, and give those that run a short time to end by themselves."""
        self.close()
        running = [active.task for active in self._active.values()]
        if running:
            log.info("%d running sessions have %.0f s to end", len(running), STOP_PATIENCE)
            await first(_all_over(running), sleep(self._clock, STOP_PATIENCE))

    def ring(self) -> None:
        """There may be something to start."""
        self._bell.ring()

    async def run(self) -> None:
        """Look when somebody rings and when a next try is due, until cancelled."""
        while True:
            await self._woken()
            if self._begun and self._services.acting():
                await persistently("the queue of turns", self._look, self._clock)

    async def _woken(self) -> None:
        if self._next_try is None:
            await self._bell.heard()
        else:
            await first(self._bell.heard(), self._clock.sleep_until(self._next_try))

    async def _look(self) -> None:
        """One look: the oldest turn of each idle conversation, as many as the limit allows."""
        now, self._next_try = self._clock.now(), None
        if self._reconsiders:
            self._turns.unpark(now)
            self._reconsiders = False
        first_of: dict[str, TurnRecord] = {}
        for record in self._turns.unfinished():
            oldest = first_of.setdefault(record.turn.conversation, record)
            if oldest is not record:
                self._say_that_it_is_parked(record, oldest)
                continue
            if record.id in self._active or record.id in self._leaving:
                continue
            if record.not_before is not None and record.not_before > now:
                # What came after it in its conversation waits with it.
                self._next_try = min(self._next_try or record.not_before, record.not_before)
            elif len(self._active) < self._defaults.max_sessions:
                self._start(record)
            else:
                self._say_that_it_waits(record)

    def _start(self, record: TurnRecord) -> None:
        session = self.session(record.id)
        task = self._spawn(self._run(session, record.id), f"session {record.id}")
        self._active[record.id] = Active(session, task)

    def session(self, turn_id: str) -> Session:
        """The work on one turn, as sessions are configured now."""
        return Session(turn_id, self._services, self._defaults)

    async def _run(self, session: Session, turn_id: str) -> None:
        try:
            await persistently(f"session {turn_id}", session.run, self._clock)
        finally:
            del self._active[turn_id]
            self._ended(turn_id)
            self.ring()

    def _say_that_it_waits(self, record: TurnRecord) -> None:
        turn = record.turn
        if turn.trigger.kind != "message" or record.state is not TurnState.QUEUED:
            return
        text = f"Queued: {self._defaults.max_sessions} sessions are running; this one comes next when it can."
        for address in turn.recipients:
            if self._services.outbox.put(Reply(f"{turn.id}/queued", *address, text), self._clock.now()):
                self._services.on_owed()

    def _say_that_it_is_parked(self, record: TurnRecord, oldest: TurnRecord) -> None:
        """Tell who asked it, once, that it waits with the `oldest` of its conversation for a budget."""
        until, now = oldest.not_before, self._clock.now()
        if not oldest.parked or until is None or until <= now or record.state is not TurnState.QUEUED:
            return
        people = {message.person for message in self._services.inbox.of_turn(record.id)}
        text = report.parked_here(until, self.timezone)
        # Who asked the oldest was told when it was parked.
        for person in people - {message.person for message in self._services.inbox.of_turn(oldest.id)}:
            key = f"parked/{oldest.id}/{person}/{until.isoformat()}"
            for address in record.turn.recipients:
                if self._services.outbox.put(Reply(key, *address, text), now):
                    self._services.on_owed()

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
            # Its agent may have failed in that very moment, and waits for its next try.
            record = self._turns.get(record.id)
        if record is not None and record.state is TurnState.QUEUED:
            await self._leave(record.id, outcome)

    async def _leave(self, turn_id: str, outcome: Outcome) -> None:
        self._leaving.add(turn_id)
        try:
            await self.session(turn_id).give_up(outcome)
            self._ended(turn_id)
        finally:
            self._leaving.discard(turn_id)
            # What came after it in its conversation may start.
            self.ring()

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

    def _ended(self, turn_id: str) -> None:
        if waiter := self._waiters.pop(turn_id, None):
            waiter.set_result(None)


async def _all_over(tasks: Collection[asyncio.Task[None]]) -> None:
    await asyncio.wait(tasks)


async def persistently(name: str, work: Callable[[], Awaitable[None]], clock: Clock) -> None:
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
            await sleep(clock, pause)
            pause = min(pause * 2, LONGEST_PAUSE)
