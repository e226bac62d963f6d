"""A machine with an engine: its schedules, its messages, its records; what agents do is left out.

The parts that decide are the real ones: tenure, schedules, courier, and the records in a database that
outlives the process. A kill closes that database under the engine: what it still tries leaves no trace.
"""

import asyncio
import random
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

from simulation.wire import MemoryRemote, OwnReferences, Wire
from vaultloop.aio.clock import Clock, VirtualClock, sleep
from vaultloop.aio.failpoint import Failpoint
from vaultloop.aio.supervise import background, first
from vaultloop.components.cron.component import CronComponent
from vaultloop.components.cron.kind import CronSpec
from vaultloop.model.change import Action, Change
from vaultloop.model.conversation import Message, Outcome, Reply, Turn
from vaultloop.model.handover import Handover
from vaultloop.model.resource import Ref, Resource, Source
from vaultloop.sessions.courier import Courier
from vaultloop.state.database import Database
from vaultloop.state.inbox import Fate, Inbox
from vaultloop.state.outbox import Outbox
from vaultloop.state.slots import SlotStore
from vaultloop.state.turns import Turns
from vaultloop.vault.git.repository import Repository
from vaultloop.vault.lease.lease import Bearer
from vaultloop.vault.lease.tenure import Tenure
from vaultloop.vault.sync.sync import Sync

PERIOD = timedelta(seconds=5)

JOBS: dict[str, dict[str, str]] = {
    "minutes": {"schedule": "* * * * *", "overlap": "queue"},
    "spread": {"schedule": "*/3 * * * *", "overlap": "queue", "jitter": "50s"},
    "skips": {"schedule": "*/2 * * * *", "overlap": "skip"},
}

# Whose code runs.
current: ContextVar["Machine"] = ContextVar("current")


class Killed(BaseException):
    """The process is gone."""


def reached(_: Failpoint) -> None:
    """In place of the real one: a doomed machine dies at one of the steps that it passes."""
    machine = current.get()
    machine.steps_left -= 1
    if machine.steps_left == 0:
        machine.kill()
    if machine.wire.is_gone:
        raise Killed


class SkewedClock:
    """A machine's clock, which is not quite that of the others."""

    def __init__(self, clock: Clock, skew: timedelta) -> None:
        self._clock, self._skew = clock, skew

    def now(self) -> datetime:
        return self._clock.now() + self._skew

    async def sleep_until(self, when: datetime) -> None:
        await self._clock.sleep_until(when - self._skew)

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)


def job(name: str) -> Resource[CronSpec]:
    fields = JOBS[name]
    spec = CronSpec.model_validate({"scope": "owner", "timezone": "UTC", "body": "Tidy up.", **fields})
    source = Source(f"agent/crons/{name}.md", "0" * 40)
    return Resource(Ref("cron", name), spec, source, uid=name)


@dataclass(frozen=True)
class Shared:
    """What machines have in common.

    Attributes:
        delivered: key and machine of each reply that came; a channel shows one that is handed over again, by
            the same machine after a crash, once.
        on_begin: hears that a machine acts.
    """

    root: Path
    remote: MemoryRemote
    repository: Repository
    clock: VirtualClock
    chance: random.Random
    delivered: set[tuple[str, str]]
    on_begin: "Callable[[Machine], None]"


