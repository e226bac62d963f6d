"""The slots that came due since somebody looked last, also after years."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

from vaultloop.components.cron.schedule import Schedule, Slot

# Slots listed one by one; a job of every minute that was away for a year would have half a million.
MOST_LISTED = 1000

SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Backlog:
    """Due slots in order.

    Attributes:
        run: stands for all those before `slots` where there are too many to list: the first one's name,
            `..`, and the name of the first listed slot, which it does not include.
        slots: the newest ones, at most `MOST_LISTED`.
    """

    slots: tuple[Slot, ...]
    run: str | None = None


def backlog(schedule: Schedule, zone: ZoneInfo, after: datetime, until: datetime) -> Backlog:
    """The slots in (after, until]."""
    oldest = _listed(schedule, zone, after, until)
    if len(oldest) <= MOST_LISTED:
        return Backlog(oldest)
    newest = _newest(schedule, zone, oldest, until)
    return Backlog(newest, f"{oldest[0].name}..{newest[0].name}")


def _listed(schedule: Schedule, zone: ZoneInfo, after: datetime, until: datetime) -> tuple[Slot, ...]:
    """At most one more than may be listed, so that "too many" shows."""
    due = takewhile(lambda slot: slot.at <= until, schedule.slots(after, zone))
    return tuple(islice(due, MOST_LISTED + 1))


def _newest(
    schedule: Schedule, zone: ZoneInfo, oldest: tuple[Slot, ...], until: datetime
) -> tuple[Slot, ...]:
    """Some of the last slots, found by halving: too many lie after `early`, none after `late`."""
    early, late = oldest[0].at, until
    # A steady schedule has as many slots in its last stretch as in its first: mostly one guess is enough.
    start = max(early, until - (oldest[-1].at - early))
    while late - early > SECOND:
        listed = _listed(schedule, zone, start, until)
        if 0 < len(listed) <= MOST_LISTED:
            return listed
        early, late = (start, late) if listed else (early, start)
        start = early + (late - early) / 2
    return oldest[-1:]
