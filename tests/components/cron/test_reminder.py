"""Reminders in virtual time: once, never lost, and late rather than never."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from components.cron.world import HOUR, START, World, job, update
from support.run import asynchronous
from vaultloop.aio.clock import VirtualClock
from vaultloop.components.cron.kind import ReminderSpec
from vaultloop.model.change import Action, Change
from vaultloop.model.conversation import Outcome, Reply, SendWhen, Trigger, Turn
from vaultloop.model.errors import VaultloopError
from vaultloop.model.resource import Ref, Resource, Source
from vaultloop.state.outbox import Outbox
from vaultloop.state.slots import SlotStore

MINUTE = timedelta(minutes=1)
AT = "2026-11-22 09:00"
SLOT = "2026-11-22T09:00"


def reminder(name: str = "water", uid: str = "r1", **fields: Any) -> Resource[ReminderSpec]:
    spec = ReminderSpec.model_validate({"at": AT, "body": "Water the plants.", **fields})
    return Resource(Ref("reminder", name), spec, Source(f"agent/reminders/{name}.md", "b1"), uid)


def said(world: World) -> list[tuple[str, str]]:
    """Chat and text of every reply that was ever owed, in their order."""
    return [(row["chat"], row["text"]) for row in world.database.rows("SELECT * FROM outbox ORDER BY number")]


@asynchronous
async def test_the_text_itself_is_sent_at_its_time_and_nothing_runs(world: World) -> None:
    async with world.engine(reminder()):
        await world.clock.advance_to(START + 2 * HOUR + 29 * MINUTE)
        assert said(world) == []
        await world.pass_time(MINUTE)
    assert said(world) == [("owner", "Water the plants.")]
    assert world.entries("reminder/r1") == {SLOT: Outcome.DONE}
    assert world.sessions.started == []
    assert world.rung == 1


@asynchronous
async def test_with_a_scope_the_text_is_the_prompt_of_one_run(world: World) -> None:
    async with world.engine(reminder(scope="family", timezone="Europe/Berlin", **{"send-to": "[[family]]"})):
        await world.pass_time(24 * HOUR)
    (record,) = world.sessions.turns.recent()
    assert record.turn == Turn(
        id=record.id,
        key=f"reminder/r1/{SLOT}",
        conversation="reminder/r1",
        scope="family",
        trigger=Trigger("reminder", "water"),
        prompt="Water the plants.",
        recipients=(("console", "-100"), ("console", "-200")),
        send_when=SendWhen.ALWAYS,
        timezone="Europe/Berlin",
    )
    assert record.created_at == datetime(2026, 11, 22, 8, tzinfo=UTC)
    assert said(world) == []


@asynchronous
async def test_everybody_it_is_for_hears_it_once(world: World) -> None:
    async with world.engine(reminder(send_to=("owner", "[[family]]", "-100"))):
        await world.pass_time(3 * HOUR)
    assert [chat for chat, _ in said(world)] == ["owner", "-100", "-200"]


@asynchronous
async def test_it_fires_once_ever_also_over_restarts_and_a_clock_that_is_set_back(world: World) -> None:
    for _ in range(2):
        async with world.engine(reminder()):
            await world.pass_time(3 * HOUR)
    world.clock = VirtualClock(START)
    async with world.engine(reminder()):
        await world.pass_time(48 * HOUR)
    assert len(said(world)) == 1
    assert world.entries("reminder/r1") == {SLOT: Outcome.DONE}


@asynchronous
async def test_one_that_was_known_in_time_comes_late_however_late_and_says_so(world: World) -> None:
    async with world.engine(reminder(), reminder("run", "r2", scope="owner")):
        pass
    await world.down_for(24 * 40 * HOUR)
    async with world.engine(reminder(), reminder("run", "r2", scope="owner")):
        await world.pass_time(MINUTE)
    late = "(This comes late: it was for 2026-11-22 09:00, UTC.)\n\nWater the plants."
    assert said(world) == [("owner", late)]
    assert world.sessions.turns.recent()[0].turn.prompt == late
    assert world.entries("reminder/r1") == {SLOT: Outcome.DONE}


@asynchronous
async def test_a_few_minutes_are_not_late(world: World) -> None:
    async with world.engine(reminder()):
        pass
    await world.down_for(2 * HOUR + 34 * MINUTE)
    async with world.engine(reminder()):
        pass
    assert said(world) == [("owner", "Water the plants.")]


@pytest.mark.parametrize(
    ("passed", "outcome"), [(59 * MINUTE, Outcome.DONE), (HOUR + MINUTE, Outcome.MISSED)]
)
@asynchronous
async def test_one_that_is_first_seen_after_its_time_fires_within_the_hour_and_is_missed_later(
    world: World, passed: timedelta, outcome: Outcome
) -> None:
    await world.down_for(2 * HOUR + 30 * MINUTE + passed)
    async with world.engine(reminder()):
        await world.pass_time(24 * HOUR)
    assert world.entries("reminder/r1") == {SLOT: outcome}
    assert len(said(world)) == (outcome is Outcome.DONE)
    if outcome is Outcome.MISSED:
        (past,) = world.slots.past("reminder/r1")
        assert past.detail == "Its note asked for it only more than an hour after its time."


@asynchronous
async def test_another_time_is_another_slot_and_another_text_is_not(world: World) -> None:
    first, reworded = reminder(), reminder(body="Water the roses.")
    moved = reminder(at="2026-11-22 11:00", body="Water the roses.")
    async with world.engine(first) as component:
        await world.pass_time(3 * HOUR)
        await component.apply(update(first, reworded))
        await world.pass_time(HOUR)
        assert said(world) == [("owner", "Water the plants.")]
        await component.apply(update(reworded, moved))
        await world.pass_time(HOUR)
    assert world.entries("reminder/r1") == {SLOT: Outcome.DONE, "2026-11-22T11:00": Outcome.DONE}
    assert said(world)[1:] == [("owner", "Water the roses.")]


@asynchronous
async def test_a_time_that_is_moved_back_to_one_that_was_given_gives_it_no_more(world: World) -> None:
    first, moved = reminder(), reminder(at="2026-11-22 11:00")
    async with world.engine(first) as component:
        await world.pass_time(3 * HOUR)
        await component.apply(update(first, moved))
        await component.apply(update(moved, first))
        await world.pass_time(24 * HOUR)
    assert world.entries("reminder/r1") == {SLOT: Outcome.DONE}


@asynchronous
async def test_a_paused_one_does_not_fire_and_one_that_is_resumed_in_time_does(world: World) -> None:
    paused, awake = reminder(paused=True), reminder()
    async with world.engine(paused, reminder("other", "r2", paused=True)) as component:
        await world.pass_time(2 * HOUR)
        await component.apply(update(paused, awake))
        await world.pass_time(24 * HOUR)
        assert Ref("reminder", "other") in component.observe()
    assert world.entries("reminder/r1") == {SLOT: Outcome.DONE}
    assert world.entries("reminder/r2") == {SLOT: Outcome.MISSED}
    assert len(said(world)) == 1


@asynchronous
async def test_it_stays_observed_after_it_fired_so_that_the_plan_stays_empty(world: World) -> None:
    note = reminder()
    async with world.engine(note) as component:
        await world.pass_time(24 * HOUR)
        assert component.observe() == {note.ref: note}


@asynchronous
async def test_a_deleted_one_is_not_given(world: World) -> None:
    note = reminder()
    async with world.engine(note) as component:
        await component.apply(Change(Action.DELETE, note, None))
        await world.pass_time(24 * HOUR)
    assert (world.entries("reminder/r1"), said(world)) == ({}, [])


@pytest.mark.parametrize(
    ("at", "zone", "instant", "slot"),
    [
        # Twice on the clock: the first one.
        ("2026-10-25 02:30", "Europe/Berlin", "2026-10-25T00:30+00:00", "2026-10-25T02:30"),
        # Never on the clock: the end of the gap.
        ("2026-03-29 02:30", "Europe/Berlin", "2026-03-29T01:00+00:00", "2026-03-29T02:30"),
        ("2028-02-29 09:00", "Asia/Kathmandu", "2028-02-29T03:15+00:00", "2028-02-29T09:00"),
        ("2026-12-31 23:59", "America/New_York", "2027-01-01T04:59+00:00", "2026-12-31T23:59"),
        # With an offset of its own there is only one such moment.
        ("2026-10-25 02:30+01:00", "Europe/Berlin", "2026-10-25T01:30+00:00", "2026-10-25T02:30+01:00"),
    ],
)
@asynchronous
async def test_its_time_is_that_of_its_own_clock_and_comes_once(
    world: World, at: str, zone: str, instant: str, slot: str
) -> None:
    due = datetime.fromisoformat(instant)
    world.clock = VirtualClock(due - 5 * HOUR)
    async with world.engine(reminder(at=at, timezone=zone)):
        await world.clock.advance_to(due - MINUTE)
        assert said(world) == []
        await world.clock.advance_to(due)
        assert len(said(world)) == 1
        await world.pass_time(48 * HOUR)
    assert world.entries("reminder/r1") == {slot: Outcome.DONE}
    assert len(said(world)) == 1


@asynchronous
async def test_one_for_a_revoked_scope_is_refused_on_the_record(world: World) -> None:
    async with world.engine(reminder(**{"send-to": "[[gone]]"})):
        await world.pass_time(3 * HOUR)
    (past,) = world.slots.past("reminder/r1")
    assert (past.outcome, past.detail) == (Outcome.REFUSED, "Nobody is there to hear it.")


class DyingOutbox(SlotStore):
    """The engine dies after a reminder's entry and before its reply, once."""

    alive = False

    def tell(self, job: str, slot: str, replies: Any) -> bool:
        if self.alive:
            return super().tell(job, slot, replies)
        self.alive = True

        def dying() -> Any:
            yield Reply("reminder/first", "console", "owner", "half")
            raise OSError("the disk is full")

        return super().tell(job, slot, dying())


