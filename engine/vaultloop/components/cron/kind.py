"""The kinds `cron`, `reminder` and `crontab`."""

import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, WithJsonSchema
from pydantic.json_schema import SkipJsonSchema

from vaultloop.components.cron import crontab
from vaultloop.components.cron.grammar import InvalidSchedule, read
from vaultloop.components.cron.prompt import misread
from vaultloop.model.conversation import OWNER
from vaultloop.model.entry import Entries
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
from vaultloop.model.problem import Severity
from vaultloop.model.resource import Inherited, Kind, Reference, Spec, Stage, Within

# The years whose days every clock of the tz database can tell.
EARLIEST_YEAR, LATEST_YEAR = 1970, 9000


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


# What a name is followed by in keys and commands.
_RESERVED = re.compile(r"[/#|]+")


def _row_name(value: Any) -> str:
    name = plain(value)
    if found := re.fullmatch(r"\[\[([^\[\]|]+)\]\]", name):
        name = found[1]
    if _RESERVED.search(name):
        instead = _RESERVED.sub("-", name).strip("- ")
        raise wrong("bad-name", f"`{name}` has a `/`, `#` or `|` in it.", write=instead or "job")
    if not name:
        raise wrong("bad-name", "This job has no name.", cure="Write a name, such as `morning`.")
    return name


class CronSpec(Spec):
    """A schedule. The text below the frontmatter is the prompt of each run."""

    uses_body: ClassVar[bool] = True

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
    mounts: Annotated[Texts, Within("scope", "mount-not-granted")] = ()
    """The folders outside the vault that its runs use, among those of the scope; without it, all of them."""
    send_to: Annotated[Recipients, Reference("scope", words=frozenset({OWNER}), ids=True)] = ()
    """Who hears the answer: chat ids, `owner`, or a link to a scope, which means its chats."""
    send_when: Literal["something-to-say", "always", "failure"] = "something-to-say"
    """When they hear it."""

    def findings(self) -> Iterable[Finding]:
        """A run needs something to do."""
        if not self.body:
            message = "This cron has nothing to do: there is no text below the frontmatter."
            yield Finding("body", "empty-body", message, "Write the prompt below the closing `---`.")
        yield from misread(self.body)


class ReminderSpec(Spec):
    """One time. The text below the frontmatter is what is said then.

    With a `scope` it is the prompt of one run, and the answer is what is said. A reminder that was known in
    time is never lost: after a time off it comes late, and says so. One that is first seen more than an hour
    after its time is recorded as missed.
    """

    uses_body: ClassVar[bool] = True

    at: Moment
    """Day and time, such as `2026-11-22 09:00`. A time that the clock shows twice means the first one; a time
    that it jumps over means the moment after the jump."""
    timezone: Annotated[Timezone, Inherited()] = "UTC"
    """The clock that shows this time, as continent and city."""
    scope: Annotated[Name | None, Reference("scope")] = None
    """What its run may do: a link to a scope note. Without it the text itself is sent, and nothing runs."""
    send_to: Annotated[Recipients, Reference("scope", words=frozenset({OWNER}), ids=True)] = (OWNER,)
    """Who hears it: chat ids, `owner`, or a link to a scope, which means its chats."""

    def findings(self) -> Iterable[Finding]:
        """A reminder needs something to say, somebody who hears it, and a time that a clock will show."""
        if not self.body:
            message = "This reminder says nothing: there is no text below the frontmatter."
            yield Finding("body", "empty-body", message, "Write the text below the closing `---`.")
        if not EARLIEST_YEAR <= self.at.year <= LATEST_YEAR:
            message = f"The year {self.at.year} is none that a reminder can be for."
            cure = "Write year, month, day and time: `2026-11-22 09:00`."
            yield Finding("at", "impossible-date", message, cure)
        if self.scope is None and not self.send_to:
            message = "Nobody hears this reminder."
            yield Finding("send-to", "nobody", message, write=OWNER, severity=Severity.WARNING)
        # Without an agent the text is sent as it stands.
        yield from misread(self.body) if self.scope else misread(self.body, known=())


class CrontabJob(CronSpec):
    """One schedule among others in a note."""

    name: Annotated[str, BeforeValidator(_row_name)]
    """What it is called, once in the note; its slots and its past go by this name."""

    def findings(self) -> Iterable[Finding]:
        """What is written in its row is checked where the row is read."""
        return ()


class CrontabSpec(Spec):
    """Many schedules in one note: a table below the frontmatter, or one heading for each job.

    A table has the columns `name`, `schedule`, `scope` and `prompt`, in any order, and a column for each
    other key of a `cron` note that is wanted:

        | name    | schedule    | scope     | prompt                     |
        | ------- | ----------- | --------- | -------------------------- |
        | morning | `0 7 * * *` | [[owner]] | What is planned for today? |

    Or the heading is the name, the lines below it are the keys, and the text below them is the prompt:

        ## morning

        schedule: 0 7 * * *
        scope: [[owner]]

        What is planned for today?

    Text around the table, headings without keys, and comments are for people. A note is in force as a whole:
    while anything in it is wrong, all its jobs go on as they were.
    """

    entries_in: ClassVar[str | None] = "jobs"

    timezone: Annotated[Timezone, Inherited()] = "UTC"
    """The clock that the schedules follow, as continent and city; a job may name another one."""
    jobs: SkipJsonSchema[tuple[CrontabJob, ...]] = ()
    """The schedules, as the text below the frontmatter declares them."""

    @classmethod
    def entries(cls, text: str) -> Entries:
        """The jobs of the text below the frontmatter."""
        return crontab.read(text, CrontabJob.frontmatter())

    @classmethod
    def entry_spec(cls) -> type[Spec]:
        """What a job may say."""
        return CrontabJob

    def rows(self) -> tuple[CrontabJob, ...]:
        """The schedules as they run: a paused note pauses them all."""
        paused = ((row, self.paused or row.paused) for row in self.jobs)
        return tuple(row.model_copy(update={"paused": pause}) for row, pause in paused)

    def fields(self) -> dict[str, Any]:
        """Those of each job by its name: a plan tells one changed cell, not the table."""
        fields = super().fields()
        fields.pop("jobs", None)
        for job in self.jobs:
            fields |= {f"{job.name}: {key}": value for key, value in job.fields().items() if key != "name"}
        return fields

    def not_enforced(self) -> list[str]:
        """What any of the jobs says that this version does nothing about."""
        return sorted({name for job in self.jobs for name in job.not_enforced()})


KIND = Kind("cron", CronSpec, Stage.TRIGGER, folder="crons")
REMINDER = Kind("reminder", ReminderSpec, Stage.TRIGGER, folder="reminders")
CRONTAB = Kind("crontab", CrontabSpec, Stage.TRIGGER, folder="crons")
