"""What a schedule means. `test_golden.py` and `test_every_zone.py` hold its fire times in many zones."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise, takewhile
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim, CronSimError
from hypothesis import given, settings
from hypothesis import strategies as st

from support.expressions import expressions
from vaultloop.components.cron.schedule import InvalidSchedule, Schedule, Slot

BERLIN = ZoneInfo("Europe/Berlin")  # gap 29 March 02:00-03:00, repeat 25 October 02:00-03:00
NEW_YORK = ZoneInfo("America/New_York")  # gap 8 March 02:00-03:00, repeat 1 November 01:00-02:00
LONDON = ZoneInfo("Europe/London")  # gap 29 March 01:00-02:00, repeat 25 October 01:00-02:00
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")  # repeat 5 April 01:30-02:00, gap 4 October 02:00-02:30
UTC_ZONE = ZoneInfo("UTC")


def slots_of_day(expression: str, zone: ZoneInfo, year: int, month: int, day: int) -> list[Slot]:
    start = datetime(year, month, day, tzinfo=zone)
    end = (start + timedelta(days=1)).astimezone(UTC)
    slots = Schedule.parse(expression).slots(start.astimezone(UTC) - timedelta(seconds=1), zone)
    return list(takewhile(lambda slot: slot.at < end, slots))


GOLDEN = [
    # the clock jumps forward
    ("30 2 * * *", BERLIN, (2026, 3, 29), "03:00+0200"),
    ("0,30 2 * * *", BERLIN, (2026, 3, 29), "03:00+0200"),
    ("0,30 2-3 * * *", BERLIN, (2026, 3, 29), "03:00+0200 03:30+0200"),
    ("0 2-4 * * *", BERLIN, (2026, 3, 29), "03:00+0200 04:00+0200"),
    ("*/30 2 * * *", BERLIN, (2026, 3, 29), ""),
    ("0 */6 * * *", BERLIN, (2026, 3, 29), "00:00+0100 06:00+0200 12:00+0200 18:00+0200"),
    ("*/30 1-3 * * *", BERLIN, (2026, 3, 29), "01:00+0100 01:30+0100 03:00+0200 03:30+0200"),
    ("30 2 * * *", NEW_YORK, (2026, 3, 8), "03:00-0400"),
    ("*/30 1-3 * * *", NEW_YORK, (2026, 3, 8), "01:00-0500 01:30-0500 03:00-0400 03:30-0400"),
    ("30 1 * * *", LONDON, (2026, 3, 29), "02:00+0100"),
    (
        "*/20 0-2 * * *",
        LONDON,
        (2026, 3, 29),
        "00:00+0000 00:20+0000 00:40+0000 02:00+0100 02:20+0100 02:40+0100",
    ),
    ("15 2 * * *", LORD_HOWE, (2026, 10, 4), "02:30+1100"),
    ("*/15 2 * * *", LORD_HOWE, (2026, 10, 4), "02:30+1100 02:45+1100"),
    ("30 2 * * *", UTC_ZONE, (2026, 3, 29), "02:30+0000"),
    # the clock is set back
    ("30 2 * * *", BERLIN, (2026, 10, 25), "02:30+0200"),
    ("0 2-4 * * *", BERLIN, (2026, 10, 25), "02:00+0200 03:00+0100 04:00+0100"),
    ("*/30 2 * * *", BERLIN, (2026, 10, 25), "02:00+0200 02:30+0200 02:00+0100 02:30+0100"),
    ("0 */2 1-4 * *", BERLIN, (2026, 10, 25), ""),
    ("30 1 * * *", NEW_YORK, (2026, 11, 1), "01:30-0400"),
    ("*/30 1 * * *", NEW_YORK, (2026, 11, 1), "01:00-0400 01:30-0400 01:00-0500 01:30-0500"),
    ("30 1 * * *", LONDON, (2026, 10, 25), "01:30+0100"),
    ("*/30 1 * * *", LONDON, (2026, 10, 25), "01:00+0100 01:30+0100 01:00+0000 01:30+0000"),
    ("45 1 * * *", LORD_HOWE, (2026, 4, 5), "01:45+1100"),
    ("*/30 1 * * *", LORD_HOWE, (2026, 4, 5), "01:00+1100 01:30+1100 01:30+1030"),
    ("30 2 * * *", UTC_ZONE, (2026, 10, 25), "02:30+0000"),
]


@pytest.mark.parametrize(("expression", "zone", "day", "expected"), GOLDEN)
def test_a_day_with_a_clock_change_has_exactly_these_slots(
    expression: str, zone: ZoneInfo, day: tuple[int, int, int], expected: str
) -> None:
    slots = slots_of_day(expression, zone, *day)
    assert " ".join(f"{slot.at.astimezone(zone):%H:%M%z}" for slot in slots) == expected


def test_a_fixed_time_slot_is_named_by_its_local_time_also_in_a_gap() -> None:
    in_gap, *_ = slots_of_day("30 2 * * *", BERLIN, 2026, 3, 29)
    assert in_gap == Slot(datetime(2026, 3, 29, 1, tzinfo=UTC), "2026-03-29T02:30")


def test_a_wildcard_slot_is_named_by_its_instant_so_a_repeated_hour_has_two() -> None:
    names = [slot.name for slot in slots_of_day("0 */2 * * *", BERLIN, 2026, 10, 25)]
    assert names[1:3] == ["2026-10-25T00:00Z", "2026-10-25T01:00Z"]


@pytest.mark.parametrize("minutes", range(0, 181, 15))
def test_looking_again_from_within_a_repeated_hour_repeats_no_fixed_time(minutes: int) -> None:
    first_pass = datetime(2026, 10, 25, 0, 0, tzinfo=UTC)  # 02:00 in Berlin, for the first time
    found = next(Schedule.parse("30 2 * * *").slots(first_pass + timedelta(minutes=minutes), BERLIN))
    assert found.name == ("2026-10-25T02:30" if minutes < 30 else "2026-10-26T02:30")


def test_slots_are_strictly_later_than_asked_for_also_within_a_minute() -> None:
    seven = datetime(2026, 11, 22, 7, tzinfo=UTC)
    daily = Schedule.parse("0 7 * * *")
    assert next(daily.slots(seven - timedelta(microseconds=1), UTC_ZONE)).at == seven
    assert next(daily.slots(seven, UTC_ZONE)).at == seven + timedelta(days=1)
    every_minute = Schedule.parse("* * * * *")
    assert next(every_minute.slots(seven + timedelta(seconds=59.5), UTC_ZONE)).at == seven + timedelta(
        minutes=1
    )


def test_two_restricted_day_fields_mean_either_and_a_star_led_one_means_both() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    either = islice(Schedule.parse("0 0 15 * mon").slots(start, UTC_ZONE), 4)
    assert [slot.at.day for slot in either] == [5, 12, 15, 19]
    both = islice(Schedule.parse("0 0 */2 * 1").slots(start, UTC_ZONE), 3)
    assert [slot.at.day for slot in both] == [5, 19, 9]


@pytest.mark.parametrize(
    ("written", "same"),
    [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@Yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        ("  0  7\t* * MON-fri ", "0 7 * * 1-5"),
        ("0 0 1 JAN,jul *", "0 0 1 1,7 *"),
        ("0 0 * * 5-7", "0 0 * * 0,5,6"),
        ("0 0 * * 7", "0 0 * * sun"),
        ("05 07 * * *", "5 7 * * *"),
        ("10-50/20 * * * *", "10,30,50 * * * *"),
        ("5-5 * * * *", "5 * * * *"),
        ("0 9–17 * * *", "0 9-17 * * *"),  # noqa: RUF001 - phones turn hyphens into dashes
    ],
)
def test_two_ways_to_write_one_schedule(written: str, same: str) -> None:
    assert Schedule.parse(written).fields == Schedule.parse(same).fields


@pytest.mark.parametrize(
    ("written", "cure"),
    [
        ("0 0 L * *", "28"),
        ("0 0 * * 5L", "28"),
        ("0 0 15W * *", "`1-5`"),
        ("0 0 * * mon#2", "weekday alone"),
        ("0 0 ? * *", "`*`"),
        ("R * * * *", "name the number"),
        ("H * * * *", "name the number"),
        ("0 0 7 * * *", "`0 7 * * *`"),
        ("0 0 7 * * * 2026", "`0 7 * * *`"),
        ("0 22-3 * * *", "`22-23,0-3`"),
        ("0 0 * * fri-sun", "`5-7`"),
        ("0 0 1 nov-feb *", "`11-12,1-2`"),
        ("@reboot", "@daily"),
        ("@every 5m", "`*/5 * * * *`"),
        ("@sometimes", "@weekly"),
        ("0 0 31 2 *", "`0 0 28 2 *`"),
        ("0 0 30 feb *", "28"),
        ("0 0 31 apr,jun *", "28"),
        ("5/15 * * * *", "`5-59/15`"),
        ("*/0 * * * *", "from 1 to 59"),
        ("*/90 * * * *", "from 1 to 59"),
        ("60 * * * *", "from 0 to 59"),
        ("0 24 * * *", "from 0 to 23"),
        ("0 0 * * 8", "from 0 to 7"),
        ("0 0 0 * *", "from 1 to 31"),
        ("0 0 * 13 *", "jan to dec"),
        ("** * * * *", "`*`"),
        ("1, 2 * * * *", "`1,2 * * * *`"),
        ("every morning", "`0 7 * * *`"),
        ("", "`0 7 * * *`"),
        ("1,,2 * * * *", "from 0 to 59"),
        ("-5 * * * *", "from 0 to 59"),
        ("\u0665 * * * *", "from 0 to 59"),  # a five in Arabic
    ],
)
def test_what_is_refused_says_what_to_write_instead(written: str, cure: str) -> None:
    with pytest.raises(InvalidSchedule) as refusal:
        Schedule.parse(written)
    assert cure in refusal.value.cure
    assert refusal.value.message in str(refusal.value)


def test_an_impossible_day_beside_a_possible_weekday_is_a_schedule() -> None:
    mondays = islice(Schedule.parse("0 0 31 2 mon").slots(datetime(2026, 1, 1, tzinfo=UTC), UTC_ZONE), 2)
    assert [slot.name for slot in mondays] == ["2026-02-02T00:00", "2026-02-09T00:00"]


def test_a_leap_day_is_found_decades_ahead() -> None:
    found = next(Schedule.parse("0 0 29 2 */6").slots(datetime(2048, 3, 1, tzinfo=UTC), UTC_ZONE))
    assert found.name == "2060-02-29T00:00"


@pytest.mark.parametrize("day", ["*", "28-31", "29", "30", "30,31", "31", "*/30", "31,*"])
@pytest.mark.parametrize("month", ["*", "2", "2,4", "2,3", "4,6,9,11", "*/12"])
@pytest.mark.parametrize("weekday", ["*", "*/2", "1", "0-6"])
def test_what_never_fires_is_refused_and_nothing_else_as_another_library_sees_it(
    day: str, month: str, weekday: str
) -> None:
    expression = f"0 0 {day} {month} {weekday}"
    try:
        next(CronSim(expression, datetime(2026, 1, 1, tzinfo=UTC)))
    except (CronSimError, StopIteration):
        with pytest.raises(InvalidSchedule, match="never fires"):
            Schedule.parse(expression)
    else:
        Schedule.parse(expression)


@settings(max_examples=80, deadline=None)
@given(
    expressions,
    st.sampled_from([BERLIN, NEW_YORK, LONDON, LORD_HOWE]),
    st.integers(0, 365 * 24 * 60),
    st.integers(1, 30),
)
def test_slots_rise_have_different_names_and_do_not_depend_on_where_one_starts(
    expression: str, zone: ZoneInfo, minutes: int, skipped: int
) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    schedule = Schedule.parse(expression)
    slots = list(islice(schedule.slots(start, zone), 40))
    assert all(earlier.at < later.at for earlier, later in pairwise(slots))
    assert len({slot.name for slot in slots}) == len(slots)
    assert list(islice(schedule.slots(slots[skipped - 1].at, zone), 40 - skipped)) == slots[skipped:]
