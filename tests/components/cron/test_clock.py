"""Clocks that jump, stand still and go back while an engine runs, and jobs that start late on purpose."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from support.run import asynchronous
from support.timekeeping import RecordedTurns, WallClock
from vaultloop.components.cron.backlog import MOST_LISTED
from vaultloop.components.cron.component import CronComponent
from vaultloop.components.cron.kind import CronSpec
from vaultloop.model.change import Action, Change
from vaultloop.model.conversation import Outcome
from vaultloop.model.resource import Ref, Resource, Source
from vaultloop.state.database import Database
from vaultloop.state.slots import SlotStore

START = datetime(2026, 11, 22, 6, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)

HOURLY = {"schedule": "0 * * * *", "overlap": "queue"}


class Desk:
    """A running component, its clock and its records."""

    def __init__(self, database: Database, fields: dict[str, str]) -> None:
        self.clock = WallClock(START)
        self.turns = RecordedTurns(database, self.clock)
        self.slots = SlotStore(database, self.clock)
        self.fields = fields
        self.component = CronComponent(slots=self.slots, turns=self.turns, clock=self.clock)

    async def begin(self, uid: str = "u1", **fields: str) -> None:
        spec = CronSpec.model_validate({"scope": "owner", "body": "Do it.", **self.fields, **fields})
        job = Resource(Ref("cron", uid), spec, Source(f"agent/crons/{uid}.md", "b"), uid)
        await self.component.apply(Change(Action.CREATE, None, job))

    async def until(self, when: datetime) -> None:
        await self.clock.advance_to(when)

    @property
    def started(self) -> dict[str, datetime]:
        """When the turn of each slot was made, in the order of their making."""
        records = reversed(self.turns.turns.recent(1_000_000))
        return {record.turn.key.removeprefix("cron/u1/"): record.created_at for record in records}

    @property
    def entries(self) -> dict[str, Outcome | None]:
        return {past.slot: past.outcome for past in reversed(self.slots.past("u1", 1_000_000))}


@asynccontextmanager
async def desk(path: Path, **fields: str) -> AsyncIterator[Desk]:
    with Database(path / "db") as database:
        made = Desk(database, fields)
        async with made.component:
            await made.begin()
            yield made


def hour(number: int) -> str:
    return f"2026-11-22T{number:02}:00Z"


@pytest.mark.parametrize(("jitter", "most"), [("30s", MINUTE / 2), ("59m", 59 * MINUTE), ("5h", 5 * HOUR)])
@asynchronous
async def test_jitter_moves_every_slot_by_the_same_time_and_keeps_order_and_names(
    tmp_path: Path, jitter: str, most: timedelta
) -> None:
    """Also where it is longer than the time between two slots."""
    async with desk(tmp_path, **HOURLY, jitter=jitter, **{"start-within": "10m"}) as at:
        await at.until(START + 12 * HOUR)
        assert list(at.started)[:6] == [hour(number) for number in range(7, 13)]
        delays = {when - datetime.fromisoformat(name) for name, when in at.started.items()}
        assert len(delays) == 1
        assert timedelta(0) <= delays.pop() <= most
        assert set(at.entries) == set(at.started)


@asynchronous
async def test_a_clock_that_is_set_back_while_the_engine_runs_starts_nothing_twice(tmp_path: Path) -> None:
    async with desk(tmp_path, **HOURLY) as at:
        await at.until(START + 3 * HOUR)  # 07:00, 08:00 and 09:00 have run
        at.clock.set_back(2 * HOUR)
        await at.until(START + 5 * HOUR)
        assert list(at.started) == [hour(number) for number in (7, 8, 9, 10, 11)]
        assert list(at.entries) == list(at.started)


@asynchronous
async def test_small_corrections_of_the_clock_around_a_slot_start_it_once(tmp_path: Path) -> None:
    async with desk(tmp_path, **HOURLY) as at:
        for _ in range(30):
            await at.clock.advance(89)
            at.clock.set_back(timedelta(seconds=60))
        await at.until(START + HOUR)
        assert list(at.started) == [hour(7)]


@asynchronous
async def test_a_laptop_that_wakes_runs_the_newest_slot_and_records_the_others(tmp_path: Path) -> None:
    async with desk(tmp_path, **HOURLY) as at:
        await at.clock.jump(4 * HOUR + 29 * MINUTE)  # 10:59
        assert list(at.entries.values()) == [Outcome.MISSED] * 3 + [None]
        assert list(at.started) == [hour(10)]


@asynchronous
async def test_after_a_time_off_turns_are_made_in_the_order_of_their_slots(tmp_path: Path) -> None:
    async with desk(tmp_path, schedule="0 9 * * *") as at:
        await at.begin("u2", schedule="0 8 * * *")
        await at.begin("u3", schedule="30 8 * * *")
        await at.clock.jump(3 * HOUR)
        made = [record.turn.key for record in reversed(at.turns.turns.recent())]
        assert [key.rpartition("T")[2] for key in made] == ["08:30", "09:00"]
        assert at.slots.past("u2")[0].outcome is Outcome.MISSED  # more than an hour late


@asynchronous
async def test_a_laptop_that_wakes_late_with_catch_up_skip_runs_none_of_them(tmp_path: Path) -> None:
    async with desk(tmp_path, **HOURLY, **{"catch-up": "skip"}) as at:
        await at.clock.jump(4 * HOUR)  # 10:30
        assert list(at.entries.values()) == [Outcome.MISSED] * 4
        await at.until(START + 5 * HOUR)
        assert list(at.started) == [hour(11)]


@asynchronous
async def test_a_clock_that_was_years_ahead_costs_few_rows_and_then_time_goes_on(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path, schedule="* * * * *", overlap="queue") as at:
        await at.until(START + HOUR)
        await at.clock.jump(timedelta(days=4000))
        assert len(at.entries) <= 60 + MOST_LISTED + 1
        at.clock.set_back(timedelta(days=4000))
        await at.until(START + 2 * HOUR)
        since = [name for name in at.started if "2026-11-22T08" in name]
        assert since == [f"2026-11-22T08:{minute:02}Z" for minute in range(31)]
