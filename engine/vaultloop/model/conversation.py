"""What is said: messages, turns, replies, and how a turn ended."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

OWNER = "owner"
ANYONE = "anyone"

# Where a reply goes: a channel and a chat of it.
Address = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Message:
    """One message as a channel reported it.

    Attributes:
        channel: the bridge's platform, `console` or `telegram`.
        chat, person: numeric ids as text; `owner` for the console, which counts as the owner's private chat.
        id: the channel's own id of the message: with channel and chat it is unique for ever.
    """

    channel: str
    chat: str
    id: str
    person: str
    text: str
    sent_at: datetime

    @property
    def conversation(self) -> str:
        return f"{self.channel}/{self.chat}"

    @property
    def key(self) -> str:
        return f"{self.conversation}/{self.id}"


@dataclass(frozen=True, slots=True)
class Trigger:
    """Why a session ran, as the audit trail says it: a kind and a name, never a chat id."""

    kind: Literal["message", "cron", "reminder", "run"]
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


# What an agent answers that has nothing to report; told to it where silence is wanted.
NOTHING_TO_SAY = "NOTHING TO SAY"


class SendWhen(StrEnum):
    """When the recipients of a turn hear of its end."""

    SOMETHING_TO_SAY = "something-to-say"
    ALWAYS = "always"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one turn may use up: it only ever narrows what its scope says.

    Attributes:
        stop_after: the longest that one run may take.
        budget_usd: the most that one run may cost.
        retries: how often a failed run is tried again.
        mounts: the mounts that it uses among those of its scope; empty for all of them.
    """

    stop_after: timedelta | None = None
    budget_usd: float | None = None
    retries: int = 0
    mounts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Turn:
    """Work for one session.

    Attributes:
        id: the session's id.
        key: what it answers, `console/owner/17` or `cron/<uid>/2026-11-22T07:00`: there is one turn per key.
        conversation: turns of one conversation run one after the other, in the order of their making.
        scope: the scope that governs it, by name; the policy is compiled when it starts.
        recipients: who hears how it ended; nobody for work that only leaves a commit.
        timezone: the clock in which its prompt is told when its last run was.
    """

    id: str
    key: str
    conversation: str
    scope: str
    trigger: Trigger
    prompt: str
    recipients: tuple[Address, ...] = ()
    send_when: SendWhen = SendWhen.ALWAYS
    limits: Limits = Limits()
    timezone: str = "UTC"


def new_turn_id(now: datetime) -> str:
    """A fresh id that sorts by time and can be read aloud: `20261122-124830-7f3a2b`."""
    return f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


class Outcome(StrEnum):
    """How a turn or a slot ended; each has exactly one."""

    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed-out"
    REFUSED = "refused"
    REPLACED = "replaced"
    SKIPPED = "skipped"
    MISSED = "missed"


@dataclass(frozen=True, slots=True)
class Reply:
    """Text for a chat.

    Attributes:
        key: a reply is delivered once per key, however often it is handed over.
    """

    key: str
    channel: str
    chat: str
    text: str


@dataclass(frozen=True, slots=True)
class AgentDefaults:
    """What the `defaults` note says about running sessions.

    Attributes:
        budget_usd_per_day, budget_usd_per_month: what all sessions may cost together; None for no limit.
        timezone: in which a day and a month begin.
    """

    runner: Literal["claude", "command"] = "command"
    command: str = "vaultloop practice"
    max_sessions: int = 2
    budget_usd_per_day: float | None = None
    budget_usd_per_month: float | None = None
    timezone: str = "UTC"
