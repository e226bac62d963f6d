"""The kind `defaults`."""

from typing import Any, Literal

from vaultloop.model.conversation import AgentDefaults
from vaultloop.model.fields import Positive, Text, Timeout, Timezone, Usd
from vaultloop.model.outside import Command
from vaultloop.model.resource import (
    DEFAULT_MAX_SESSIONS,
    DEFAULT_STOP_AFTER,
    NOTHING_KNOWN,
    Kind,
    Known,
    Resource,
    Spec,
    Stage,
)

_BUILT_IN = AgentDefaults()


class DefaultsSpec(Spec):
    """The agent's defaults. A vault has one such note, or none."""

    runner: Literal["claude", "command"] = _BUILT_IN.runner
    """The program that answers: `claude` is Claude Code, `command` is any program of yours."""
    command: Command = _BUILT_IN.command
    """With `runner: command`, the program and its arguments. It reads the prompt and prints the reply."""
    model: Text | None = None
    """The model that sessions ask for, unless their scope names another."""
    timezone: Timezone = "UTC"
    """Where you live, as continent and city; schedules without a timezone of their own follow it."""
    max_sessions: Positive = DEFAULT_MAX_SESSIONS
    """How many sessions run at once; the rest wait in line."""
    stop_after: Timeout = DEFAULT_STOP_AFTER
    """The longest that a session may take."""
    budget_usd_per_run: Usd | None = None
    """The most that one session may cost, in US dollars."""
    budget_usd_per_day: Usd | None = None
    """The most that all sessions of a day may cost together."""
    budget_usd_per_month: Usd | None = None
    """The most that all sessions of a calendar month may cost together."""

    def not_enforced(self) -> list[str]:
        """Also what a program of one's own is not held to: nobody but `claude` knows models and costs."""
        budgets = {"budget-usd-per-run", "budget-usd-per-day", "budget-usd-per-month"}
        blind = {"model", *budgets} if self.runner == "command" else set()
        return [name for name in self.fields() if name in self.to_come | blind]

    @classmethod
    def permission_changes(
        cls, old: Resource[Any] | None, new: Resource[Any] | None, known: Known = NOTHING_KNOWN
    ) -> tuple[str, ...]:
        """What all sessions together may spend more or less."""
        del known
        told = []
        for field, span in (("budget_usd_per_day", "a day"), ("budget_usd_per_month", "a month")):
            before, after = (_in_force(note, field) for note in (old, new))
            if before != after:
                sign = "+" if after is None or (before is not None and after > before) else "-"
                usd = "any number of" if after is None else f"at most {after:g}"
                told.append(f"all sessions: {sign} {usd} USD {span}")
        return tuple(told)

    def agent(self) -> AgentDefaults:
        """What the sessions are told."""
        return AgentDefaults(
            runner=self.runner,
            command=self.command,
            max_sessions=self.max_sessions,
            budget_usd_per_day=self.budget_usd_per_day,
            budget_usd_per_month=self.budget_usd_per_month,
            timezone=self.timezone,
        )


def _in_force(note: Resource[Any] | None, field: str) -> float | None:
    usd: float | None = None if note is None or note.spec.paused else getattr(note.spec, field)
    return usd


KIND = Kind("defaults", DefaultsSpec, Stage.ACCESS, folder="", single=True)
