"""Schedules that pass from one engine to the next: no slot twice, none forgotten."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from components.cron.world import START, World, job
from support.run import asynchronous
from vaultloop.components.cron.component import CronComponent
from vaultloop.components.cron.kind import ReminderSpec
from vaultloop.components.cron.timekeeper import OTHERS
from vaultloop.model.change import Action, Change
from vaultloop.model.conversation import Outcome
from vaultloop.model.handover import Handover
from vaultloop.model.resource import Ref, Resource, Source

MINUTE = timedelta(minutes=1)


@asynccontextmanager
async def engine(
    world: World,
    *jobs: Resource[Any],
    told: Handover | None = None,
    acting: Callable[[], bool] = lambda: True,
) -> AsyncIterator[CronComponent]:
    """An engine that was told `told` by the one before."""
    crons = CronComponent(
        slots=world.slots,
        turns=world.sessions,
        clock=world.clock,
        acting=acting,
        starts_from=lambda: told,
    )
    async with crons:
        for each in jobs:
            await crons.apply(Change(Action.CREATE, None, each))
        crons.begin()
        await world.clock.advance(0)
        yield crons


def entries(world: World, uid: str = "u1") -> dict[str, Outcome | None]:
    return {past.slot: past.outcome for past in world.slots.past(uid)}


@asynchronous
async def test_an_engine_without_records_begins_where_the_other_left_off(world: World) -> None:
    # It is 6:30; the other one has settled everything up to 5:50.
    async with engine(world, job(), told=Handover(START - 40 * MINUTE)):
        assert entries(world) == {"2026-11-22T06:00Z": None}


@asynchronous
async def test_what_the_other_has_settled_is_left_to_it_and_has_an_entry_that_says_so(world: World) -> None:
    async with world.engine(job()):
        await world.clock.advance_to(START + 31 * MINUTE)
        world.sessions.end_all()
    await world.clock.advance_to(START + 151 * MINUTE)
    async with engine(world, job(), told=Handover(START + 95 * MINUTE)):
        found = entries(world)
    assert found == {
        "2026-11-22T07:00Z": Outcome.DONE,
        "2026-11-22T08:00Z": Outcome.SKIPPED,
        "2026-11-22T09:00Z": None,
    }
    entry = world.slots.entry("u1", "2026-11-22T08:00Z")
    assert entry is not None
    assert entry.detail == OTHERS


@asynchronous
async def test_a_slot_that_the_other_ran_by_a_faster_clock_does_not_come_due_again(world: World) -> None:
    await world.clock.advance_to(START + 30 * MINUTE - timedelta(seconds=3))
    async with engine(world, job(), told=Handover(START + 30 * MINUTE + timedelta(seconds=1))):
        await world.clock.advance(120)
        assert entries(world) == {"2026-11-22T07:00Z": Outcome.SKIPPED}
        await world.clock.advance(3600)
        assert entries(world)["2026-11-22T08:00Z"] is None


@asynchronous
async def test_what_was_due_and_had_not_started_is_owed_by_its_name(world: World) -> None:
    spread = job(schedule="*/20 * * * *", jitter="30m")
    async with engine(world, spread) as crons:
        # Due at 6:40, and by its share of the jitter some minutes later.
        slot = START + 10 * MINUTE
        await world.clock.advance_to(slot + timedelta(seconds=1))
        told = crons.handover()
    assert told == Handover(slot + timedelta(seconds=1), {"cron/digest": START})
    # Another engine knows the job by another uid.
    async with engine(world, job(uid="u2", schedule="*/20 * * * *", jitter="30m"), told=told):
        await world.clock.advance_to(slot + 30 * MINUTE)
        assert entries(world, "u2")["2026-11-22T06:40Z"] is None


@asynchronous
async def test_a_job_that_is_new_after_the_start_counts_from_now(world: World) -> None:
    async with engine(world, told=Handover(START - 2 * 60 * MINUTE)) as crons:
        await crons.apply(Change(Action.CREATE, None, job()))
        await world.clock.advance(60)
        assert entries(world) == {}


@asynchronous
async def test_nothing_starts_while_another_engine_may_act_and_it_is_made_up_for_afterwards(
    world: World,
) -> None:
    may = [True]
    async with engine(world, job(), acting=lambda: may[0]) as crons:
        may[0] = False
        await world.clock.advance_to(START + 40 * MINUTE)
        assert entries(world) == {}
        may[0] = True
        crons.look_again()
        await world.clock.advance(0)
        assert entries(world) == {"2026-11-22T07:00Z": None}


@asynchronous
async def test_a_reminder_that_the_other_gave_is_not_given_again(world: World) -> None:
    spec = ReminderSpec.model_validate({"at": "2026-11-22T06:20", "body": "Water the plants."})
    reminder = Resource(Ref("reminder", "water"), spec, Source("agent/water.md", "b1"), "r1")
    async with engine(world, reminder, told=Handover(START - 5 * MINUTE)):
        assert entries(world, "reminder/r1") == {"2026-11-22T06:20": Outcome.SKIPPED}
