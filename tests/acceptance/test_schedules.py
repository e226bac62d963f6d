"""A crontab and reminders in a whole engine: from the pushed note to what their owner is told."""

from datetime import timedelta
from functools import partial
from pathlib import Path

from support.notes import note
from support.run import asynchronous
from support.running import BASE, NOON, Place, until
from vaultloop.aio import rpc
from vaultloop.aio.clock import VirtualClock
from vaultloop.cli.engine import ask, engine

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
ROWS = r"""
| name    | schedule  | scope         | prompt                | send-to | send-when |
| ------- | --------- | ------------- | --------------------- | ------- | --------- |
| morning | 0 7 * * * | [[owner\|me]] | note: it is morning   |         |           |
| lunch   | 0 13 * * * | [[owner]]    | note: time for lunch  | owner   | always    |
"""
TABLE = {"agent/crons/table.md": note("crontab", ROWS)}
SCHEDULES = {
    **TABLE,
    "agent/reminders/water.md": note("reminder", "Water the plants.", at="2026-11-22 12:30"),
    "agent/reminders/plan.md": note(
        "reminder", "note: plan the week", at="2026-11-22 12:45", scope='"[[owner]]"', send_to="owner"
    ),
    "agent/reminders/later.md": note("reminder", "Not yet.", at="2026-12-24 18:00"),
}


@asynchronous
async def test_rows_and_reminders_fire_once_are_told_and_leave_an_empty_plan(tmp_path: Path) -> None:
    place, clock = Place.with_remote(tmp_path, {**BASE, **SCHEDULES}), VirtualClock(NOON)
    told: list[str] = []

    async def reply(_: rpc.Peer, said: rpc.JsonObject) -> bool:
        told.append(said["text"])
        return True

    def told_at_least(number: int) -> bool:
        return len(told) >= number

    for _ in range(2):  # The second start finds nothing left to do.
        async with place.engine(clock) as running, engine(place.settings, {"reply": reply}) as peer:
            await peer.call("listen", chat="owner")
            for minute, number in ((30, 1), (45, 2), (60, 3)):
                await clock.advance_to(max(clock.now(), NOON + minute * MINUTE))
                await until(partial(told_at_least, number))
            assert (await ask(place.settings, "plan"))["changes"] == []
            crons = running.crons(clock.now())
            assert sorted(crons) == ["later", "table/lunch", "table/morning"]
            assert crons["later"]["next"] == ["2026-12-24T18:00+00:00"]
            assert [past["outcome"] for past in crons["table/lunch"]["past"]] == ["done"]
            assert {name for name in running.conditions() if "reminder" in name} == {"reminder/later"}
            triggers = {session["trigger"] for session in running.sessions()}
            assert triggers == {"cron table/lunch", "reminder plan"}
    assert "Water the plants." in told
    assert len(told) == 3


@asynchronous
async def test_a_row_is_run_by_hand_and_keeps_its_slots_when_its_note_is_renamed(tmp_path: Path) -> None:
    place, clock = Place.with_remote(tmp_path, {**BASE, **TABLE}), VirtualClock(NOON)
    async with place.engine(clock) as running:
        ran = await ask(place.settings, "run", cron="morning", wait=True)
        assert ran["outcome"] == "done"
        await clock.advance_to(NOON + HOUR)
        await until(lambda: [s["outcome"] for s in running.sessions()] == ["done"] * 2)
        await running.push(
            {"agent/crons/table.md": None, "agent/crons/daily.md": SCHEDULES["agent/crons/table.md"]}
        )
        renamed = running.crons()
        assert [past["slot"] for past in renamed["daily/lunch"]["past"]] == ["2026-11-22T13:00"]
        assert "table/lunch" not in renamed


@asynchronous
async def test_a_crontab_that_became_invalid_goes_on_as_a_whole_in_its_last_good_version(
    tmp_path: Path,
) -> None:
    place, clock = Place.with_remote(tmp_path, {**BASE, **SCHEDULES}), VirtualClock(NOON)
    async with place.engine(clock) as running:
        broken = SCHEDULES["agent/crons/table.md"].replace("0 7 * * *", "0 77 * * *").replace("13", "15")
        await running.push({"agent/crons/table.md": broken})
        assert running.status("crontab/table")["condition"] == "Outdated"
        assert running.status("crontab/table")["message"].startswith("agent/crons/table.md:7: In `0 77")
        assert running.crons()["table/lunch"]["next"] == ["2026-11-22T13:00+00:00"]
        await running.push({"agent/crons/table.md": SCHEDULES["agent/crons/table.md"].replace("13", "15")})
        assert running.crons()["table/lunch"]["next"] == ["2026-11-22T15:00+00:00"]
        assert running.status("crontab/table")["condition"] == "Ready"
