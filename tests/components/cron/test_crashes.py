"""Tens of thousands of slots in virtual time, while the engine dies and comes back again and again.

A death is a database that fails at one of its steps and then does nothing any more: whatever the engine still
tries, no record of it remains, as after kill -9. Clocks are changed meanwhile, by governments and by hand.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest

from support import zones
from support.timekeeping import RecordedTurns, WallClock
from vaultloop.components.cron.component import CronComponent
from vaultloop.components.cron.kind import CronSpec
from vaultloop.components.cron.schedule import Schedule, Slot
from vaultloop.model.change import Action, Change
from vaultloop.model.conversation import Outcome
from vaultloop.model.resource import Ref, Resource, Source
from vaultloop.state.database import Database
from vaultloop.state.slots import SlotStore

MINUTE = timedelta(minutes=1)
DAYS = timedelta(days=2)
LONGEST_SET_BACK = timedelta(hours=3)
# Until then, after the latest that the clock has shown, everything is settled, jitter included.
LAST_HOURS = timedelta(hours=1)

# Zone and the first of two days, with a change of the clock in the second.
PLACES = (
    ("Europe/Berlin", datetime(2026, 3, 28, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2026, 10, 24, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 3, 14, tzinfo=UTC)),
    ("America/Santiago", datetime(2026, 9, 5, tzinfo=UTC)),
    ("Antarctica/Troll", datetime(2026, 10, 24, tzinfo=UTC)),
    ("UTC", datetime(2028, 2, 28, tzinfo=UTC)),
)

JOBS: dict[str, dict[str, str]] = {
    "minutes": {"schedule": "* * * * *", "overlap": "queue"},
    "skip-once": {"schedule": "*/10 * * * *"},
    "skip-skip": {"schedule": "*/10 * * * *", "catch-up": "skip"},
    "queue-once": {"schedule": "3-59/10 * * * *", "overlap": "queue"},
    "queue-skip": {"schedule": "3-59/10 * * * *", "overlap": "queue", "catch-up": "skip"},
    "replace-once": {"schedule": "*/15 * * * *", "overlap": "replace", "start-within": "20m"},
    "replace-skip": {"schedule": "*/15 * * * *", "overlap": "replace", "catch-up": "skip"},
    "nightly": {"schedule": "0,20,40 0-4 * * *", "overlap": "queue"},
    "spread": {"schedule": "30 * * * *", "overlap": "queue", "jitter": "25m"},
    "late": {"schedule": "30 2 * * *", "start-within": "12h"},
}


class Died(Exception):
    """The process is gone."""


class MortalDatabase(Database):
    """The real database, until one of its steps is the last."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        # What is proven is the order of steps: the machine itself does not fail here.
        self._connection.execute("PRAGMA synchronous = OFF")
        self.steps_left: int | None = None

    @property
    def is_dead(self) -> bool:
        return self.steps_left == 0

    def _step(self) -> None:
        if self.steps_left:
            self.steps_left -= 1
        if self.is_dead:
            raise Died

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        if self._connection.in_transaction:
            with super().transaction() as change:
                yield change
            return
        self._step()
        with super().transaction() as change:
            yield change
            self._step()  # what was not committed is lost
        self._step()  # committed, and nobody heard of it


def job(uid: str, zone: str) -> Resource[CronSpec]:
    fields = {"scope": "owner", "body": "Do it.", "timezone": zone, **JOBS[uid]}
    return Resource(
        Ref("cron", uid), CronSpec.model_validate(fields), Source(f"agent/crons/{uid}.md", "b"), uid
    )


