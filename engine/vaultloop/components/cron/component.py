"""The kinds `cron`, `crontab` and `reminder` at run time: the jobs that their notes declare."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Self

from vaultloop.aio.clock import Clock
from vaultloop.components.cron.job import CronJob, Job, ReminderJob, jobs_of
from vaultloop.components.cron.recipients import Addresses
from vaultloop.components.cron.timekeeper import Timekeeper
from vaultloop.model.change import Change
from vaultloop.model.component import Guard, Slots, TurnStarter
from vaultloop.model.conversation import Trigger, Turn
from vaultloop.model.errors import Denied, Late, VaultloopError
from vaultloop.model.fields import duration_text
from vaultloop.model.handover import Handover
from vaultloop.model.resource import Ref, Resource, Spec
from vaultloop.model.words import near_miss


class CronComponent:
    """Runs notes of all three kinds by one clock."""

    def __init__(
        self,
        *,
        slots: Slots,
        turns: TurnStarter,
        clock: Clock,
        guard: Guard | None = None,
        channel: str = "console",
        on_owed: Callable[[], None] = lambda: None,
        acting: Callable[[], bool] = lambda: True,
        starts_from: Callable[[], Handover | None] = lambda: None,
    ) -> None:
        """Keep time by `clock`; answers go out through `channel`, for a scope to the chats `guard` knows.

        `on_owed` is called when a reminder is to be delivered that no turn answers; `acting`, `starts_from`
        as for `Timekeeper`.
        """
        self._turns = turns
        self._clock = clock
        self._addresses = Addresses(guard, channel)
        self._timekeeper = Timekeeper(
            slots=slots,
            turns=turns,
            clock=clock,
            addresses=self._addresses,
            on_owed=on_owed,
            acting=acting,
            starts_from=starts_from,
        )
        self._resources: dict[tuple[str, str], Resource[Any]] = {}

    async def __aenter__(self) -> Self:
        await self._timekeeper.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._timekeeper.__aexit__(*exc)
        self._resources.clear()

    def inputs(self, spec: Spec) -> Iterable[str]:
        """A job reads the vault only when its turn does."""
        del spec
        return ()

    def observe(self) -> Mapping[Ref, Resource[Any]]:
        """Every note in force: also what is paused, and reminders whose time has passed."""
        return {resource.ref: resource for resource in self._resources.values()}

    async def apply(self, change: Change[Any]) -> None:
        """Follow the new version from now on; slots of an unchanged timetable stay as they are."""
        jobs = jobs_of(change.new) if change.new is not None else ()
        for job in self._replaced(change):
            if job.uid not in {stays.uid for stays in jobs}:
                self._timekeeper.forget(job)
        for job in jobs:
            self._timekeeper.follow(job)
        if change.new is not None:
            self._resources[_identity(change.new)] = change.new

    def _replaced(self, change: Change[Any]) -> list[Job]:
        """The jobs of whatever ran in place of `change`, and of what it says is to end."""
        sides = [side for side in (change.old, change.new) if side is not None]
        running = [self._resources.pop(_identity(side), None) for side in sides]
        gone = [resource for resource in (change.old, *running) if resource is not None]
        return [job for resource in gone for job in jobs_of(resource)]

    def handover(self) -> Handover:
        """What the engine that acts next has to know, now that nothing is started here any more."""
        return self._timekeeper.handover()

    def begin(self) -> None:
        """Every note of the vault was applied once."""
        self._timekeeper.begin()

    def look_again(self) -> None:
        """What is due may be started again."""
        self._timekeeper.look_again()

    def next_slots(self, name: str, count: int, start: datetime | None = None) -> list[datetime]:
        """When a job is due next after `start` (now), by its own clock; never while it is paused.

        Raises:
            VaultloopError: no such job is in force.
        """
        return self._named(name).coming(count, start or self._clock.now())

    def run_now(self, name: str) -> Turn:
        """Start a turn of a job by hand, outside its schedule and whatever its overlap says.

        Raises:
            VaultloopError: no such job is in force, or it is paused.
        """
        job = self._named(name)
        if job.spec.paused:
            raise VaultloopError(f"cron/{job.name} is paused. Remove `paused: true` from {job.path}.")
        now = self._clock.now()
        recipients = self._addresses.of(job.spec.send_to)
        turn = job.turn(
            f"manual-{now:%Y%m%dT%H%M%S.%f}", Trigger("run", job.name), recipients, now, slot=None
        )
        self._turns.start(turn)
        return turn

    def renewed(self, turn: Turn, waits_since: datetime) -> Turn:
        """The work of a turn as its note has it now, for whom it is for now.

        A run that waited in line, or for its next try, must not act on what has been taken back meanwhile.

        Raises:
            Denied: the note or its row is gone, or paused.
            Late: nobody could start it within `start-within`.
        """
        jobs = (job for resource in self._resources.values() for job in jobs_of(resource))
        job = next((job for job in jobs if job.conversation == turn.conversation), None)
        if job is None:
            raise Denied("Its schedule was deleted while it waited.")
        if job.spec.paused:
            raise Denied(f"{job.kind}/{job.name} was paused while it waited.")
        now = self._clock.now()
        # Who runs a cron by hand wants it run; a reminder comes late rather than never.
        if isinstance(job, CronJob) and turn.trigger.kind == "cron":
            _in_time(job, waits_since, now)
        slot = job.slot if isinstance(job, ReminderJob) else None
        renewed = job.turn("", turn.trigger, self._addresses.of(job.spec.send_to), now, slot)
        return replace(renewed, id=turn.id, key=turn.key)

    def _named(self, name: str) -> CronJob:
        return named(name, [job for resource in self._resources.values() for job in jobs_of(resource)])


def _in_time(job: CronJob, waits_since: datetime, now: datetime) -> None:
    if now - waits_since > job.spec.start_within:
        within = duration_text(job.spec.start_within)
        raise Late(f"It waited for its turn for longer than {within} (`start-within`).")


def _identity(resource: Resource[Any]) -> tuple[str, str]:
    return resource.ref.kind, resource.uid


def named(name: str, jobs: Sequence[Job]) -> CronJob:
    """The schedule that `name` means: a row of a crontab by `note/row`, or by `row` where that is clear.

    Raises:
        VaultloopError: there is none, or several.
    """
    by_name: dict[str, list[CronJob]] = {}
    for job in jobs:
        if isinstance(job, CronJob):
            for known in {job.name, job.name.rpartition("/")[2]}:
                by_name.setdefault(known, []).append(job)
    found = [job for job in by_name.get(name, ()) if job.name == name] or by_name.get(name, [])
    if len(found) == 1:
        return found[0]
    if found:
        choice = ", ".join(sorted(job.name for job in found))
        raise VaultloopError(f"Several crons are named {name!r}. Name one of them: {choice}.")
    raise _unknown(name, jobs, by_name)


def _unknown(name: str, jobs: Sequence[Job], known: Collection[str]) -> VaultloopError:
    if any(job.kind == "reminder" and job.name == name for job in jobs):
        return VaultloopError(f"{name} is a reminder: it comes once, by itself.")
    every = ", ".join(sorted(job.name for job in jobs if job.kind == "cron")) or "none"
    meant = near_miss(name, known)
    hint = f" Did you mean {meant}?" if meant else ""
    return VaultloopError(f"No cron named {name!r} is in force. There are: {every}.{hint}")
