"""How each resource stands, in six words."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from vaultloop.model.resource import Ref


class Condition(StrEnum):
    """Exactly one holds for a resource at a time."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    OUTDATED = "Outdated"
    HELD = "Held"
    SUSPENDED = "Suspended"
    STALLED = "Stalled"


@dataclass(frozen=True, slots=True)
class Status:
    """One row of the status book.

    Attributes:
        reason: CamelCase word for machines; `message` is the sentence for people.
        since: when this condition, with this reason, began.
        attempted: the newest revision whose version of it was tried; `applied`: the one that runs.
    """

    ref: Ref
    condition: Condition
    reason: str
    message: str
    since: datetime
    attempted: str | None = None
    applied: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The shape that `vaultloop status --json` promises."""
        return {
            "kind": self.ref.kind,
            "name": self.ref.name,
            "condition": str(self.condition),
            "reason": self.reason,
            "message": self.message,
            "since": self.since.isoformat(timespec="seconds"),
            "attempted": self.attempted,
            "applied": self.applied,
        }


class PushState(StrEnum):
    """Where the newest local commit is."""

    LOCAL = "local"
    PUSHED = "pushed"
    STRANDED = "stranded"


@dataclass(frozen=True, slots=True)
class Push:
    """`local` without a remote or before the first push; `stranded` when pushing has failed since `since`."""

    state: PushState
    since: datetime
    message: str = ""

    def as_json(self) -> dict[str, Any]:
        return {
            "state": str(self.state),
            "since": self.since.isoformat(timespec="seconds"),
            "message": self.message,
        }


class Confinement(StrEnum):
    """What holds a session's process in."""

    UNCONFINED = "unconfined"
    FENCED = "fenced"
    DEGRADED = "degraded"