class Life:
    """An engine that is started again whenever it died, over two days."""

    def __init__(self, database: MortalDatabase, zone: str, start: datetime, seed: int) -> None:
        self.database = database
        self.start = start
        self.end = start + DAYS
        self.clock = WallClock(start)
        self.sessions = RecordedTurns(database, self.clock)
        self.slots = SlotStore(database, self.clock)
        self.jobs = [job(uid, zone) for uid in JOBS]
        self.chance = random.Random(seed)
        self.deaths = 0

    async def run(self) -> None:
        await self._engine(steps=None, rounds=1)
        while self.clock.now() < self.end:
            await self._engine(steps=self.chance.randrange(1, 400), rounds=self.chance.randrange(1, 30))
            await self._away()
        end = max(self.clock.now(), self.clock.latest) + LAST_HOURS
        while self.clock.now() < end:
            await self._engine(steps=None, rounds=10)

    async def _engine(self, *, steps: int | None, rounds: int) -> None:
        """One process: so many rounds, or until its last step."""
        self.database.steps_left = steps
        try:
            component = CronComponent(slots=self.slots, turns=self.sessions, clock=self.clock)
            async with component:
                for each in self.jobs:
                    await component.apply(Change(Action.CREATE, None, each))
                for _ in range(rounds):
                    await self.clock.advance_to(self.clock.now() + self.chance.randrange(1, 15) * MINUTE)
                    self.sessions.end(self.chance, 0.7)
                    if steps is not None and self.chance.random() < 0.02:
                        self.clock.set_back(self.chance.random() * LONGEST_SET_BACK)
        except Died:
            self.deaths += 1

    async def _away(self) -> None:
        """Nobody looks: minutes, sometimes most of a day; sometimes the clock is set back meanwhile."""
        self.database.steps_left = None
        minutes = self.chance.choice([0, 0, 1, 20, 120, self.chance.randrange(1400)])
        await self.clock.advance_to(self.clock.now() + minutes * MINUTE)
        if self.chance.random() < 0.1:
            self.clock.set_back(self.chance.random() * LONGEST_SET_BACK)

    def due(self, resource: Resource[CronSpec], until: datetime) -> list[Slot]:
        slots = Schedule.parse(resource.spec.schedule).slots(self.start, zones.zone(resource.spec.timezone))
        return list(takewhile(lambda slot: slot.at <= until, slots))

    def outcomes(self, resource: Resource[CronSpec], due: list[Slot]) -> Counter[str]:
        """How many outcomes each slot has on record; a run stands for those without an entry of their own."""
        entries = {past.slot: past.outcome for past in self.slots.past(resource.uid, 1_000_000)}
        assert None not in entries.values()
        single = {name for name in entries if ".." not in name}
        names = [slot.name for slot in due]
        counted = Counter(single)
        in_runs = {
            name
            for run in entries.keys() - single
            for name in names[names.index(run.split("..")[0]) : names.index(run.split("..")[1])]
        }
        counted.update(in_runs - single)
        return counted


async def verify(path: Path, place: tuple[str, datetime], seed: int) -> int:
    """Live two days and compare the record with the calendar; how many slots there were."""
    zone, start = place
    with MortalDatabase(path) as database:
        life = Life(database, zone, start, seed)
        await life.run()
        now = life.clock.now()
        for record in life.sessions.turns.unfinished():
            life.sessions.turns.end(record.id, Outcome.DONE, now)
        said = f"seed {seed}, {zone}, {start:%Y-%m-%d}"
        assert life.deaths >= 5, said
        total = 0
        for resource in life.jobs:
            due = life.due(resource, now)
            counted = life.outcomes(resource, due)
            wrong = {slot.name: counted[slot.name] for slot in due if counted[slot.name] != 1}
            # What is delayed by jitter is not yet due at the end.
            late = [name for name in wrong if name < f"{now - LAST_HOURS:%Y-%m-%dT%H:%M}"]
            assert late == [], (said, resource.uid, wrong)
            assert counted.keys() <= {slot.name for slot in due}, (said, resource.uid)
            total += len(due)
        turns = life.sessions.turns.recent(1_000_000)
        answered = {past.session for each in life.jobs for past in life.slots.past(each.uid, 1_000_000)}
        assert {turn.id for turn in turns} == answered - {None}, said
        return total


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Each death is in the log many times over."""
    caplog.set_level(logging.CRITICAL)


each_place = pytest.mark.parametrize("place", PLACES, ids=lambda place: f"{place[0]} {place[1]:%Y-%m-%d}")


@each_place
def test_whenever_it_dies_each_slot_has_exactly_one_outcome(
    tmp_path: Path, place: tuple[str, datetime]
) -> None:
    assert asyncio.run(verify(tmp_path / "db", place, seed=PLACES.index(place))) > 4_000


@pytest.mark.soak
@each_place
@pytest.mark.parametrize("seed", range(100, 130))
def test_in_thirty_more_lives_each_slot_has_exactly_one_outcome(
    tmp_path: Path, place: tuple[str, datetime], seed: int
) -> None:
    assert asyncio.run(verify(tmp_path / "db", place, seed)) > 4_000
