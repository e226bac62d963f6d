"""The kinds `cron`, `reminder` and `crontab`."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, WithJsonSchema

from vaultloop.components.cron.grammar import InvalidSchedule, read
from vaultloop.model.conversation import OWNER
from vaultloop.model.fields import (
    Count,
    Duration,
    Moment,
    Name,
    Recipients,
    Texts,
    Timezone,
    Usd,
    plain,
    wrong,
)
from vaultloop.model.finding import Finding
from vaultloop.model.resource import Inherited, Kind, Reference, Spec, Stage


def _schedule(value: Any) -> str:
    written = plain(value)
    try:
        read(written)
    except InvalidSchedule as error:
        raise wrong("bad-schedule", error.message, cure=error.cure) from None
    return written


Timetable = Annotated[
    str,
    BeforeValidator(_schedule),
    WithJsonSchema({"type": "string", "examples": ["0 7 * * *", "*/5 * * * *", "@daily"]}),
]


class CronSpec(Spec):
    """A schedule. The text below the frontmatter is the prompt of each run."""

    uses_body: ClassVar[bool] = True
    to_come: ClassVar[frozenset[str]] = frozenset(
        {"retries", "stop-after", "budget-usd-per-run", "mounts", "send-when"}
    )

    schedule: Timetable
    """Minute, hour, day, month and weekday, as in cron, or `@hourly`, `@daily`, `@weekly`, `@monthly`."""
    timezone: Annotated[Timezone, Inherited()] = "UTC"
    """The clock that the schedule follows, as continent and city."""
    scope: Annotated[Name, Reference("scope")]
    """What its runs may do: a link to a scope note."""
    catch_up: Literal["once", "skip"] = "once"
    """After a time off: run a missed schedule once, or leave it."""
    start_within: Duration = timedelta(hours=1)
    """How late a run may start; later it counts as missed."""
    overlap: Literal["skip", "queue", "replace"] = "skip"
    """When the last run has not ended: leave this one out, let it wait, or end the last one."""
    retries: Count = 0
    """How often a failed run is tried again."""
    jitter: Duration = timedelta(0)
    """Starts are spread over this time, each job always at the same distance."""
    stop_after: Duration | None = None
    """The longest that a run may take; without it, what the scope says."""
    budget_usd_per_run: Usd | None = None
    """The most that one run may cost, in US dollars; without it, what the scope says."""
    mounts: Texts = ()
    """Folders outside the vault that its runs may use, among those of the scope."""
    send_to: Annotated[Recipients, Reference("scope", words=frozenset({OWNER}), ids=True)] = ()
    """Who hears the answer: chat ids, `owner`, or a link to a scope, which means its chats."""
    send_when: Literal["something-to-say", "always", "failure"] = "something-to-say"
    """When they hear it."""

    def findings(self) -> Iterable[Finding]:
        """A run needs something to do."""
        if not self.body:
            message = "This cron has nothing to do: there is no text below the frontmatter."
            yield Finding("body", "empty-body", message, "Write the prompt below the closing `---`.")


class ReminderSpec(Spec):
    """One time. The text below the frontmatter is the reminder, or the prompt of its one run."""

    uses_body: ClassVar[bool] = True

    at: Moment
    """Day and time, such as `2026-11-22 09:00`."""
    timezone: Annotated[Timezone, Inherited()] = "UTC"
    """The clock that shows this time, as continent and city."""
    scope: Annotated[Name | None, Reference("scope")] = None
    """What its run may do: a link to a scope note."""
    send_to: Annotated[Recipients, Reference("scope", words=frozenset({OWNER}), ids=True)] = (OWNER,)
    """Who hears it: chat ids, `owner`, or a link to a scope."""


class CrontabSpec(Spec):
    """Many schedules in one note: a table below the frontmatter, or one heading for each job."""

    uses_body: ClassVar[bool] = True

    timezone: Annotated[Timezone, Inherited()] = "UTC"
    """The clock that the schedules follow, as continent and city."""


KIND = Kind("cron", CronSpec, Stage.TRIGGER, folder="crons")
REMINDER = Kind("reminder", ReminderSpec, Stage.TRIGGER, folder="reminders", has_component=False)
CRONTAB = Kind("crontab", CrontabSpec, Stage.TRIGGER, folder="crons", has_component=False)
