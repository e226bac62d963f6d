"""The clock of all jobs: every slot becomes one turn or one message, or one recorded reason why not.

One task sleeps until the next slot of any job. What it then does for a job can be done twice without harm:
an entry for a slot is made once, by its primary key, before anything is started; only afterwards the job's
slots count as considered up to there. After a crash between the two the same slot is looked at again, found
to have its entry, and left alone.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from vaultloop.aio.bell import Bell
from vaultloop.aio.clock import Clock
from vaultloop.aio.failpoint import Failpoint, reached
from vaultloop.aio.supervise import background, first, persist
from vaultloop.components.cron.backlog import SECOND, Backlog
from vaultloop.components.cron.job import CronJob, Job, ReminderJob
from vaultloop.components.cron.recipients import Addresses
from vaultloop.components.cron.schedule import Slot
from vaultloop.model.component import Slots, TurnStarter
from vaultloop.model.conversation import Outcome, Reply, Trigger
from vaultloop.model.handover import Handover

log = logging.getLogger(__name__)

# A job whose slots could not be recorded is looked at again after this time.
PAUSE_AFTER_FAILURE = timedelta(seconds=30)
# Of the event loop, where many are due at once.
ROUNDS_BETWEEN_JOBS = 2

# Why a slot that came due under another engine has no run here.
OTHERS = "Another engine acted then, or may have: its own records say what it ran."


@dataclass(slots=True)
class Followed:
    """A job in force.

    Attributes:
        begun: when this process began to follow its timetable: what came due earlier was missed.
        known: when its timetable was followed first, by whatever process.
        considered: every slot up to here has an entry.
        due: when to look at it next; None for a paused job, and while its slots are being settled.
    """

    job: Job
    begun: datetime
    known: datetime
    considered: datetime
    due: datetime | None = None

    def consider(self, until: datetime) -> None:
        """Take slots up to `until` as accounted for, and find the next one."""
        self.considered = until
        self.due = next((slot.at + self.job.delay for slot in self.job.slots(until)), None)


class Timekeeper:
    """Follows jobs for as long as it is entered."""

    def __init__(
        self,
        *,
        slots: Slots,
        turns: TurnStarter,
        clock: Clock,
        addresses: Addresses,
        on_owed: Callable[[], None],
        acting: Callable[[], bool] = lambda: True,
        starts_from: Callable[[], Handover | None] = lambda: None,
    ) -> None:
        """Keep time by `clock`; `on_owed` is called when there is something to deliver.

        Nothing is started while this engine is not `acting`. What it `starts_from` is where the engine that
        acted before left off.
        """
        self._acting, self._starts_from = acting, starts_from
        self._begun = False
        self._slots = slots
        self._turns = turns
        self._clock = clock
        self._addresses = addresses
        self._on_owed = on_owed
        self._followed: dict[str, Followed] = {}
        self._changed = Bell()
        self._running = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._running.enter_async_context(
            background("schedules", persist("schedules", self._watch, self._clock))
        )
        return self

    async def __aexit__(self, *exc: Any) -> None:
        await self._running.aclose()
        self._followed.clear()

    def follow(self, job: Job) -> None:
        """Follow this version of a job from now on; slots of an unchanged timetable stay as they are."""
        now = self._clock.now()
        before = self._followed.get(job.uid)
        unchanged = before is not None and before.job.timetable == job.timetable
        if before is not None and not unchanged:
            self._pass_over(before, now)
        considered = self._slots.considered(job.uid)
        known = self._slots.follow(job.uid, job.timetable, now)
        handover = self._starts_from()
        # A job that is new once all were followed is new to everybody.
        if handover is not None and (considered is not None or not self._begun):
            known = self._take_over(job, considered, handover.since(_known_as(job)), now) or known
        begun = before.begun if before is not None and unchanged else now
        followed = Followed(job, begun, known, now)
        followed.consider(min(job.counts_from(known), now))
        self._followed[job.uid] = followed
        self._changed.ring()

    def forget(self, job: Job) -> None:
        """Follow a job no longer."""
        # Remembered as a timetable: a job that comes back does not catch up what it was not there for.
        self._slots.follow(job.uid, "none", self._clock.now())
        self._followed.pop(job.uid, None)
        self._changed.ring()

    def _take_over(
        self, job: Job, considered: datetime | None, since: datetime, now: datetime
    ) -> datetime | None:
        """Begin after `since`; what came due before is the affair of another engine. None: it began there."""
        if considered is not None and considered >= since:
            return None
        # The other's clock may be ahead of this one: what it has run must not come due here.
        theirs = job.backlog(considered or job.counts_from(min(since, now)), since)
        named = [*([theirs.run] if theirs.run else []), *(slot.name for slot in theirs.slots)]
        self._slots.take_over(job.uid, named, since, detail=OTHERS)
        return since

    def handover(self) -> Handover:
        """What the engine that acts next has to know, now that nothing is started here any more."""
        now = self._clock.now()
        owing = (one for one in self._followed.values() if self._owes(one, now))
        return Handover(now, {_known_as(one.job): one.considered for one in owing})

    def _owes(self, followed: Followed, now: datetime) -> bool:
        """Whether slots of a job that came due have no entry yet."""
        due = followed.job.backlog(followed.considered, now)
        return due.run is not None or any(
            not self._slots.settled(followed.job.uid, slot.name) for slot in due.slots
        )

    def begin(self) -> None:
        """Every job of the vault is followed by now."""
        self._begun = True
        self._changed.ring()

    def look_again(self) -> None:
        """What is due may be started again."""
        self._changed.ring()

    def _pass_over(self, before: Followed, now: datetime) -> None:
        """Give an entry to what came due by a timetable that ends before its turn could start."""
        for slot in before.job.backlog(before.considered, now).slots:
            if not self._slots.settled(before.job.uid, slot.name):
                self._leave_out(before.job, slot, Outcome.SKIPPED, "Its schedule changed meanwhile.")

    async def _watch(self) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                await self._look(group)
                await self._rest()

    async def _look(self, group: asyncio.TaskGroup) -> None:
        """Account for what is due, each job in a task of its own: one may have to wait for a turn to end."""
        if not self._may_start:
            return
        now = self._clock.now()
        for followed in self._followed.values():
            if followed.considered > now:
                # The clock was set back. Entries keep what has run from running again.
                followed.consider(now)
        for followed in sorted(self._followed.values(), key=lambda each: each.due or now):
            if followed.due is not None and followed.due <= now and self._is_current(followed):
                followed.due = None
                group.create_task(self._account(followed, now), name=f"slots of {followed.job.name}")
                # Records are written on the event loop: between two jobs others get on, a chat above all.
                for _ in range(ROUNDS_BETWEEN_JOBS):
                    await asyncio.sleep(0)

    @property
    def _may_start(self) -> bool:
        """What another engine left behind is not touched before it is known of every job."""
        return self._acting() and (self._begun or self._starts_from() is None)

    async def _rest(self) -> None:
        due = [followed.due for followed in self._followed.values() if followed.due is not None]
        if due and self._may_start:
            await first(self._clock.sleep_until(min(due)), self._changed.heard())
        else:
            await self._changed.heard()

    async def _account(self, followed: Followed, now: datetime) -> None:
        job = followed.job
        try:
            if self._is_current(followed):
                await self._settle(followed, now)
            if not self._acting():
                # Looked at again once this engine acts again.
                followed.due = now
        except Exception:
            log.exception(
                "the slots of %s/%s could not be settled", job.kind, job.name, extra={job.kind: job.name}
            )
            followed.due = now + PAUSE_AFTER_FAILURE
        self._changed.ring()

    async def _settle(self, followed: Followed, now: datetime) -> None:
        """Give an entry to every slot that is due: the newest may run, those before it were missed."""
        job = followed.job
        due = job.backlog(followed.considered, now - job.delay)
        if not due.slots:
            followed.consider(followed.considered)
            return
        newest = due.slots[-1]
        self._miss(job, due, before=newest)
        await self._meet(followed, newest, now)
        if self._is_current(followed):
            self._slots.consider(job.uid, newest.at)
            followed.consider(newest.at)

    def _miss(self, job: Job, due: Backlog, before: Slot) -> None:
        missed = [*([due.run] if due.run else []), *(slot.name for slot in due.slots[:-1])]
        if missed:
            why = f"When it was looked at, {before.name} was due already."
            self._slots.miss(job.uid, missed, until=before.at - SECOND, detail=why)
            later = f" and {len(missed) - 1} later" if missed[1:] else ""
            log.warning("%s/%s missed %s%s", job.kind, job.name, missed[0], later, extra={job.kind: job.name})

    async def _meet(self, followed: Followed, slot: Slot, now: datetime) -> None:
        """Give `slot` its entry."""
        job = followed.job
        if self._slots.settled(job.uid, slot.name):
            return
        reached(Failpoint.SLOT_DUE)
        why = job.why_missed(slot, now, begun=followed.begun, known=followed.known)
        if why:
            self._leave_out(job, slot, Outcome.MISSED, why)
        elif isinstance(job, ReminderJob):
            self._remind(job, slot)
        elif isinstance(job, CronJob):
            await self._run(followed, job, slot)

    def _leave_out(self, job: Job, slot: Slot, outcome: Outcome, why: str) -> None:
        self._slots.record(job.uid, slot.name, outcome, detail=why)
        log.warning("%s/%s %s %s. %s", job.kind, job.name, outcome, slot.name, why)

    async def _run(self, followed: Followed, job: CronJob, slot: Slot) -> None:
        if job.spec.overlap == "skip" and self._turns.unfinished(job.conversation):
            self._leave_out(job, slot, Outcome.SKIPPED, "Its last run had not ended.")
            return
        if job.spec.overlap == "replace":
            for key in self._slots.open_turns(job.uid):
                await self._turns.cancel(key, Outcome.REPLACED)
        # Waiting took time: the note may have changed, and then its new version sees to the slot.
        if self._is_current(followed):
            self._start(job, slot)

    def _remind(self, job: ReminderJob, slot: Slot) -> None:
        if job.spec.scope is not None:
            self._start(job, slot)
            return
        addresses, text = self._addresses.of(job.spec.send_to), job.text(self._clock.now())
        if not addresses:
            self._leave_out(job, slot, Outcome.REFUSED, "Nobody is there to hear it.")
            return
        key = f"{job.conversation}/{slot.name}"
        replies = [Reply(f"{key}/{channel}/{chat}", channel, chat, text) for channel, chat in addresses]
        if self._slots.tell(job.uid, slot.name, replies):
            reached(Failpoint.SLOT_RESERVED)
            self._on_owed()

    def _start(self, job: CronJob | ReminderJob, slot: Slot) -> None:
        trigger = Trigger(job.kind, job.name)
        recipients = self._addresses.of(job.spec.send_to)
        turn = job.turn(slot.name, trigger, recipients, self._clock.now(), slot)
        if self._slots.reserve(job.uid, slot.name, turn):
            reached(Failpoint.SLOT_RESERVED)
            self._turns.start(turn)

    def _is_current(self, followed: Followed) -> bool:
        return self._acting() and self._followed.get(followed.job.uid) is followed


def _known_as(job: Job) -> str:
    """What every engine calls a job."""
    return f"{job.kind}/{job.name}"
