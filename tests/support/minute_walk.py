"""When a schedule fires, found the slow way: look at the wall clock in every minute, one after the other.

It shares nothing with the engine: it reads the five fields by itself, never turns a local time into an
instant, and searches for nothing. What it applies is the definition, word by word:

- a job whose minute or hour begins with `*` fires whenever the wall clock shows a listed time;
- any other job fires once for each listed time, when the wall clock has first reached it: so not in a
  repeated hour, and for all the times that the clock jumps over once, right after the jump;
- the date matches both day fields if one of them begins with `*`, and either of them if none does.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)

_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MONTHS = ("", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

Fire = tuple[datetime, str]
"""The instant, in UTC, and the name of the slot."""


Minutes = Sequence[tuple[datetime, datetime]]
"""Instants in UTC, one minute apart, each with what a wall clock shows then."""


def minutes(zone: ZoneInfo, start: datetime, end: datetime) -> Minutes:
    """Every minute from `start` to `end`, both included."""
    instants = (start + n * MINUTE for n in range(int((end - start) / MINUTE) + 1))
    return [(at, at.astimezone(zone).replace(tzinfo=None, fold=0)) for at in instants]


def walk(expression: str, minutes: Minutes) -> list[Fire]:
    """What `expression` fires in these minutes; no clock may have moved just before the first."""
    fields = _Fields(expression.lower())
    return list(_wildcard(fields, minutes) if fields.star else _fixed(fields, minutes))


def _wildcard(fields: "_Fields", minutes: Minutes) -> Iterator[Fire]:
    for at, clock in minutes:
        if fields.list(clock):
            yield at, at.strftime("%Y-%m-%dT%H:%MZ")


def _fixed(fields: "_Fields", minutes: Minutes) -> Iterator[Fire]:
    reached = minutes[0][1] - MINUTE
    for at, clock in minutes:
        # One minute as a rule; several after a jump; none while an hour repeats.
        names = []
        while reached < clock:
            reached += MINUTE
            if fields.list(reached):
                names.append(reached.strftime("%Y-%m-%dT%H:%M"))
        if names:
            yield at, names[0]


class _Fields:
    """Five fields as sets of numbers."""

    def __init__(self, expression: str) -> None:
        minute, hour, day, month, weekday = expression.split()
        self.star = minute[0] == "*" or hour[0] == "*"
        self._both_days = day[0] == "*" or weekday[0] == "*"
        self._minutes = _numbers(minute, 0, 59)
        self._hours = _numbers(hour, 0, 23)
        self._days = _numbers(day, 1, 31)
        self._months = _numbers(month, 1, 12, _MONTHS)
        self._weekdays = {number % 7 for number in _numbers(weekday, 0, 7, _WEEKDAYS)}

    def list(self, clock: datetime) -> bool:
        return clock.minute in self._minutes and clock.hour in self._hours and self._date(clock)

    def _date(self, clock: date) -> bool:
        day = clock.day in self._days
        weekday = clock.isoweekday() % 7 in self._weekdays
        return clock.month in self._months and ((day and weekday) if self._both_days else (day or weekday))


def _numbers(field: str, low: int, high: int, words: tuple[str, ...] = ()) -> set[int]:
    found: set[int] = set()
    for item in field.split(","):
        span, _, step = item.partition("/")
        ends = [str(low), str(high)] if span == "*" else span.split("-")
        first, last = (words.index(end) if end in words else int(end) for end in (ends[0], ends[-1]))
        found.update(range(first, last + 1, int(step or 1)))
    return found
