"""Schedules in virtual time, with the real record of slots and turns."""

import asyncio
import random
from datetime import UTC, datetime, timedelta

import pytest

from components.cron.world import HOUR, START, Sessions, World, job, update
from support.run import asynchronous
from vaultloop.aio.clock import VirtualClock
from vaultloop.model.change import Action, Change
from vaultloop.model.conversation import Outcome, SendWhen, Trigger, Turn
from vaultloop.model.errors import VaultloopError
from vaultloop.state.database import Database
from vaultloop.state.slots import SlotStore


@asynchronous
async def test_a_due_slot_becomes_a_turn_under_the_name_of_job_and_slot(world: World) -> None:
    async with world.engine(job(schedule="0 7 * * *", **{"send-to": "owner"})):
        await world.clock.advance_to(START + HOUR)
    (record,) = world.sessions.turns.recent()
    assert record.turn == Turn(
        id=record.id,
        key="cron/u1/2026-11-22T07:00",
        conversation="cron/u1",
        scope="owner",
        trigger=Trigger("cron", "digest"),
        prompt="Do it.",
        recipients=(("console", "owner"),),
        send_when=SendWhen.SOMETHING_TO_SAY,
    )
    assert record.id.startswith("20261122-070000-")


@asynchronous
async def test_the_timezone_decides_when_a_local_time_is(world: World) -> None:
    async with world.engine(job(schedule="0 8 * * *", timezone="Europe/Berlin")):
        await world.clock.advance_to(START + 20 * timedelta(minutes=1))
        assert world.sessions.started == []
        await world.clock.advance_to(START + 30 * timedelta(minutes=1))
        assert world.sessions.started == ["cron/u1/2026-11-22T08:00"]


@asynchronous
async def test_a_job_is_not_run_for_slots_from_before_it_was_first_applied(world: World) -> None:
    async with world.engine(job(schedule="0 6 * * *")):
        await world.pass_time(timedelta(minutes=10))
    assert world.entries() == {}


@asynchronous
async def test_after_a_time_off_the_newest_slot_runs_and_the_others_are_missed(world: World) -> None:
    async with world.engine(job()):
        await world.pass_time(HOUR)
    await world.down_for(3 * HOUR)
    async with world.engine(job()):
        await world.pass_time(timedelta(seconds=1))
        assert world.entries() == {
            "2026-11-22T07:00Z": Outcome.DONE,
            "2026-11-22T08:00Z": Outcome.MISSED,
            "2026-11-22T09:00Z": Outcome.MISSED,
            "2026-11-22T10:00Z": None,
        }


@asynchronous
async def test_a_slot_that_is_later_than_start_within_is_missed(world: World) -> None:
    short = job(**{"start-within": "20m"})
    async with world.engine(short):
        pass
    await world.down_for(HOUR)  # 07:30; the newest slot is half an hour old
    async with world.engine(short):
        await world.pass_time(timedelta(seconds=1))
    assert world.entries() == {"2026-11-22T07:00Z": Outcome.MISSED}


@asynchronous
async def test_catch_up_skip_runs_nothing_that_was_due_while_the_engine_was_away(world: World) -> None:
    skipping = job(**{"catch-up": "skip"})
    async with world.engine(skipping):
        pass
    await world.down_for(timedelta(minutes=30, seconds=10))  # ten seconds late for 07:00
    async with world.engine(skipping):
        await world.pass_time(HOUR)
    assert world.entries() == {"2026-11-22T07:00Z": Outcome.MISSED, "2026-11-22T08:00Z": None}


@asynchronous
async def test_years_away_are_accounted_for_by_a_run_of_missed_slots(world: World) -> None:
    often = job(schedule="* * * * *")
    async with world.engine(often):
        pass
    await world.down_for(timedelta(days=400))
    async with world.engine(often):
        await world.pass_time(timedelta(seconds=1))
    entries = world.entries()
    assert len(entries) <= 1001
    assert next(iter(entries)).startswith("2026-11-22T06:31Z..")
    assert len(world.sessions.started) == 1
    assert list(entries.values())[:-1] == [Outcome.MISSED] * (len(entries) - 1)


