"""Time zones as the pinned tzdata package has them, whatever the machine's own copy says."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib import import_module, resources
from zoneinfo import ZoneInfo

VERSION = str(import_module("tzdata").IANA_VERSION)

_STEP = timedelta(hours=6)
_MINUTE = timedelta(minutes=1)


@cache
def zone(name: str) -> ZoneInfo:
    """A zone of the package."""
    folder, _, file = name.rpartition("/")
    package = ".".join(["tzdata.zoneinfo", *filter(None, folder.split("/"))])
    with resources.files(package).joinpath(file).open("rb") as data:
        return ZoneInfo.from_file(data, key=name)


@dataclass(frozen=True, slots=True)
class OffsetChange:
    """A moment at which clocks are moved.

    Attributes:
        at: the first instant that has the new offset, in UTC.
    """

    at: datetime
    before: timedelta
    after: timedelta


@dataclass(frozen=True, slots=True)
class OffsetHistory:
    """What the clocks of one or more zones do between two instants.

    Attributes:
        names: the zones that share it, in order.
    """

    names: tuple[str, ...]
    first: timedelta
    changes: tuple[OffsetChange, ...]

    @property
    def zone(self) -> ZoneInfo:
        """One of the zones that share it."""
        return zone(self.names[0])


@cache
def histories(start: datetime, end: datetime) -> tuple[OffsetHistory, ...]:
    """Every different history of offsets that tzdata holds between two instants, in the order of names."""
    found: dict[tuple[timedelta, tuple[OffsetChange, ...]], list[str]] = {}
    for name in sorted(resources.files("tzdata").joinpath("zones").read_text().split()):
        found.setdefault(_history(zone(name), start, end), []).append(name)
    return tuple(OffsetHistory(tuple(names), *history) for history, names in found.items())


@cache
def changes(start: datetime, end: datetime) -> tuple[tuple[ZoneInfo, OffsetChange], ...]:
    """Every different moment at which clocks are moved between two instants, with a zone that has it."""
    found: dict[OffsetChange, ZoneInfo] = {}
    for history in histories(start, end):
        for change in history.changes:
            found.setdefault(change, history.zone)
    return tuple((where, change) for change, where in found.items())


def offset(instant: datetime, where: ZoneInfo) -> timedelta:
    """How far a wall clock is ahead of UTC."""
    found = instant.astimezone(where).utcoffset()
    assert found is not None
    return found


def _history(where: ZoneInfo, start: datetime, end: datetime) -> tuple[timedelta, tuple[OffsetChange, ...]]:
    moves = []
    here, current = start, offset(start, where)
    first = current
    while here < end:
        there = here + _STEP
        if (new := offset(there, where)) != current:
            moves.append(OffsetChange(_moment(here, there, where), current, new))
        here, current = there, new
    return first, tuple(moves)


def _moment(before: datetime, after: datetime, where: ZoneInfo) -> datetime:
    """The first minute with the offset of `after`."""
    new = offset(after, where)
    minutes = range(int((after - before) / _MINUTE) + 1)
    return next(before + n * _MINUTE for n in minutes if offset(before + n * _MINUTE, where) == new)
