"""Schedules at run time: every slot of every job becomes one turn, or one recorded reason why not.

One task sleeps until the next slot of any job. What it then does for a job can be done twice without harm:
an entry for a slot is made once, by its primary key, before anything is started; only afterwards the job's
slots count as considered up to there. After a crash between the two the same slot is looked at again, found
to have its entry, and left alone.
"""

import asyncio
import logging
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Self
from zoneinfo import ZoneInfo

from vaultloop.aio.bell import Bell
from vaultloop.aio.clock import Clock
from vaultloop.aio.failpoint import Failpoint, reached
from vaultloop.aio.supervise import background, first, persist
from vaultloop.components.cron.backlog import SECOND, Backlog, backlog
from vaultloop.components.cron.kind import CronSpec
from vaultloop.components.cron.schedule import Schedule, Slot
from vaultloop.model.change import Change
from vaultloop.model.component import Guard, Slots, TurnStarter
from vaultloop.model.conversation import OWNER, Outcome, Trigger, Turn, new_turn_id
from vaultloop.model.errors import Denied, VaultloopError
from vaultloop.model.resource import Ref, Resource

log = logging.getLogger(__name__)

# A job whose slots could not be recorded is looked at again after this time.
PAUSE_AFTER_FAILURE = timedelta(seconds=30)
# With `catch-up: skip` a slot counts as met by an engine that looks at it this late: a laptop wakes slowly.
PUNCTUAL = timedelta(minutes=1)


@dataclass(slots=True)
class _Job:
    """One schedule in force.

    Attributes:
        begun: when this process began to follow it: what came due earlier was missed.
        considered: every slot up to here has an entry.
        due: when to look at it next; None for a paused job, and while its slots are being settled.
    """

    resource: Resource[CronSpec]
    schedule: Schedule
    zone: ZoneInfo
    begun: datetime
    considered: datetime
    due: datetime | None = None

    @classmethod
    def of(cls, resource: Resource[CronSpec], begun: datetime, considered: datetime) -> Self:
        """The job of a note whose slots up to `considered` have entries."""
        spec = resource.spec
        job = cls(resource, Schedule.parse(spec.schedule), ZoneInfo(spec.timezone), begun, considered)
        job.consider(considered)
        return job

    @property
    def uid(self) -> str:
        return self.resource.uid

    @property
    def name(self) -> str:
        return self.resource.ref.name

    @property
    def spec(self) -> CronSpec:
        return self.resource.spec

    @property
    def conversation(self) -> str:
        return f"cron/{self.uid}"

    @property
    def timetable(self) -> str:
        """What its slots follow, as text; a pause is a timetable without slots."""
        return "paused" if self.spec.paused else f"{' '.join(self.schedule.fields)} {self.zone}"

    @property
    def delay(self) -> timedelta:
        """Its share of the jitter, the same for every slot."""
        jitter = int(self.spec.jitter.total_seconds())
        return timedelta(seconds=zlib.crc32(self.uid.encode()) % (jitter + 1))

    def slots(self, after: datetime) -> Iterator[Slot]:
        """Its slots after `after`; none while it is paused."""
        return iter(()) if self.spec.paused else self.schedule.slots(after, self.zone)

    def consider(self, until: datetime) -> None:
        """Take slots up to `until` as accounted for, and find the next one."""
        self.considered = until
        self.due = next((slot.at + self.delay for slot in self.slots(until)), None)

    def may_start(self, slot: Slot, now: datetime) -> bool:
        """Whether it is not too late for `slot`."""
        late = now - slot.at - self.delay
        if self.spec.catch_up == "skip":
            return slot.at > self.begun and late <= min(PUNCTUAL, self.spec.start_within)
        return late <= self.spec.start_within