@asynchronous
async def test_overlap_skip_records_the_slot_and_starts_nothing(world: World) -> None:
    async with world.engine(job(overlap="skip")):
        await world.pass_time(2 * HOUR)
    assert world.entries() == {"2026-11-22T07:00Z": None, "2026-11-22T08:00Z": Outcome.SKIPPED}


@asynchronous
async def test_overlap_queue_lets_the_next_run_wait(world: World) -> None:
    async with world.engine(job(overlap="queue")):
        await world.pass_time(2 * HOUR)
    assert world.entries() == {"2026-11-22T07:00Z": None, "2026-11-22T08:00Z": None}
    assert world.sessions.unfinished("cron/u1") == 2


@asynchronous
async def test_overlap_replace_ends_the_running_one_first(world: World) -> None:
    async with world.engine(job(overlap="replace")):
        await world.pass_time(2 * HOUR)
    assert world.entries() == {"2026-11-22T07:00Z": Outcome.REPLACED, "2026-11-22T08:00Z": None}


@asynchronous
async def test_overlap_replace_after_a_crash_spares_the_slots_own_turn(world: World) -> None:
    replacing = job(overlap="replace")
    async with world.engine(replacing):
        await world.pass_time(HOUR)
    # As if the engine had been killed after it reserved the slot and before it took note of that.
    world.slots.consider("u1", START)
    async with world.engine(replacing):
        await world.pass_time(timedelta(seconds=1))
    assert world.entries() == {"2026-11-22T07:00Z": None}


class SlowSessions(Sessions):
    """Turns that take until the test lets them go to end."""

    def __init__(self, database: Database, clock: VirtualClock) -> None:
        super().__init__(database, clock)
        self.let_go = asyncio.Event()

    async def cancel(self, key: str, outcome: Outcome) -> None:
        await self.let_go.wait()
        await super().cancel(key, outcome)


@asynchronous
async def test_a_note_changed_while_the_last_run_ends_is_what_the_slot_runs(world: World) -> None:
    world.sessions = sessions = SlowSessions(world.database, world.clock)
    old = job(overlap="replace", **{"catch-up": "skip"})
    new = job(overlap="replace", body="Do it better.", **{"catch-up": "skip"})
    async with world.engine(old) as component:
        await world.clock.advance_to(
            START + HOUR + timedelta(minutes=30, seconds=10)
        )  # 08:00 waits for 07:00
        await component.apply(update(old, new))
        sessions.let_go.set()
        await world.pass_time(timedelta(seconds=1))
    assert world.entries() == {"2026-11-22T07:00Z": Outcome.REPLACED, "2026-11-22T08:00Z": None}
    assert world.sessions.turns.recent()[0].turn.prompt == "Do it better."


@asynchronous
async def test_a_job_that_waits_for_its_last_run_to_end_holds_up_no_other(world: World) -> None:
    world.sessions = sessions = SlowSessions(world.database, world.clock)
    async with world.engine(job("slow", "u1", overlap="replace"), job("other", "u2", overlap="queue")):
        await world.pass_time(4 * HOUR)
        hours = [f"2026-11-22T{hour:02}:00Z" for hour in (7, 8, 9, 10)]
        assert list(world.entries("u2")) == hours
        assert list(world.entries("u1")) == hours[:1]
        sessions.let_go.set()
        await world.pass_time(timedelta(seconds=1))
    assert list(world.entries("u1").values()) == [Outcome.REPLACED, Outcome.REPLACED, Outcome.MISSED, None]


@asynchronous
async def test_jitter_delays_each_slot_of_a_job_by_the_same_time(world: World) -> None:
    seen = []
    async with world.engine(job(jitter="10m", overlap="queue")):
        for _ in range(150):
            await world.pass_time(timedelta(minutes=1))
            seen.append(len(world.sessions.started))
    delays = [seen.index(count) % 60 - 29 for count in (1, 2)]
    assert delays[0] == delays[1]
    assert 0 <= delays[0] <= 10


