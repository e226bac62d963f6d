from datetime import UTC, datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

import pytest

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


@pytest.mark.parametrize("expression", ["*/10 * * * *", "30 2,3 * * *", "* 2,3 25-31 3,10 *", "0-30 9 1 * *"])
@pytest.mark.parametrize("days", [1, 30, 400, 3000])
def test_the_run_and_the_list_hold_every_slot_once(expression: str, days: int) -> None:
    schedule = Schedule.parse(expression)
    after = NOON - timedelta(days=days)
    every = list(takewhile(lambda slot: slot.at <= NOON, schedule.slots(after, BERLIN)))
    due = backlog(schedule, BERLIN, after, NOON)
    assert len(due.slots) == len(every) if len(every) <= MOST_LISTED else 0 < len(due.slots) <= MOST_LISTED
    left_out = len(every) - len(due.slots)
    assert list(due.slots) == every[left_out:]
    assert due.run == (f"{every[0].name}..{every[left_out].name}" if left_out else None)