class CronComponent:
    """Runs `cron` notes."""

    def __init__(
        self,
        *,
        slots: Slots,
        turns: TurnStarter,
        clock: Clock,
        guard: Guard | None = None,
        channel: str = "console",
    ) -> None:
        """Keep time by `clock`; answers go out through `channel`, for a scope to the chats `guard` knows."""
        self._slots = slots
        self._turns = turns
        self._clock = clock
        self._guard = guard
        self._channel = channel
        self._jobs: dict[str, _Job] = {}
        self._changed = Bell()
        self._running = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._running.enter_async_context(
            background("schedules", persist("schedules", self._watch, self._clock))
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._running.aclose()
        self._jobs.clear()

    def inputs(self, spec: CronSpec) -> Iterable[str]:
        """A job reads the vault only when its turn does."""
        del spec
        return ()

    def observe(self) -> Mapping[Ref, Resource[CronSpec]]:
        """Every job, paused ones too."""
        return {job.resource.ref: job.resource for job in self._jobs.values()}

    async def apply(self, change: Change[CronSpec]) -> None:
        """Follow the new version from now on; slots of an unchanged timetable stay as they are."""
        now = self._clock.now()
        if change.new is None:
            assert change.old is not None
            # Remembered as a timetable: a job that comes back does not catch up what it was not there for.
            self._slots.follow(change.old.uid, "none", now)
            self._jobs.pop(change.old.uid, None)
        else:
            self._follow(change.new, now)
        self._changed.ring()

    def next_slots(self, name: str, count: int, start: datetime | None = None) -> list[datetime]:
        """When a job is due next after `start` (now), by its own clock; never while it is paused.

        Raises:
            VaultloopError: no such job is in force.
        """
        return next_slots(self._named(name).spec, count, start or self._clock.now())

    def run_now(self, name: str) -> Turn:
        """Start a turn of a job by hand, outside its schedule and whatever its overlap says.

        Raises:
            VaultloopError: no such job is in force, or it is paused.
        """
        job = self._named(name)
        if job.spec.paused:
            raise VaultloopError(
                f"cron/{name} is paused. Remove `paused: true` from {job.resource.source.path}."
            )
        now = self._clock.now()
        turn = self._turn(job, f"manual-{now:%Y%m%dT%H%M%S.%f}", now, Trigger("run", name))
        self._turns.start(turn)
        return turn

    def _named(self, name: str) -> _Job:
        for job in self._jobs.values():
            if job.name == name:
                return job
        known = ", ".join(sorted(job.name for job in self._jobs.values())) or "none"
        raise VaultloopError(f"No cron named {name!r} is in force. There are: {known}.")

    def _follow(self, resource: Resource[CronSpec], now: datetime) -> None:
        job = _Job.of(resource, begun=now, considered=now)
        before = self._jobs.get(resource.uid)
        if before is not None and before.timetable == job.timetable:
            job.begun = before.begun
        job.consider(min(self._slots.follow(job.uid, job.timetable, now), now))
        self._jobs[job.uid] = job

    async def _watch(self) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                self._look(group)
                await self._rest()

    def _look(self, group: asyncio.TaskGroup) -> None:
        """Account for what is due, each job in a task of its own: one may have to wait for a turn to end."""
        now = self._clock.now()
        for job in self._jobs.values():
            if job.considered > now:
                # The clock was set back. Entries keep what has run from running again.
                job.consider(now)
            if job.due is not None and job.due <= now:
                job.due = None
                group.create_task(self._account(job, now), name=f"slots of {job.name}")

    async def _rest(self) -> None:
        due = [job.due for job in self._jobs.values() if job.due is not None]
        if due:
            await first(self._clock.sleep_until(min(due)), self._changed.heard())
        else:
            await self._changed.heard()

    async def _account(self, job: _Job, now: datetime) -> None:
        try:
            await self._settle(job, now)
        except Exception:
            log.exception("the slots of cron/%s could not be settled", job.name, extra={"cron": job.name})
            job.due = now + PAUSE_AFTER_FAILURE
        self._changed.ring()

    async def _settle(self, job: _Job, now: datetime) -> None:
        """Give an entry to every slot that is due: the newest may run, those before it were missed."""
        due = backlog(job.schedule, job.zone, job.considered, now - job.delay)
        if not due.slots:
            job.consider(job.considered)
            return
        newest = due.slots[-1]
        self._miss(job, due, before=newest)
        await self._meet(job, newest, now)
        if self._is_current(job):
            self._slots.consider(job.uid, newest.at)
            job.consider(newest.at)

    def _miss(self, job: _Job, due: Backlog, before: Slot) -> None:
        missed = [*([due.run] if due.run else []), *(slot.name for slot in due.slots[:-1])]
        if missed:
            self._slots.miss(job.uid, missed, until=before.at - SECOND)
            later = f" and {len(missed) - 1} later" if missed[1:] else ""
            log.warning("cron/%s missed %s%s", job.name, missed[0], later, extra={"cron": job.name})

    async def _meet(self, job: _Job, slot: Slot, now: datetime) -> None:
        """Give `slot` its entry."""
        if self._slots.settled(job.uid, slot.name):
            return
        reached(Failpoint.SLOT_DUE)
        if not job.may_start(slot, now):
            self._slots.record(job.uid, slot.name, Outcome.MISSED)
            log.warning("cron/%s missed %s: it is too late to start it", job.name, slot.name)
        elif job.spec.overlap == "skip" and self._turns.unfinished(job.conversation):
            self._slots.record(job.uid, slot.name, Outcome.SKIPPED)
            log.info("cron/%s skipped %s: its last run has not ended", job.name, slot.name)
        else:
            if job.spec.overlap == "replace":
                await self._end_running(job)
            # Waiting took time: the note may have changed, and then its new version sees to the slot.
            if self._is_current(job):
                self._reserve(job, slot)

    async def _end_running(self, job: _Job) -> None:
        for key in self._slots.open_turns(job.uid):
            await self._turns.cancel(key, Outcome.REPLACED)

    def _reserve(self, job: _Job, slot: Slot) -> None:
        turn = self._turn(job, slot.name, self._clock.now(), Trigger("cron", job.name))
        if self._slots.reserve(job.uid, slot.name, turn):
            reached(Failpoint.SLOT_RESERVED)
            self._turns.start(turn)

    def _turn(self, job: _Job, run: str, now: datetime, trigger: Trigger) -> Turn:
        return Turn(
            id=new_turn_id(now),
            key=f"{job.conversation}/{run}",
            conversation=job.conversation,
            scope=job.spec.scope,
            trigger=trigger,
            prompt=job.spec.body,
            reply_to=self._reply_to(job.spec),
        )

    def _reply_to(self, spec: CronSpec) -> tuple[str, str] | None:
        chat = next(iter(self._chats(spec)), None)
        return None if chat is None else (self._channel, chat)

    def _chats(self, spec: CronSpec) -> Iterator[str]:
        for recipient in spec.send_to:
            if recipient == OWNER or recipient.lstrip("-").isdigit():
                yield recipient
            elif self._guard is not None:
                # A revoked scope has no chats: its runs still leave their commits.
                with suppress(Denied):
                    yield from self._guard.policy(recipient).chats

    def _is_current(self, job: _Job) -> bool:
        return self._jobs.get(job.uid) is job


def next_slots(spec: CronSpec, count: int, start: datetime) -> list[datetime]:
    """When a job with `spec` is due next after `start`, by its own clock; never while it is paused."""
    if spec.paused:
        return []
    zone = ZoneInfo(spec.timezone)
    return [
        slot.at.astimezone(zone) for slot in islice(Schedule.parse(spec.schedule).slots(start, zone), count)
    ]
