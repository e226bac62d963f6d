"""The rows of a crontab at run time: each is a job of its own, under its note's identity and its name."""

from datetime import timedelta
from typing import Any

import pytest

from components.cron.world import HOUR, World, job, update
from support.run import asynchronous
from vaultloop.components.cron.kind import CrontabJob, CrontabSpec
from vaultloop.model.change import Action, Change
from vaultloop.model.conversation import Limits, Outcome, Trigger
from vaultloop.model.errors import VaultloopError
from vaultloop.model.resource import Ref, Resource, Source

EIGHT, NINE = "2026-11-22T08:00Z", "2026-11-22T09:00Z"


def row(name: str, **fields: Any) -> CrontabJob:
    return CrontabJob.model_validate(
        {"name": name, "schedule": "0 8-9 * * *", "scope": "owner", "body": f"Do {name}.", **fields}
    )


def table(*rows: CrontabJob, name: str = "table", uid: str = "t1", **fields: Any) -> Resource[CrontabSpec]:
    spec = CrontabSpec.model_validate({"jobs": rows, **fields})
    return Resource(Ref("crontab", name), spec, Source(f"agent/crons/{name}.md", "b1"), uid)


@asynchronous
async def test_each_row_runs_by_its_own_schedule_and_under_its_own_name(world: World) -> None:
    rows = (row("tea"), row("post", schedule="0 9 * * *", retries="2", scope="family"))
    async with world.engine(table(*rows)):
        await world.pass_time(2 * HOUR)
        assert world.entries("crontab/t1/tea") == {"2026-11-22T08:00": None}
        await world.pass_time(HOUR)
    assert list(world.entries("crontab/t1/post")) == ["2026-11-22T09:00"]
    (turn,) = [r.turn for r in world.sessions.turns.recent() if r.turn.trigger.name == "table/post"]
    assert (turn.key, turn.conversation) == ("cron/crontab/t1/post/2026-11-22T09:00", "cron/crontab/t1/post")
    assert (turn.scope, turn.prompt, turn.limits) == ("family", "Do post.", Limits(retries=2))
    assert turn.trigger == Trigger("cron", "table/post")


@asynchronous
async def test_overlap_concerns_the_row_alone(world: World) -> None:
    rows = (row("tea", overlap="skip"), row("post", overlap="replace"), row("news", overlap="queue"))
    async with world.engine(table(*rows)):
        await world.pass_time(3 * HOUR)
    outcomes = {name: list(world.entries(f"crontab/t1/{name}").values()) for name in ("tea", "post", "news")}
    assert outcomes == {
        "tea": [None, Outcome.SKIPPED],
        "post": [Outcome.REPLACED, None],
        "news": [None, None],
    }


@asynchronous
async def test_rows_catch_up_each_by_its_own_policy(world: World) -> None:
    rows = (
        row("once"),
        row("skip", **{"catch-up": "skip"}),
        row("short", **{"start-within": "10m"}),
    )
    async with world.engine(table(*rows)):
        pass
    await world.down_for(3 * HOUR)  # 09:30
    async with world.engine(table(*rows)):
        await world.pass_time(timedelta(minutes=1))
    newest = {name: world.slots.past(f"crontab/t1/{name}")[0].outcome for name in ("once", "skip", "short")}
    assert newest == {"once": None, "skip": Outcome.MISSED, "short": Outcome.MISSED}


@asynchronous
async def test_renaming_the_note_keeps_the_slots_of_its_rows(world: World) -> None:
    old, new = table(row("tea"), name="old"), table(row("tea"), name="new")
    async with world.engine(old) as component:
        await world.pass_time(2 * HOUR)
        world.sessions.end_all()
        await component.apply(update(old, new))
        assert list(component.observe()) == [new.ref]
        await world.pass_time(HOUR)
    assert list(world.entries("crontab/t1/tea")) == ["2026-11-22T08:00", "2026-11-22T09:00"]
    assert world.sessions.turns.recent()[0].turn.trigger.name == "new/tea"


