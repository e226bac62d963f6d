"""What each policy of a schedule hands on to its turns; what decides about slots is in test_component."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from components.cron.world import HOUR, START, World, job, update
from support.run import asynchronous
from vaultloop.components.cron.job import jobs_of
from vaultloop.components.cron.kind import CronSpec
from vaultloop.model.change import Action, Change
from vaultloop.model.conversation import Limits, Outcome, SendWhen, Turn
from vaultloop.model.errors import Denied, Late, VaultloopError
from vaultloop.model.resource import Ref
from vaultloop.model.status import Confinement

MINUTE = timedelta(minutes=1)
FULL: dict[str, Any] = {
    "retries": "2",
    "stop-after": "5m",
    "budget-usd-per-run": "0.25",
    "send-to": ["owner", "[[family]]"],
    "send-when": "failure",
    "timezone": "Europe/Berlin",
}


async def turn_of(world: World, **fields: Any) -> Turn:
    """The turn of the first slot of a job."""
    async with world.engine(job(**fields)):
        await world.pass_time(HOUR)
    (record,) = world.sessions.turns.recent()
    return record.turn


@asynchronous
async def test_retries_stop_after_and_budget_are_the_limits_of_each_turn(world: World) -> None:
    turn = await turn_of(world, retries="2", **{"stop-after": "5m", "budget-usd-per-run": "0.25"})
    assert turn.limits == Limits(stop_after=5 * MINUTE, budget_usd=0.25, retries=2)


@asynchronous
async def test_the_mounts_of_a_schedule_are_those_of_each_turn(world: World) -> None:
    assert (await turn_of(world, mounts=["finance", "photos"])).limits.mounts == ("finance", "photos")


@asynchronous
async def test_without_limits_a_turn_has_only_those_of_its_scope(world: World) -> None:
    assert (await turn_of(world)).limits == Limits(stop_after=None, budget_usd=None, retries=0)


@asynchronous
async def test_a_run_that_waited_is_what_its_note_says_when_it_begins(world: World) -> None:
    before = job(retries="2")
    async with world.engine(before) as component:
        await world.pass_time(HOUR)
        (record,) = world.sessions.turns.unfinished()
        after = job(scope="family", body="Do less.", **{"send-to": "[[family]]"})
        await component.apply(update(before, after))
        now = component.renewed(record.turn, world.clock.now())
        assert (now.id, now.key, now.scope, now.prompt) == (record.id, record.turn.key, "family", "Do less.")
        assert now.recipients == (("console", "-100"), ("console", "-200"))
        assert now.limits.retries == 0


@pytest.mark.parametrize("change", ["paused", "deleted"])
@asynchronous
async def test_a_run_that_waited_does_not_begin_once_its_note_is_paused_or_gone(
    world: World, change: str
) -> None:
    before = job()
    async with world.engine(before) as component:
        await world.pass_time(HOUR)
        (record,) = world.sessions.turns.unfinished()
        if change == "paused":
            await component.apply(update(before, job(paused=True)))
        else:
            await component.apply(Change(Action.DELETE, before, None))
        with pytest.raises(Denied, match=change):
            component.renewed(record.turn, world.clock.now())


@asynchronous
async def test_a_run_that_waited_beyond_start_within_is_late_unless_it_was_started_by_hand(
    world: World,
) -> None:
    async with world.engine(job(**{"start-within": "10m"})) as component:
        await world.pass_time(HOUR)
        (record,) = world.sessions.turns.unfinished()
        since = world.clock.now()
        await world.pass_time(11 * MINUTE)
        with pytest.raises(Late, match="10m"):
            component.renewed(record.turn, since)
        by_hand = component.run_now("digest")
        assert component.renewed(by_hand, since) == by_hand


@pytest.mark.parametrize("when", ["something-to-say", "always", "failure"])
@asynchronous
async def test_send_when_is_handed_on(world: World, when: str) -> None:
    assert (await turn_of(world, **{"send-when": when})).send_when is SendWhen(when)


@asynchronous
async def test_unless_it_is_said_otherwise_a_schedule_speaks_when_it_has_something_to_say(
    world: World,
) -> None:
    assert (await turn_of(world)).send_when is SendWhen.SOMETHING_TO_SAY


@asynchronous
async def test_send_to_means_each_chat_once_and_of_a_scope_all_its_chats(world: World) -> None:
    turn = await turn_of(world, **{"send-to": ["owner", "-100 Family", "[[family]]", "42", "owner"]})
    assert turn.recipients == (
        ("console", "owner"),
        ("console", "-100"),
        ("console", "-200"),
        ("console", "42"),
    )


@asynchronous
async def test_without_send_to_nobody_hears_it(world: World) -> None:
    assert (await turn_of(world)).recipients == ()


@asynchronous
async def test_the_timezone_is_the_clock_in_which_the_prompt_is_told(world: World) -> None:
    assert (await turn_of(world, timezone="Asia/Kathmandu")).timezone == "Asia/Kathmandu"


@asynchronous
async def test_a_run_by_hand_has_the_same_policies(world: World) -> None:
    async with world.engine(job(**FULL)) as component:
        turn = component.run_now("digest")
    assert turn.limits == Limits(5 * MINUTE, 0.25, 2)
    assert turn.recipients == (("console", "owner"), ("console", "-100"), ("console", "-200"))
    assert (turn.send_when, turn.timezone) == (SendWhen.FAILURE, "Europe/Berlin")


@asynchronous
async def test_a_run_that_waits_for_its_next_try_has_not_ended_for_overlap_skip(world: World) -> None:
    async with world.engine(job(overlap="skip", retries="3")):
        await world.pass_time(HOUR)
        (record,) = world.sessions.turns.recent()
        turns, now = world.sessions.turns, world.clock.now()
        turns.begin(record.id, Confinement.FENCED, policy="p", base="b", view="v", now=now)
        turns.retry(record.id, "The API is overloaded.", now + 2 * HOUR)
        await world.pass_time(HOUR)
    assert world.entries() == {"2026-11-22T07:00Z": None, "2026-11-22T08:00Z": Outcome.SKIPPED}


def test_jitter_is_a_matter_of_the_job_alone_and_stays_below_what_the_note_allows() -> None:
    delays = {}
    for number in range(50):
        (first,), (again,) = (jobs_of(job(uid=f"u{number}", jitter="10m")) for _ in range(2))
        assert first.delay == again.delay
        delays[number] = first.delay
    assert len(set(delays.values())) > 40
    assert timedelta(0) <= min(delays.values()) < max(delays.values()) <= 10 * MINUTE
    assert max(delays.values()) > 5 * MINUTE


def test_a_job_keeps_its_share_of_the_jitter_when_its_note_is_renamed_or_edited() -> None:
    (old,) = jobs_of(job("digest", jitter="10m"))
    (new,) = jobs_of(job("report", jitter="10m", schedule="0 8 * * *", body="Do it better."))
    assert old.delay == new.delay


@asynchronous
async def test_jitter_is_no_delay_in_the_name_of_the_slot_nor_in_what_counts_as_late(world: World) -> None:
    late = job(jitter="30m", **{"start-within": "1m"})
    (declared,) = jobs_of(late)
    assert declared.delay > 2 * MINUTE
    async with world.engine(late):
        await world.pass_time(HOUR + 30 * MINUTE)
    assert next(iter(world.entries().items())) == ("2026-11-22T07:00Z", None)


@asynchronous
async def test_why_a_slot_was_left_out_is_recorded_with_it(world: World) -> None:
    async with world.engine(job("short", "short", **{"start-within": "20m"})):
        pass
    async with world.engine(job("skipping", "skipping", **{"catch-up": "skip"})):
        pass
    await world.down_for(2 * HOUR)  # 08:30
    short, skipping = (
        job("short", "short", **{"start-within": "20m"}),
        job("skipping", "skipping", **{"catch-up": "skip"}),
    )
    async with world.engine(short, skipping, job("busy", "busy", overlap="skip")):
        await world.pass_time(2 * HOUR)
    why = {uid: [past.detail for past in reversed(world.slots.past(uid))] for uid in ("short", "skipping")}
    assert why["short"][:2] == [
        "When it was looked at, 2026-11-22T08:00Z was due already.",
        "Nobody could start it within 20m of its time.",
    ]
    assert why["skipping"][1] == "It came due while no engine looked, and `catch-up: skip` leaves it out."
    assert [past.detail for past in world.slots.past("busy", 1)] == ["Its last run had not ended."]


@asynchronous
async def test_an_unknown_name_is_answered_with_the_one_that_was_meant(world: World) -> None:
    async with world.engine(job("digest"), job("weekly", "u2")) as component:
        with pytest.raises(VaultloopError, match=r"There are: digest, weekly\. Did you mean digest\?"):
            component.run_now("digset")
        with pytest.raises(VaultloopError, match=r"'xyz' is in force\. There are: digest, weekly\.$"):
            component.run_now("xyz")


def test_there_is_no_key_of_a_schedule_that_does_nothing() -> None:
    spec = CronSpec.model_validate(
        {"schedule": "@daily", "scope": "owner", "body": "x", "mounts": "photos", **FULL}
    )
    assert spec.not_enforced() == []


@asynchronous
async def test_a_job_under_a_new_uid_leaves_nothing_of_the_old_one_running(world: World) -> None:
    old, new = job("digest", "u1"), job("digest", "u2")
    async with world.engine(old) as component:
        await component.apply(update(old, new))
        assert component.observe() == {Ref("cron", "digest"): new}
        await world.clock.advance_to(START + HOUR)
    assert world.sessions.started == ["cron/u2/2026-11-22T07:00Z"]


@asynchronous
async def test_catch_up_skip_leaves_out_nothing_whose_jitter_ends_after_the_engine_came_back(
    world: World,
) -> None:
    late = job(schedule="0 7 * * *", jitter="30m", **{"catch-up": "skip"})
    (declared,) = jobs_of(late)
    assert declared.delay > 2 * MINUTE
    async with world.engine(late):
        pass
    await world.down_for(HOUR / 2 + MINUTE)  # 07:01, between slot and start
    async with world.engine(late):
        await world.pass_time(HOUR)
    assert world.entries() == {"2026-11-22T07:00": None}


@asynchronous
async def test_what_comes_next_is_when_it_starts_also_between_slot_and_start(world: World) -> None:
    late = job(schedule="0 7 * * *", jitter="30m")
    (declared,) = jobs_of(late)
    start = START + HOUR / 2 + declared.delay
    async with world.engine(late) as component:
        assert component.next_slots("digest", 1) == [start]
        assert component.next_slots("digest", 1, START + HOUR / 2 + MINUTE) == [start]
        assert component.next_slots("digest", 1, start) == [start + 24 * HOUR]


@asynchronous
async def test_a_slot_whose_jitter_lasts_while_its_schedule_changes_is_skipped_on_the_record(
    world: World,
) -> None:
    old, new = (job(schedule=schedule, jitter="30m") for schedule in ("0 7 * * *", "0 7,20 * * *"))
    async with world.engine(old) as component:
        await world.pass_time(HOUR / 2 + MINUTE)
        await component.apply(update(old, new))
        await world.pass_time(HOUR)
    (past,) = world.slots.past("u1")
    assert (past.slot, past.outcome) == ("2026-11-22T07:00", Outcome.SKIPPED)
    assert past.detail == "Its schedule changed meanwhile."


@asynchronous
async def test_a_slot_that_waits_to_replace_a_run_while_its_schedule_changes_is_skipped_on_the_record(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, cancel = asyncio.Event(), world.sessions.cancel

    async def slow(key: str, outcome: Outcome) -> None:
        await gate.wait()
        await cancel(key, outcome)

    monkeypatch.setattr(world.sessions, "cancel", slow)
    old, new = (job(schedule=schedule, overlap="replace") for schedule in ("0 * * * *", "0,30 * * * *"))
    async with world.engine(old) as component:
        await world.pass_time(2 * HOUR)  # 08:30; that of 08:00 waits for that of 07:00 to end
        await component.apply(update(old, new))
        gate.set()
        await world.pass_time(MINUTE)
    assert world.entries() == {
        "2026-11-22T07:00Z": Outcome.REPLACED,
        "2026-11-22T08:00Z": Outcome.SKIPPED,
    }


@asynchronous
async def test_the_same_local_time_in_another_zone_is_another_slot(world: World) -> None:
    old, new = job(schedule="0 7 * * *"), job(schedule="0 7 * * *", timezone="America/New_York")
    async with world.engine(old) as component:
        await world.pass_time(HOUR)
        world.sessions.end_all()
        await component.apply(update(old, new))
        await world.pass_time(5 * HOUR)  # 12:30; it is 07:00 in New York at 12:00
    assert world.entries() == {"2026-11-22T07:00 UTC": Outcome.DONE, "2026-11-22T07:00": None}
    created = [record.created_at.hour for record in world.sessions.turns.recent()]
    assert created == [12, 7]
