"""What each policy of a schedule hands on to its turns; what decides about slots is in test_component."""

from datetime import timedelta
from typing import Any

import pytest

from components.cron.world import HOUR, START, World, job, update
from support.run import asynchronous
from vaultloop.components.cron.job import jobs_of
from vaultloop.components.cron.kind import CronSpec
from vaultloop.model.conversation import Limits, Outcome, SendWhen, Turn
from vaultloop.model.errors import VaultloopError
from vaultloop.model.resource import Ref

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
async def test_without_limits_a_turn_has_only_those_of_its_scope(world: World) -> None:
    assert (await turn_of(world)).limits == Limits(stop_after=None, budget_usd=None, retries=0)


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
        turns.begin(record.id, policy="p", base="b", view="v", now=now)
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


def test_mounts_are_the_only_key_that_a_schedule_has_and_that_does_nothing_yet() -> None:
    spec = CronSpec.model_validate(
        {"schedule": "@daily", "scope": "owner", "body": "x", "mounts": "photos", **FULL}
    )
    assert spec.not_enforced() == ["mounts"]


@asynchronous
async def test_a_job_under_a_new_uid_leaves_nothing_of_the_old_one_running(world: World) -> None:
    old, new = job("digest", "u1"), job("digest", "u2")
    async with world.engine(old) as component:
        await component.apply(update(old, new))
        assert component.observe() == {Ref("cron", "digest"): new}
        await world.clock.advance_to(START + HOUR)
    assert world.sessions.started == ["cron/u2/2026-11-22T07:00Z"]
