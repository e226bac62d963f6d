"""When a job is due: a strict grammar of five fields, and fire times that a clock change cannot confuse.

Two families, told apart as Vixie cron does. A *fixed-time* job (neither minute nor hour begins with `*`) runs
once for each local time that it lists: not again when the clock is set back, and once, at the end of the
gap, for the times that the clock jumps over. Every other job is a *wildcard* job and follows real time: it
runs whenever the wall clock shows a listed time, so twice in a repeated hour and not at all in a skipped one.

croniter does the arithmetic of the fields, in local time without a zone; what it makes of zones, of `5-5`,
of `5/15` and of random fields is not wanted here (it repeats fixed-time jobs when the clock is set back).
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self
from zoneinfo import ZoneInfo

from croniter import croniter
from croniter.croniter import CroniterBadDateError

from vaultloop.components.cron.grammar import Fields, InvalidSchedule, read

__all__ = ["InvalidSchedule", "Schedule", "Slot"]

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

# Any leap-year February and every weekday of it come round within this many years.
_FARTHEST_MATCH_YEARS = 50


@dataclass(frozen=True, slots=True)
class Slot:
    """One due time of a job.

    Attributes:
        at: the instant, aware and in UTC.
        name: identity of the slot: the nominal local time (`2026-11-22T07:00`) of a fixed-time job, the
            instant (`2026-11-22T06:00Z`) of a wildcard job. Of several listed times in one gap the first.
    """

    at: datetime
    name: str


@dataclass(frozen=True, slots=True)
class Schedule:
    """A valid schedule.

    Attributes:
        text: as it was written, with single spaces.
        fields: minute, hour, day, month, weekday; as numbers, except that a field that began with `*` still
            does: cron reads the two day fields differently then.
    """

    text: str
    fields: Fields

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read five fields, or one of the `@` names.

        Raises:
            InvalidSchedule: it is not understood, or names a date that no calendar has.
        """
        written = " ".join(text.split())
        return cls(written, read(written))

    def __str__(self) -> str:
        return self.text

    @property
    def is_fixed_time(self) -> bool:
        """Whether it lists local times, rather than following real time."""
        return not self.fields[0].startswith("*") and not self.fields[1].startswith("*")

    def slots(self, after: datetime, timezone: ZoneInfo) -> Iterator[Slot]:
        """The slots strictly later than `after`, in order and without end."""
        if self.is_fixed_time:
            return self._fixed_slots(after.astimezone(UTC), timezone)
        return self._wildcard_slots(after.astimezone(UTC), timezone)

    def _fixed_slots(self, after: datetime, zone: ZoneInfo) -> Iterator[Slot]:
        latest = after
        for nominal in self._listed(_local(_whole_minute(after), zone)):
            at = _first_instant(nominal, zone)
            # Not later: a repeat of an hour that has passed once, or a second listed time in one gap.
            if at > latest:
                latest = at
                yield Slot(at, nominal.isoformat(timespec="minutes"))

    def _wildcard_slots(self, after: datetime, zone: ZoneInfo) -> Iterator[Slot]:
        # Between two clock changes local time is UTC plus a constant; at a change the search starts anew.
        here: datetime | None = _whole_minute(after)
        local = _local(after, zone).replace(second=0, microsecond=0)
        while here is not None:
            here = yield from self._until_change(here, local, zone)
            if here is not None:
                # A minute earlier: the very minute of the change may be a slot.
                local = _local(here, zone) - MINUTE

    def _until_change(
        self, here: datetime, local: datetime, zone: ZoneInfo
    ) -> Generator[Slot, None, datetime | None]:
        """Slots later than `local`, which the clock shows at `here`; returns when the clock changes."""
        offset = _offset(here, zone)
        for nominal in self._listed(local):
            at = (nominal - offset).replace(tzinfo=UTC)
            if change := _first_change(here, at, zone):
                return change
            yield Slot(at, f"{at:%Y-%m-%dT%H:%MZ}")
            here = at
        return None

    def _listed(self, after: datetime) -> Iterator[datetime]:
        """The listed local times after `after`, in order, until the calendar ends."""
        minutes, hours = _numbers(self.fields[0], 60), _numbers(self.fields[1], 24)
        for day in self._days(after):
            for hour in hours:
                if day.replace(hour=hour) + HOUR > after:
                    times = (day.replace(hour=hour, minute=minute) for minute in minutes)
                    yield from (time for time in times if time > after)

    def _days(self, after: datetime) -> Iterator[datetime]:
        """The listed dates from that of `after` on, at midnight."""
        _, _, *days = self.fields
        dates = croniter(
            " ".join(["0 0", *days]),
            after.replace(hour=0, minute=0) - MINUTE,
            ret_type=datetime,
            implement_cron_bug=True,  # `0 0 */2 * 1` is "odd days that are Mondays", as Vixie cron reads it
            max_years_between_matches=_FARTHEST_MATCH_YEARS,
        )
        with suppress(CroniterBadDateError, OverflowError, ValueError):
            while True:
                found: datetime = dates.get_next()
                yield found


def _numbers(field: str, size: int) -> Sequence[int]:
    """What a field of minutes or hours lists, in order."""
    first, _, rest = field.partition(",")
    if not first.startswith("*"):
        return [int(number) for number in field.split(",")]
    # After a leading `*` or `*/2` in a list come all its numbers.
    return [int(number) for number in rest.split(",")] if rest else range(0, size, int(first[2:] or 1))


def _whole_minute(instant: datetime) -> datetime:
    return instant.replace(second=0, microsecond=0)


def _local(instant: datetime, zone: ZoneInfo) -> datetime:
    """What a wall clock in `zone` shows, without a zone."""
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)


def _offset(instant: datetime, zone: ZoneInfo) -> timedelta:
    offset = instant.astimezone(zone).utcoffset()
    assert offset is not None
    return offset


def _first_instant(local: datetime, zone: ZoneInfo) -> datetime:
    """When a wall clock in `zone` first shows `local`; the end of the gap if it jumps over it."""
    first = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if _local(first, zone) == local:
        return first
    # In a gap the two readings of a local time lie on both sides of the change.
    before = local.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return _first_change(before, first, zone) or first


def _first_change(start: datetime, end: datetime, zone: ZoneInfo) -> datetime | None:
    """The first minute in (start, end] at which the offset is no longer that of `start`."""
    offset = _offset(start, zone)
    while start < end:
        probe = min(start + DAY, end)
        if _offset(probe, zone) != offset:
            return _bisect(start, probe, zone)
        start = probe
    return None


def _bisect(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    offset = _offset(before, zone)
    while after - before > MINUTE:
        middle = _whole_minute(before + (after - before) / 2)
        if _offset(middle, zone) == offset:
            before = middle
        else:
            after = middle
    return after