@asynchronous
async def test_a_restart_within_a_repeated_hour_does_not_repeat_a_slot(world: World) -> None:
    nightly = job(schedule="30 2 * * *", timezone="Europe/Berlin")
    await world.clock.advance_to(datetime(2027, 10, 30, 22, tzinfo=UTC))
    async with world.engine(nightly):
        await world.clock.advance_to(datetime(2027, 10, 31, 0, 45, tzinfo=UTC))  # 02:45, the first time
    world.sessions.end_all()
    async with world.engine(nightly):
        await world.clock.advance_to(datetime(2027, 10, 31, 6, tzinfo=UTC))
    assert world.entries() == {"2027-10-31T02:30": Outcome.DONE}


@asynchronous
async def test_a_clock_that_is_set_back_fires_nothing_twice_and_goes_on(world: World) -> None:
    async with world.engine(job(overlap="queue")):
        await world.pass_time(2 * HOUR)  # 08:30
    world.clock = VirtualClock(START + HOUR)  # 07:30 again
    async with world.engine(job(overlap="queue")):
        await world.pass_time(2 * HOUR)
    assert list(world.entries()) == ["2026-11-22T07:00Z", "2026-11-22T08:00Z", "2026-11-22T09:00Z"]
    assert len(world.sessions.started) == 3


@asynchronous
async def test_a_rename_keeps_the_slots(world: World) -> None:
    old, new = job("digest"), job("report")
    async with world.engine(old) as component:
        await world.pass_time(HOUR)
        world.sessions.end_all()
        await component.apply(update(old, new))
        assert list(component.observe()) == [new.ref]
        await world.pass_time(HOUR)
    assert list(world.entries()) == ["2026-11-22T07:00Z", "2026-11-22T08:00Z"]
    assert world.sessions.turns.recent()[0].turn.trigger.name == "report"


@asynchronous
@pytest.mark.parametrize("change", [{"schedule": "15 * * * *"}, {"timezone": "Asia/Kolkata"}])
async def test_a_changed_timetable_counts_from_now_on_also_across_a_restart(
    world: World, change: dict[str, str]
) -> None:
    async with world.engine(job()):
        pass
    await world.down_for(3 * HOUR)
    async with world.engine(job(**change)):
        await world.pass_time(timedelta(seconds=1))
        assert world.entries() == {}
        await world.pass_time(HOUR)
        assert len(world.entries()) == 1


@asynchronous
async def test_a_paused_job_does_not_fire_and_does_not_catch_up_its_pause(world: World) -> None:
    awake, paused = job(), job(paused=True)
    async with world.engine(awake) as component:
        await component.apply(update(awake, paused))
        await world.pass_time(3 * HOUR)
        assert component.next_slots("digest", 3) == []
        assert list(component.observe()) == [paused.ref]
        await component.apply(update(paused, awake))
        await world.pass_time(timedelta(minutes=20))
        assert world.entries() == {}
        await world.pass_time(timedelta(minutes=20))
    assert world.entries() == {"2026-11-22T10:00Z": None}


@asynchronous
async def test_a_deleted_job_stops_and_does_not_catch_up_when_it_returns(world: World) -> None:
    hourly = job(id="u1")
    async with world.engine(hourly) as component:
        await component.apply(Change(Action.DELETE, hourly, None))
        assert component.observe() == {}
        await world.pass_time(2 * HOUR)
        await component.apply(Change(Action.CREATE, None, hourly))
        await world.pass_time(timedelta(minutes=10))
    assert world.entries() == {}


@asynchronous
async def test_applying_a_change_twice_is_applying_it_once(world: World) -> None:
    async with world.engine(job()) as component:
        await component.apply(Change(Action.CREATE, None, job()))
        await world.pass_time(HOUR)
        await component.apply(Change(Action.CREATE, None, job()))
        await world.pass_time(timedelta(minutes=1))
    assert world.sessions.started == ["cron/u1/2026-11-22T07:00Z"]


@asynchronous
async def test_answers_for_a_scope_go_to_its_chats_and_nowhere_once_it_is_revoked(world: World) -> None:
    crons = [job("a", "ua", **{"send-to": "[[family]]"}), job("b", "ub", **{"send-to": "[[gone]]"})]
    async with world.engine(*crons):
        await world.pass_time(HOUR)
    replies = {record.turn.trigger.name: record.turn.recipients for record in world.sessions.turns.recent()}
    assert replies == {"a": (("console", "-100"), ("console", "-200")), "b": ()}