@asynchronous
async def test_a_row_that_is_changed_touches_no_other_row(world: World) -> None:
    old = table(row("tea"), row("post"))
    new = table(row("post"), row("tea", schedule="30 8 * * *"))
    async with world.engine(old) as component:
        await component.apply(update(old, new))
        await world.pass_time(2 * HOUR + timedelta(minutes=10))
    assert list(world.entries("crontab/t1/tea")) == ["2026-11-22T08:30"]
    assert list(world.entries("crontab/t1/post")) == ["2026-11-22T08:00"]


@asynchronous
async def test_a_row_that_is_taken_out_ends_and_does_not_catch_up_when_it_returns(world: World) -> None:
    both, one = table(row("tea"), row("post")), table(row("tea"))
    async with world.engine(both) as component:
        await component.apply(update(both, one))
        await world.pass_time(2 * HOUR)
        await component.apply(update(one, both))
        await world.pass_time(timedelta(minutes=1))
        assert world.entries("crontab/t1/post") == {}
        await component.apply(Change(Action.DELETE, both, None))
        await world.pass_time(24 * HOUR)
    assert list(world.entries("crontab/t1/tea")) == ["2026-11-22T08:00"]


@asynchronous
async def test_a_paused_note_pauses_all_its_rows_and_a_paused_row_only_itself(world: World) -> None:
    async with world.engine(
        table(row("tea"), row("post", paused="true")), table(row("news"), name="off", uid="t2", paused=True)
    ) as component:
        await world.pass_time(3 * HOUR)
        assert component.next_slots("news", 1) == []
        with pytest.raises(VaultloopError, match=r"Remove `paused: true` from agent/crons/off\.md"):
            component.run_now("off/news")
    assert (world.entries("crontab/t1/post"), world.entries("crontab/t2/news")) == ({}, {})
    assert world.entries("crontab/t1/tea") != {}


@asynchronous
async def test_a_row_is_run_by_its_own_name_where_that_is_clear_and_by_both_names_always(
    world: World,
) -> None:
    tables = (table(row("tea"), row("post")), table(row("tea"), name="other", uid="t2"))
    async with world.engine(*tables) as component:
        assert component.run_now("post").trigger == Trigger("run", "table/post")
        assert component.run_now("other/tea").conversation == "cron/crontab/t2/tea"
        with pytest.raises(VaultloopError, match="Name one of them: other/tea, table/tea"):
            component.run_now("tea")
        with pytest.raises(VaultloopError, match="Did you mean table/post"):
            component.run_now("table/pots")


def test_a_plan_tells_of_a_changed_cell_and_not_of_the_table() -> None:
    fields = table(row("tea", retries="1"), row("post")).spec.fields()
    assert fields["tea: retries"] == 1
    assert fields["post: schedule"] == "0 8-9 * * *"
    assert "jobs" not in fields


def test_a_stored_crontab_comes_back_as_it_was() -> None:
    spec = table(row("tea", jitter="5m", mounts="photos", **{"send-to": ["owner"]}), row("post")).spec
    again = CrontabSpec.model_validate_json(spec.model_dump_json(by_alias=True))
    assert again == spec
    assert again.not_enforced() == []


@pytest.mark.parametrize("uid", ["t1/tea", "crontab/t1/tea"])
@asynchronous
async def test_a_cron_whose_id_reads_like_that_of_a_row_is_another_job(world: World, uid: str) -> None:
    async with world.engine(job("note", uid, schedule="0 8 * * *"), table(row("tea"))):
        await world.pass_time(2 * HOUR)
    assert {record.turn.trigger.name for record in world.sessions.turns.recent()} == {"note", "table/tea"}


@asynchronous
async def test_ids_that_differ_in_a_slash_alone_are_two_jobs(world: World) -> None:
    crons = [job(name, uid, schedule="0 8 * * *") for name, uid in (("one", "a/b"), ("two", "a%2Fb"))]
    async with world.engine(*crons):
        await world.pass_time(2 * HOUR)
    assert {record.turn.trigger.name for record in world.sessions.turns.recent()} == {"one", "two"}
