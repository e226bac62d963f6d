"""What the gateway keeps about a session while its door is open, and for a while after."""

import asyncio
from dataclasses import dataclass, field

from vaultloop.gateway.terms import Terms


@dataclass(slots=True)
class Account:
    """One session's.

    Attributes:
        token: what opens its door.
        after: the number of the newest row of the ledger when it was opened: later ones of this session are
            on its bill.
        refused: what it was told when money was lacking, the last time.
        closed: nothing more is forwarded.
        under_way: requests that are being forwarded, or read to their end.
    """

    terms: Terms
    token: str = field(repr=False)
    after: int = 0
    refused: str = ""
    closed: bool = False
    under_way: set[asyncio.Task[None]] = field(default_factory=set)
