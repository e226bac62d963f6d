"""Every change of every clock in two years: a walk through the minutes and another library as witnesses.

The walk (`support/minute_walk.py`) applies the definition and nothing else, so it decides. cronsim was
written by others from the same manual page; where it is known to be wrong, it is written here how.
"""

from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import takewhile
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from support import zones
from support.expressions import expressions
from support.minute_walk import MINUTE, Fire, Minutes, minutes, walk
from support.zones import OffsetChange
from vaultloop.components.cron.schedule import Schedule

START = datetime(2026, 1, 1, tzinfo=UTC)
END = datetime(2028, 1, 1, tzinfo=UTC)
# The walk begins a day and a half before a change and ends as long after it.
AROUND = timedelta(hours=36)

WILDCARD = (
    "* * * * *",
    "*/15 * * * *",
    "*/7 */2 * * *",  # unequal steps
    "30 * * * *",
    "45 */3 * * *",
    "* 2 * * *",
    "*/30 0 * * *",  # where midnight is skipped or repeated
    "*/20 1-3 * * *",
    "*/15,7 *,3 * * 7",  # a star-led list, and the other Sunday
    "10-40/15 * * * sat,sun",
    "*/30 0 1,15,29 * 0",
    "1-59/2 * 29-31,1-8 * 5-7",
)
FIXED_TIME = (
    "0 0 * * *",
    "30 2 * * *",
    "0,30 0-4 * * *",  # several times in one gap
    "15 0,1,2,3,23 * * *",
    "5 1-23/2 * * 0",
    "0 2 */2 * sun",  # a star-led day: both
    "0 2 * * */2",
    "0 0 1,15 * mon",  # neither: either
    "0 12 28-31 * *",  # month ends
    "59 23 * mar,apr,sep,oct,nov *",
)

# What cronsim makes of wildcard jobs in these zones is wrong.
CLOCKS_CHANGE_WITHIN_AN_HOUR = (
    # It goes on from the beginning of the hour after a change: it skips slots, finds one that has passed, or
    # searches for ever.
    "Australia/Lord_Howe",  # by half an hour
    "Pacific/Chatham",  # at a quarter to three
)
MIDNIGHT_IS_SKIPPED = (
    # It finds a day by its midnight, and takes a midnight that does not exist for the end of the gap: one
    # slot too many, at the very moment of the change.
    "Africa/Cairo",
    "America/Havana",
    "America/Santiago",
    "America/Scoresbysund",
    "Asia/Beirut",
    "Atlantic/Azores",
)


@cache
def of_zones(names: tuple[str, ...]) -> frozenset[OffsetChange]:
    """The changes of some zones."""
    histories = zones.histories(START, END)
    return frozenset(
        change for history in histories if set(names) & set(history.names) for change in history.changes
    )


def fired(expression: str, zone: ZoneInfo, start: datetime, end: datetime) -> list[Fire]:
    slots = Schedule.parse(expression).slots(start - MINUTE, zone)
    return [(slot.at, slot.name) for slot in takewhile(lambda slot: slot.at <= end, slots)]


def by_cronsim(expression: str, zone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    times = (at.astimezone(UTC) for at in CronSim(expression, (start - MINUTE).astimezone(zone)))
    # Started in an hour that repeats, it may begin with a time that has passed.
    return [at for at in takewhile(lambda at: at <= end, times) if at >= start]


def verify(expression: str, zone: ZoneInfo, change: OffsetChange, walked: Minutes) -> None:
    """0 doubled, 0 lost, in three days around a change."""
    start, end = walked[0][0], walked[-1][0]
    expected = walk(expression, walked)
    assert fired(expression, zone, start, end) == expected, (expression, zone.key, change)
    is_wildcard = any(field.startswith("*") for field in expression.split()[:2])
    if is_wildcard and change in of_zones(CLOCKS_CHANGE_WITHIN_AN_HOUR):
        return
    other = by_cronsim(expression, zone, start, end)
    if is_wildcard and change.after > change.before and change in of_zones(MIDNIGHT_IS_SKIPPED):
        other = [at for at in other if at != change.at or at in dict(expected)]
    assert other == list(dict(expected)), (expression, zone.key, change)


PARTS = 6


@pytest.mark.parametrize("part", range(PARTS))
def test_around_each_change_of_a_clock_every_slot_fires_once(part: int) -> None:
    for zone, change in zones.changes(START, END)[part::PARTS]:
        walked = minutes(zone, change.at - AROUND, change.at + AROUND)
        for expression in WILDCARD + FIXED_TIME:
            verify(expression, zone, change, walked)


@settings(max_examples=100, deadline=None)
@given(expressions, st.data())
def test_around_any_change_of_a_clock_any_schedule_fires_each_slot_once(
    expression: str, data: st.DataObject
) -> None:
    zone, change = data.draw(st.sampled_from(zones.changes(START, END)))
    verify(expression, zone, change, minutes(zone, change.at - AROUND, change.at + AROUND))


@settings(max_examples=150, deadline=None)
@given(expressions, st.data(), st.integers(-150, 150))
def test_wherever_a_search_begins_around_a_change_it_finds_the_same_slots(
    expression: str, data: st.DataObject, offset: int
) -> None:
    """As after a restart: a search from within a repeated or just after a skipped hour."""
    zone, change = data.draw(st.sampled_from(zones.changes(START, END)))
    start, end = change.at - timedelta(hours=6), change.at + timedelta(hours=6)
    begun = change.at + offset * MINUTE
    expected = walk(expression, minutes(zone, start, end))
    assert fired(expression, zone, begun, end) == [fire for fire in expected if fire[0] >= begun]


@pytest.mark.parametrize(
    "expression", ["30 2 * * *", "0 0 1,15 * mon", pytest.param("0 */12 * * *", marks=pytest.mark.soak)]
)
def test_over_two_years_in_every_history_of_offsets_another_library_agrees(expression: str) -> None:
    histories = zones.histories(START, END)
    assert len(histories) > 60
    for history in histories:
        if "*/12" in expression and set(CLOCKS_CHANGE_WITHIN_AN_HOUR) & set(history.names):
            continue
        ours = [at for at, _ in fired(expression, history.zone, START, END)]
        assert ours == by_cronsim(expression, history.zone, START, END), history.zone.key


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(16))
def test_in_two_whole_years_of_every_history_every_slot_fires_once(part: int) -> None:
    for history in zones.histories(START, END)[part::16]:
        walked = minutes(history.zone, START, END)
        for expression in WILDCARD + FIXED_TIME:
            expected = walk(expression, walked)
            assert fired(expression, history.zone, START, END) == expected, (expression, history.zone.key)
