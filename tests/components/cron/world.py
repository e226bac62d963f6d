"""What the tests of schedules stand on: virtual time, real records, turns without an end."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from vaultloop.aio.clock import VirtualClock
from vaultloop.components.cron.component import CronComponent
from vaultloop.components.cron.kind import CronSpec
from vaultloop.model.change import Action, Change
from vaultloop.model.conversation import OWNER, Message, Outcome, Turn
from vaultloop.model.errors import Denied
from vaultloop.model.policy import Audience, Policy
from vaultloop.model.resource import Ref, Resource, Source
from vaultloop.state.database import Database
from vaultloop.state.slots import SlotStore
from vaultloop.state.turns import Turns

START = datetime(2026, 11, 22, 6, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Sessions:
    """A turn starter whose turns last until the test ends them; real records, no agent."""

    def __init__(self, database: Database, clock: VirtualClock) -> None:
        self.turns = Turns(database)
        self._clock = clock
        self.started: list[str] = []

    def start(self, turn: Turn) -> None:
        self.turns.add(turn, self._clock.now())
        self.started.append(turn.key)

    async def cancel(self, key: str, outcome: Outcome) -> None:
        record = self.turns.by_key(key)
        if record is not None:
            self.turns.end(record.id, outcome, self._clock.now())

    def unfinished(self, conversation: str) -> int:
        return len(self.turns.unfinished(conversation))

    def end_all(self) -> None:
        for record in self.turns.unfinished():
            self.turns.end(record.id, Outcome.DONE, self._clock.now())


class Guard:
    """Knows one scope with two chats."""

    def admit(self, message: Message) -> Policy:
        raise Denied(f"nobody speaks here, not even {message.person}")

    def policy(self, scope: str) -> Policy:
        if scope != "family":
            raise Denied(f"There is no scope {scope}.")
        return Policy(scope, Audience.GROUP, chats=("-100", "-200"))

    def is_owners(self, chat: str) -> bool:
        return chat == OWNER


class World:
    """What outlives the engine: the database and time."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = VirtualClock(START)
        self.slots = SlotStore(database, self.clock)
        self.sessions = Sessions(database, self.clock)
        self.rung = 0

    def _rung(self) -> None:
        self.rung += 1

    @asynccontextmanager
    async def engine(self, *jobs: Resource[Any]) -> AsyncIterator[CronComponent]:
        """An engine that runs, with `jobs` applied as after a start."""
        component = CronComponent(
            slots=self.slots,
            turns=self.sessions,
            clock=self.clock,
            guard=Guard(),
            on_owed=self._rung,
        )
        async with component:
            for job in jobs:
                await component.apply(Change(Action.CREATE, None, job))
            await self.clock.advance(0)
            yield component

    async def down_for(self, span: timedelta) -> None:
        self.sessions.end_all()
        await self.clock.advance_to(self.clock.now() + span)

    async def pass_time(self, span: timedelta) -> None:
        await self.clock.advance_to(self.clock.now() + span)

    def entries(self, uid: str = "u1") -> dict[str, Outcome | None]:
        """Each slot with an entry, oldest first; None while its turn is unfinished."""
        return {past.slot: past.outcome for past in reversed(self.slots.past(uid, 100_000))}


def job(name: str = "digest", uid: str = "u1", **fields: Any) -> Resource[CronSpec]:
    spec = CronSpec.model_validate({"schedule": "0 * * * *", "scope": "owner", "body": "Do it.", **fields})
    return Resource(Ref("cron", name), spec, Source(f"agent/crons/{name}.md", "b1"), uid)


def update(old: Resource[Any], new: Resource[Any]) -> Change[Any]:
    return Change(Action.UPDATE, old, new)
