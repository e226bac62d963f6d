"""What is said: messages, turns, replies, and how a turn ended."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

OWNER = "owner"
ANYONE = "anyone"


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


@dataclass(frozen=True, slots=True)
class Turn:
    """Work for one session.

    Attributes:
        id: the session's id.
        key: what it answers, `console/owner/17` or `cron/<uid>/2026-11-22T07:00`: there is one turn per key.
        conversation: turns of one conversation run one after the other, in the order of their making.
        scope: the scope that governs it, by name; the policy is compiled when it starts.
        reply_to: channel and chat that hear the answer, or None for work that only leaves a commit.
    """

    id: str
    key: str
    conversation: str
    scope: str
    trigger: Trigger
    prompt: str
    reply_to: tuple[str, str] | None = None


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
    """What the `defaults` note says about running sessions."""

    runner: Literal["claude", "command"] = "command"
    command: str = "vaultloop practice"
    max_sessions: int = 2
