"""What the gateway keeps about a session while its door is open, and for a while after."""

import asyncio
from dataclasses import dataclass, field

from vaultloop.gateway.terms import Terms

# Requests of one session that are under way at once. A budget can be overshot by what is under way: this
# bounds it. An agent with helpers asks for a few at a time; more wait.
MOST_UNDER_WAY = 4


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
        turns: one for each of them, taken before a large body is read and given back after: it bounds too
            what is held in memory for a session.
        small: held while a small body is understood.
        large: held while a large body is read and understood: one at a time.
        billed_by: when the patience for what is under way ends, in the time of the event loop, once a bill
            was asked for.
    """

    terms: Terms
    token: str = field(repr=False)
    after: int = 0
    refused: str = ""
    closed: bool = False
    under_way: set[asyncio.Task[None]] = field(default_factory=set)
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_UNDER_WAY))
    small: asyncio.Lock = field(default_factory=asyncio.Lock)
    large: asyncio.Lock = field(default_factory=asyncio.Lock)
    billed_by: float | None = None

    async def settled(self, patience: float) -> None:
        """Wait for what is under way, `patience` seconds from the first time that it is asked."""
        now = asyncio.get_running_loop().time()
        if not self.under_way:
            return
        self.billed_by = self.billed_by or now + patience
        await asyncio.wait(self.under_way, timeout=max(0.0, self.billed_by - now))
