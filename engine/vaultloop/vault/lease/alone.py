"""An engine that nobody else can meet: there is no remote, or nobody asks."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from vaultloop.model.handover import Handover
from vaultloop.vault.lease.tenancy import Tenancy


class Alone:
    """What stands for a tenure where there is no remote at which two engines could meet."""

    acting = True
    starts_from: Handover | None = None
    tenancy = Tenancy(acts=True)
    outlook = "It waits for nobody, and starts now."

    def __init__(self) -> None:
        self.lost, self.waits = asyncio.Event(), asyncio.Event()
        self.on_acting: Callable[[], None] = lambda: None

    async def taken(self) -> None:
        """It acts."""

    def ring(self) -> None:
        """There is nothing to look at."""

    def end(self) -> None:
        """Nobody is told anything."""

    async def begun(self) -> None:
        """Nobody has to know."""

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Nobody else is there."""
        yield

    async def step_back(self, handover: Handover | None) -> None:
        """Nobody else is there."""

    async def release(self, handover: Handover | None) -> None:
        """Nobody waits for it."""
