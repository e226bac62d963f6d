"""One schedule as it is declared: when it is due, when it is too late for a slot, what a slot becomes."""

import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import islice
from typing import Any, ClassVar, Literal
from zoneinfo import ZoneInfo

from vaultloop.components.cron.backlog import SECOND, Backlog, backlog
from vaultloop.components.cron.kind import CronSpec, CrontabSpec, ReminderSpec
from vaultloop.components.cron.schedule import DAY, Schedule, Slot
from vaultloop.model.conversation import Address, Limits, SendWhen, Trigger, Turn, new_turn_id
from vaultloop.model.fields import duration_text
from vaultloop.model.resource import Resource

KINDS_OF_JOBS = ("cron", "crontab", "reminder")
# With `catch-up: skip` a slot counts as met by an engine that looks at it this late: a laptop wakes slowly.
PUNCTUAL = timedelta(minutes=1)
# A reminder that comes later than this says so.
LATE = timedelta(minutes=5)
# One that is first seen so long after its time is not given any more: it was for another day.
FORGOTTEN = timedelta(hours=1)


@dataclass(frozen=True)
class Job(ABC):
    """What all of them have.

    Attributes:
        uid: identity of its slots, unlike that of any job of another kind; of a row its note's and its own.
        name: what people call it: of a row `note/row`.
        path: of its note.
    """

    kind: ClassVar[Literal["cron", "reminder"]]

    uid: str
    name: str
    path: str
    spec: CronSpec | ReminderSpec

    @property
    @abstractmethod
    def timetable(self) -> str:
        """What its slots follow, as text; if it has several words, the last one is their time zone."""

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.spec.timezone)

    @property
    def conversation(self) -> str:
        return f"{self.kind}/{self.uid}"

    @property
    def delay(self) -> timedelta:
        """How long after its time a slot is due."""
        return timedelta(0)

    @abstractmethod
    def slots(self, after: datetime) -> Iterator[Slot]:
        """Its slots after `after`, each of which is to have an entry."""

    @abstractmethod
    def backlog(self, after: datetime, until: datetime) -> Backlog:
        """The slots in (after, until]."""

    @abstractmethod
    def counts_from(self, known: datetime) -> datetime:
        """The instant after which its slots count, if its timetable is known since `known`."""

    @abstractmethod
    def why_missed(self, slot: Slot, now: datetime, *, begun: datetime, known: datetime) -> str:
        """Why it is too late for `slot`, in words; empty if it is not.

        `begun` is when this process began to follow its timetable, `known` when any did.
        """

    @abstractmethod
    def turn(
        self, run: str, trigger: Trigger, recipients: Sequence[Address], now: datetime, slot: Slot | None
    ) -> Turn:
        """The work for `slot`, or for none."""

    def coming(self, count: int, start: datetime) -> list[datetime]:
        """When it starts next after `start`, by its own clock; never while it is paused."""
        if self.spec.paused:
            return []
        slots = islice(self.slots(start - self.delay), count)
        return [(slot.at + self.delay).astimezone(self.zone) for slot in slots]


@dataclass(frozen=True)
class CronJob(Job):
    """A `cron` note, or a row of a `crontab`."""

    kind = "cron"

    spec: CronSpec

    @cached_property
    def schedule(self) -> Schedule:
        return Schedule.parse(self.spec.schedule)

    @property
    def timetable(self) -> str:
        fields = "paused" if self.spec.paused else " ".join(self.schedule.fields)
        return f"{fields} {self.zone}"

    @property
    def delay(self) -> timedelta:
        """Its share of the jitter, the same for every slot."""
        jitter = int(self.spec.jitter.total_seconds())
        return timedelta(seconds=zlib.crc32(self.uid.encode()) % (jitter + 1))

    def slots(self, after: datetime) -> Iterator[Slot]:
        return iter(()) if self.spec.paused else self.schedule.slots(after, self.zone)

    def backlog(self, after: datetime, until: datetime) -> Backlog:
        return Backlog(()) if self.spec.paused else backlog(self.schedule, self.zone, after, until)

    def counts_from(self, known: datetime) -> datetime:
        return known

    def why_missed(self, slot: Slot, now: datetime, *, begun: datetime, known: datetime) -> str:
        del known
        late = now - slot.at - self.delay
        within = self.spec.start_within
        if self.spec.catch_up == "skip" and (slot.at + self.delay <= begun or late > PUNCTUAL):
            return "It came due while no engine looked, and `catch-up: skip` leaves it out."
        if late > within:
            return f"Nobody could start it within {duration_text(within)} of its time."
        return ""

    def turn(
        self, run: str, trigger: Trigger, recipients: Sequence[Address], now: datetime, slot: Slot | None
    ) -> Turn:
        del slot
        spec = self.spec
        return Turn(
            id=new_turn_id(now),
            key=f"{self.conversation}/{run}",
            conversation=self.conversation,
            scope=spec.scope,
            trigger=trigger,
            prompt=spec.body,
            recipients=tuple(recipients),
            send_when=SendWhen(spec.send_when),
            limits=Limits(spec.stop_after, spec.budget_usd_per_run, spec.retries, spec.mounts),
            timezone=spec.timezone,
        )


