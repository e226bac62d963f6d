"""The gateway as sessions see it: what one is granted there, the door that it gets, what it was charged."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from vaultloop.model.conversation import Trigger
from vaultloop.model.policy import Policy

# Under which name in the engine's directory it listens.
SOCKET = "gateway.sock"

# The user that a session is at its door; the password is the door's token.
USER = "session"

# How long a bill waits for streams that are being read to their end (seconds).
BILL_PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class Door:
    """The one address that a session reaches, and the token by which the gateway knows it there.

    The port is this session's alone; the token is worth nothing at another one, nor after the session.
    """

    host: str
    port: int
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Allowance:
    """What all sessions of an agent may cost together, in US dollars; None for no limit."""

    usd_per_day: float | None = None
    usd_per_month: float | None = None
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Grant:
    """What the gateway does for one session.

    Attributes:
        policy: hosts, abilities and budgets are taken from it; with the limits of the turn applied.
        trigger: for the ledger.
        models: the only ones that it may ask for.
        allowance: what binds it together with all other sessions.
    """

    session: str
    policy: Policy
    trigger: Trigger
    models: tuple[str, ...] = ()
    allowance: Allowance = field(default_factory=Allowance)


@dataclass(frozen=True, slots=True)
class Bill:
    """What the gateway has forwarded for one session.

    Attributes:
        usage: tokens by kind, as the model's API counts them.
        estimated: a stream broke, so that some of it is an estimate, never below what was served.
        refused: why the gateway refused it something for lack of money; empty if it did not.
    """

    usd: float = 0.0
    requests: int = 0
    usage: Mapping[str, int] = field(default_factory=dict)
    estimated: bool = False
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Exhausted:
    """A budget is spent.

    Attributes:
        reason: which one, a sentence for its owner.
        until: when its day or month is over.
    """

    reason: str
    until: datetime


class Purse(Protocol):
    """What may still be spent."""

    def exhausted(self, policy: Policy, allowance: Allowance, now: datetime) -> Exhausted | None:
        """The budget because of which sessions under `policy` may spend nothing now; None if they may.

        Of several the one that lasts longest.

        Raises:
            Stalled: what was spent cannot be read.
        """
        ...


class OpenDoor(Protocol):
    """A door while it is open."""

    @property
    def door(self) -> Door: ...
    async def bill(self, patience: float = BILL_PATIENCE) -> Bill:
        """What went through it so far; waits `patience` seconds for streams that are read to their end.

        What is not over by then is in it as an estimate.
        """
        ...


class Doors(Protocol):
    """The port to the gateway."""

    def opened(self, grant: Grant) -> AbstractAsyncContextManager[OpenDoor]:
        """A door that is open for as long as the block lasts; nobody gets through it afterwards.

        Raises:
            Stalled: the gateway cannot run, or does not serve what the grant names; with the cure.
            Retry: it is starting again just now.
        """
        ...