@asynchronous
async def test_entry_and_replies_are_written_together_or_not_at_all(world: World) -> None:
    world.slots = DyingOutbox(world.database, world.clock)
    async with world.engine(reminder()):
        await world.clock.advance_to(START + 2 * HOUR + 30 * MINUTE)
        assert (world.entries("reminder/r1"), said(world)) == ({}, [])
        await world.pass_time(MINUTE)
    assert said(world) == [("owner", "Water the plants.")]
    assert Outbox(world.database).waiting() == [("console", "owner")]


@asynchronous
async def test_it_is_not_run_by_hand(world: World) -> None:
    async with world.engine(reminder(), reminder("run", "r2", scope="owner")) as component:
        for name in ("water", "run"):
            with pytest.raises(VaultloopError, match=f"{name} is a reminder: it comes once, by itself"):
                component.run_now(name)


def test_a_reminder_without_words_without_ears_or_in_another_age_is_told() -> None:
    def codes(**fields: Any) -> list[str]:
        return [finding.code for finding in reminder(**fields).spec.findings()]

    assert codes() == []
    assert codes(body="") == ["empty-body"]
    assert codes(**{"send-to": []}) == ["nobody"]
    assert codes(scope="owner", **{"send-to": []}) == []
    assert codes(at="0001-01-01 09:00") == codes(at="9999-12-31 09:00") == ["impossible-date"]
    assert codes(body="Since {{last-run}}?") == ["unknown-placeholder"]
    assert codes(body="Since {{last-run}}?", scope="owner") == []