class Machine:
    """One machine; `start`, `stop` and `kill` are those of its process.

    Attributes:
        is_up: whether its process runs.
        steps_left: at how many named steps from now on it dies; 0 for never.
    """

    def __init__(self, name: str, shared: Shared) -> None:
        self.name, self._shared = name, shared
        skew = timedelta(seconds=shared.chance.uniform(-4, 4))
        self.clock = SkewedClock(shared.clock, skew)
        self._file, self._references = shared.root / f"{name}.db", OwnReferences(shared.repository)
        self._task: asyncio.Task[None] | None = None
        self.steps_left = 0
        self.wire = self._new_wire()
        with Database(self._file):
            pass

    def _new_wire(self) -> Wire:
        return Wire(self._shared.remote, self._references, self.clock, self._shared.chance)

    @property
    def is_up(self) -> bool:
        return self._task is not None and not self._task.done()

    @property
    def acting(self) -> bool:
        return self.is_up and not self.wire.is_gone and self._tenure.acting

    def start(self) -> None:
        if self.is_up:
            return
        self.wire, self._stop = self._new_wire(), asyncio.Event()
        self._database = Database(self._file)
        me = Bearer(self.name, f"boot of {self.name}")
        self._tenure = Tenure(
            cast("Sync", self.wire),
            me,
            remote="https://example.org/vault.git",
            period=PERIOD,
            clock=self.clock,
        )
        self._task = asyncio.create_task(self._process(), name=self.name)

    def stop(self) -> None:
        """As TERM does."""
        self._stop.set()

    def kill(self) -> None:
        """As kill -9 does."""
        if self.is_up and not self.wire.is_gone:
            assert self._task is not None
            self.wire.is_gone, self.steps_left = True, 0
            self._database.__exit__()
            self._task.cancel()

    def say(self, text: str) -> None:
        """The human says something at this machine's console."""
        if self.is_up and not self.wire.is_gone:
            now = self.clock.now()
            Inbox(self._database).take(Message("console", "owner", text, "owner", text, now), now)

    def read(self) -> Database:
        """Its records."""
        return Database(self._file, read_only=True)

    async def _process(self) -> None:
        current.set(self)
        try:
            await self._lives()
            self._database.__exit__()
        except BaseException:
            if not self.wire.is_gone:
                raise

    async def _lives(self) -> None:
        """As `daemon` does."""
        tenure, handover = self._tenure, None
        while True:
            async with background("turn", tenure.taken()) as taken:
                await first(_set(self._stop), _over(taken))
                is_mine = taken.done() and not self._stop.is_set()
            if not is_mine:
                break
            handover = await self._acts()
            if self._stop.is_set():
                break
            await tenure.step_back(handover)
            handover = None
        await tenure.release(handover)

    async def _acts(self) -> Handover | None:
        tenure, clock = self._tenure, cast("VirtualClock", self.clock)
        courier = Courier(Outbox(self._database), {"console": self}, clock, lambda: tenure.acting)
        crons = CronComponent(
            slots=SlotStore(self._database, clock),
            turns=_Starter(Turns(self._database), clock),
            clock=clock,
            acting=lambda: tenure.acting,
            starts_from=lambda: tenure.starts_from,
        )
        tenure.on_acting = crons.look_again
        async with (
            crons,
            tenure.kept(),
            background("courier", courier.run()),
            background("sessions", self._sessions(courier)),
            background("poll", self._polls()),
        ):
            for name in JOBS:
                await crons.apply(Change(Action.CREATE, None, job(name)))
            crons.begin()
            await tenure.begun()
            self._shared.on_begin(self)
            await first(_set(self._stop), _set(tenure.lost))
            tenure.end()
            return crons.handover()

    async def _polls(self) -> None:
        while True:
            await self.wire.poll()
            await self.wire.push()
            await sleep(self.clock, PERIOD.total_seconds() * self._shared.chance.uniform(0.9, 1.1))

    async def _sessions(self, courier: Courier) -> None:
        """Agents that take their time, and answer."""
        while True:
            await sleep(self.clock, self._shared.chance.uniform(0.2, 6))
            if self._tenure.acting:
                self._work()
                courier.offer()

    def _work(self) -> None:
        turns, inbox, outbox = Turns(self._database), Inbox(self._database), Outbox(self._database)
        now = self.clock.now()
        for record in turns.unfinished():
            with self._database.transaction():
                outbox.put(Reply(record.turn.key, "console", "owner", "Done."), now)
                turns.end(record.id, Outcome.DONE, now)
        for message in inbox.waiting():
            with self._database.transaction():
                outbox.put(Reply(message.id, "console", "owner", "Yes?"), now)
                inbox.settle(message, Fate.COMMAND)

    # The channel of its replies.

    platform = "console"
    coalesce = 0.0

    async def deliver(self, reply: Reply) -> bool:
        if not self.wire.is_gone:
            self._shared.delivered.add((reply.key, self.name))
        return not self.wire.is_gone


class _Starter:
    """Queues turns; the sessions of the machine find them there."""

    def __init__(self, turns: Turns, clock: Clock) -> None:
        self._turns, self._clock = turns, clock

    def start(self, turn: Turn) -> None:
        self._turns.add(turn, self._clock.now())

    async def cancel(self, key: str, outcome: Outcome) -> None:
        raise AssertionError(f"no job replaces its runs: {key}, {outcome}")

    def unfinished(self, conversation: str) -> int:
        return len(self._turns.unfinished(conversation))


async def _over(task: "asyncio.Task[None]") -> None:
    await asyncio.wait({task})


async def _set(event: asyncio.Event) -> None:
    await event.wait()
