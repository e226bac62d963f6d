"""What an engine says of its lease, to its owner and in its records."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from vaultloop.vault.lease.lease import REFERENCE, Bearer, Lease

UNSURE = (
    "Another engine was seen at this remote within a day, and it cannot be seen now whether that one acts:"
    " nothing is started or answered until the remote answers."
)

# How one that waits may come to act. Anybody may know it, so it names no engine and no remote.
ASKS = "It cannot be asked at the remote who acts; `vaultloop status` says why."
AWAITS = "Another engine may still act. This one takes over at its word, or after its silence."
STANDS_DOWN = (
    "Another engine acts. This one takes over when that one says that it has ended; if it dies without a"
    " word, or to let this one act now, restart this one."
)
HINDERED = "Another engine acts, and its lease could not be claimed; `vaultloop status` says why."


@dataclass(frozen=True, slots=True)
class Tenancy:
    """How an engine stands at its remote.

    Attributes:
        acts: whether it starts anything now.
        holder: who has the lease; empty where nobody does, or it is not known.
        since: since when.
        why: why it does not act, or acts without a lease, with the cure; empty if all is well.
    """

    acts: bool
    holder: str = ""
    since: datetime | None = None
    why: str = ""

    def as_json(self) -> dict[str, object]:
        """The shape that `vaultloop status --json` promises."""
        since = self.since.isoformat(timespec="seconds") if self.since else None
        return {"acts": self.acts, "holder": self.holder, "since": since, "why": self.why}


def unwritable(url: str, why: str) -> str:
    """It acts, but other engines cannot see that."""
    return (
        f"Two engines could not see each other at {url}: it does not take {REFERENCE} ({why.rstrip('.')})."
        " Run one engine only, or allow that reference there."
    )


def unknown(url: str, trouble: str | None) -> str:
    """It cannot be asked who acts."""
    return f"It cannot be asked at {url} who acts. {trouble or ''}".strip()


def waiting(awaited: Sequence[Bearer]) -> str:
    """It is to act, but others may still."""
    return f"It waits for the word of who acted before ({', '.join(map(str, awaited))})."


def held(lease: Lease, unwritten: str) -> str:
    """Another engine acts; `unwritten` says why that could not be claimed."""
    others = f"Engine {lease.holder} acts since {lease.since:%Y-%m-%d %H:%M} UTC."
    if unwritten:
        return f"{others} Its lease could not be claimed: {unwritten}"
    return f"{others} Restart this one to let it act, or stop the other."