@asynchronous
async def test_one_that_is_resumed_after_its_time_is_missed_and_says_that_it_was_paused(world: World) -> None:
    paused, awake = reminder(paused=True), reminder()
    async with world.engine(paused) as component:
        await world.pass_time(2 * HOUR + 40 * MINUTE)
        await component.apply(update(paused, awake))
        await world.pass_time(24 * HOUR)
    (past,) = world.slots.past("reminder/r1")
    assert (past.outcome, past.detail) == (Outcome.MISSED, "It was paused when its time had come.")
    assert said(world) == []


@asynchronous
async def test_one_with_an_offset_comes_once_however_the_zone_of_its_note_changes(world: World) -> None:
    first = reminder(at="2026-11-22 09:00+01:00")
    moved = reminder(at="2026-11-22 09:00+01:00", timezone="Europe/Berlin")
    async with world.engine(first) as component:
        await world.pass_time(2 * HOUR)
        await component.apply(update(first, moved))
        await world.pass_time(24 * HOUR)
    assert world.entries("reminder/r1") == {f"{SLOT}+01:00": Outcome.DONE}
    assert said(world) == [("owner", "Water the plants.")]


@asynchronous
async def test_a_zone_in_which_its_time_is_the_same_does_not_make_it_forget_that_it_was_known(
    world: World,
) -> None:
    async with world.engine(reminder()):
        pass
    await world.down_for(24 * HOUR)
    async with world.engine(reminder(timezone="Europe/London")):
        await world.pass_time(MINUTE)
    late = "(This comes late: it was for 2026-11-22 09:00, Europe/London.)\n\nWater the plants."
    assert said(world) == [("owner", late)]


@asynchronous
async def test_a_late_one_with_an_offset_names_its_time_as_it_is_written(world: World) -> None:
    offset = reminder(at="2026-11-22 09:00+01:00", timezone="America/New_York")
    async with world.engine(offset):
        pass
    await world.down_for(24 * HOUR)
    async with world.engine(offset):
        await world.pass_time(MINUTE)
    ((_, text),) = said(world)
    assert text.startswith("(This comes late: it was for 2026-11-22 09:00+01:00.)")


@asynchronous
async def test_one_that_shares_its_id_with_a_cron_shares_nothing_else(world: World) -> None:
    async with world.engine(job(uid="x", schedule="0 9 * * *"), reminder(uid="x")):
        await world.pass_time(3 * HOUR)
    assert world.sessions.started == [f"cron/x/{SLOT}"]
    assert said(world) == [("owner", "Water the plants.")]