@asynchronous
async def test_the_next_slots_are_told_by_the_jobs_own_clock(world: World) -> None:
    async with world.engine(job(schedule="0 8 * * *", timezone="Europe/Berlin")) as component:
        coming = component.next_slots("digest", 2, datetime(2026, 10, 24, 12, tzinfo=UTC))
        assert [at.isoformat() for at in coming] == ["2026-10-25T08:00:00+01:00", "2026-10-26T08:00:00+01:00"]
        with pytest.raises(VaultloopError, match="There are: digest"):
            component.next_slots("diggest", 2)


@asynchronous
async def test_a_run_by_hand_is_a_turn_beside_the_slots(world: World) -> None:
    async with world.engine(job(), job("off", "u2", paused=True)) as component:
        turn = component.run_now("digest")
        assert turn.key == "cron/u1/manual-20261122T063000.000000"
        assert turn.trigger == Trigger("run", "digest")
        with pytest.raises(VaultloopError, match=r"Remove `paused: true` from agent/crons/off\.md"):
            component.run_now("off")
    assert world.sessions.started == [turn.key]
    assert world.entries() == {}


class Broken(SlotStore):
    """Turns of one job cannot be written while the disk is full."""

    full = True

    def reserve(self, job: str, slot: str, turn: Turn) -> bool:
        if self.full and job == "bad":
            raise OSError("the disk is full")
        return super().reserve(job, slot, turn)


@asynchronous
async def test_a_job_whose_slot_cannot_be_recorded_hurts_no_other_and_is_tried_again(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.slots = slots = Broken(world.database, world.clock)
    async with world.engine(job("bad", "bad"), job("good", "good")):
        await world.pass_time(timedelta(minutes=30))
        assert world.sessions.started == ["cron/good/2026-11-22T07:00Z"]
        slots.full = False
        await world.pass_time(timedelta(minutes=1))
    assert "cron/bad/2026-11-22T07:00Z" in world.sessions.started
    assert "the slots of cron/bad could not be settled" in caplog.text


@pytest.mark.parametrize("seed", range(2))
@asynchronous
async def test_whenever_the_engine_stops_every_slot_has_exactly_one_entry(world: World, seed: int) -> None:
    """200 slots each of jobs of every policy; the engine stops and starts at random, the clock jumps."""
    chance = random.Random(seed)
    policies = [
        {"overlap": overlap, "catch-up": catch_up}
        for overlap in ("skip", "queue", "replace")
        for catch_up in ("once", "skip")
    ]
    jobs = [job(f"j{n}", f"u{n}", schedule="*/15 * * * *", **policy) for n, policy in enumerate(policies)]
    end = START + timedelta(minutes=15 * 200)
    while world.clock.now() < end:
        async with world.engine(*jobs):
            for _ in range(chance.randrange(1, 8)):
                await world.pass_time(timedelta(minutes=chance.randrange(1, 90)))
                if chance.random() < 0.7:
                    world.sessions.end_all()
        if chance.random() < 0.3:
            # As after kill -9: what was considered is known only up to an earlier time.
            for each in jobs:
                considered = world.slots.considered(each.uid)
                assert considered is not None
                world.slots.consider(each.uid, considered - timedelta(minutes=chance.randrange(60)))
        await world.pass_time(timedelta(minutes=chance.randrange(120)))
    async with world.engine(*jobs):
        await world.pass_time(timedelta(minutes=16))
    last = world.clock.now()
    expected = [START + timedelta(minutes=15 * n) for n in range(1, 300)]
    names = {f"{at:%Y-%m-%dT%H:%MZ}" for at in expected if at <= last}
    for each in jobs:
        assert set(world.entries(each.uid)) >= names
        assert len(world.slots.past(each.uid, 100_000)) == len(world.entries(each.uid))
    assert len(world.sessions.started) == len(set(world.sessions.started))
