from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from vaultloop.components.cron.backlog import MOST_LISTED, backlog
from vaultloop.components.cron.schedule import Schedule

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


def test_what_came_due_is_listed_up_to_and_including_now() -> None:
    due = backlog(Schedule.parse("0 * * * *"), BERLIN, NOON - timedelta(hours=2), NOON)
    assert [slot.name for slot in due.slots] == ["2026-11-22T11:00Z", "2026-11-22T12:00Z"]
    assert due.run is None


def test_nothing_is_due_when_the_clock_was_set_back() -> None:
    assert backlog(Schedule.parse("* * * * *"), BERLIN, NOON, NOON - timedelta(hours=1)).slots == ()


def test_years_of_minutes_become_one_run_and_the_newest_thousand() -> None:
    due = backlog(Schedule.parse("* * * * *"), BERLIN, NOON - timedelta(days=3 * 365), NOON)
    assert 0 < len(due.slots) <= MOST_LISTED
    assert due.slots[-1].at == NOON
    assert due.slots[-1].at - due.slots[0].at == timedelta(minutes=len(due.slots) - 1)
    assert due.run == f"2023-11-23T12:01Z..{due.slots[0].name}"


def test_a_season_of_minutes_long_ago_still_shows_its_last_slots() -> None:
    schedule = Schedule.parse("* * * 1 *")  # every minute of January
    due = backlog(schedule, ZoneInfo("UTC"), datetime(2020, 6, 1, tzinfo=UTC), NOON)
    assert 0 < len(due.slots) <= MOST_LISTED
    assert due.slots[-1].name == "2026-01-31T23:59Z"
    assert due.run is not None