@dataclass(frozen=True)
class ReminderJob(Job):
    """A `reminder`: one slot, under the name of the time as its note says it."""

    kind = "reminder"

    spec: ReminderSpec

    @cached_property
    def slot(self) -> Slot:
        """Its one slot: the first time that its clock shows that time, or the end of a gap around it."""
        at = self.spec.at.replace(second=0, microsecond=0)
        if at.tzinfo is not None:
            return Slot(at.astimezone(UTC), at.isoformat(timespec="minutes"))
        yearly = Schedule.parse(f"{at.minute} {at.hour} {at.day} {at.month} *")
        return next(yearly.slots(at.replace(tzinfo=UTC) - 2 * DAY, self.zone))

    @property
    def timetable(self) -> str:
        # The instant: another zone in which it is the same one changes nothing.
        return "paused" if self.spec.paused else self.slot.at.isoformat(timespec="minutes")

    @property
    def conversation(self) -> str:
        return self.uid

    def slots(self, after: datetime) -> Iterator[Slot]:
        # Also while it is paused: that its time passed then is recorded.
        return iter(() if self.slot.at <= after else (self.slot,))

    def backlog(self, after: datetime, until: datetime) -> Backlog:
        return Backlog(tuple(slot for slot in self.slots(after) if slot.at <= until))

    def counts_from(self, known: datetime) -> datetime:
        # What was late when it was first seen is looked at all the same: it gets its entry.
        return min(known, self.slot.at - SECOND)

    def why_missed(self, slot: Slot, now: datetime, *, begun: datetime, known: datetime) -> str:
        del now, begun
        if self.spec.paused:
            return "It was paused when its time had come."
        if known - slot.at > FORGOTTEN:
            return "Its note asked for it only more than an hour after its time."
        return ""

    def text(self, now: datetime) -> str:
        """What it says at `now`."""
        if now - self.slot.at <= LATE:
            return self.spec.body
        was = self.slot.name.replace("T", " ")
        clock = "" if self.spec.at.tzinfo is not None else f", {self.zone}"
        return f"(This comes late: it was for {was}{clock}.)\n\n{self.spec.body}"

    def turn(
        self, run: str, trigger: Trigger, recipients: Sequence[Address], now: datetime, slot: Slot | None
    ) -> Turn:
        assert self.spec.scope is not None, "a reminder without a scope starts nothing"
        return Turn(
            id=new_turn_id(now),
            key=f"{self.conversation}/{run}",
            conversation=self.conversation,
            scope=self.spec.scope,
            trigger=trigger,
            prompt=self.text(now) if slot is not None else self.spec.body,
            recipients=tuple(recipients),
            timezone=self.spec.timezone,
        )


def jobs_of(resource: Resource[Any]) -> tuple[Job, ...]:
    """What a note of the kinds `cron`, `crontab` and `reminder` declares."""
    uid, name, path = _one_word(resource.uid), resource.ref.name, resource.source.path
    match resource.spec:
        case CronSpec() as spec:
            return (CronJob(uid, name, path, spec),)
        case ReminderSpec() as spec:
            return (ReminderJob(f"reminder/{uid}", name, path, spec),)
        case CrontabSpec() as spec:
            return tuple(
                # A row keeps its past when its note is renamed, and loses it when it is called otherwise.
                CronJob(f"crontab/{uid}/{(row.id or row.name).casefold()}", f"{name}/{row.name}", path, row)
                for row in spec.rows()
            )
    raise TypeError(f"{resource.ref} declares no schedule")


def _one_word(uid: str) -> str:
    """`uid` without a `/`: that tells the identities of the three kinds, and of rows, from one another."""
    return uid.replace("%", "%25").replace("/", "%2F")
