"""Telling the engine that there may be news: one call at a time, however many webhooks arrive."""

import asyncio
from pathlib import Path

from vaultloop.aio import rpc
from vaultloop.web.health import PATIENCE


class Doorbell:
    """Rings the engine's bell over its socket."""

    def __init__(self, socket: Path, *, patience: float = PATIENCE) -> None:
        self._socket = socket
        self._patience = patience
        self._ringing: asyncio.Task[bool] | None = None
        self._next: asyncio.Task[bool] | None = None

    async def ring(self) -> bool:
        """Whether the engine has heard a ring that began after this call; it answers before it looks.

        A ring that is under way may have come too early for what its caller tells of, so that all who come
        meanwhile share the next one.
        """
        if self._next is None:
            self._next = asyncio.create_task(self._after(self._ringing), name="ring of webhooks")
        # One forge that hangs up must not take the answer from the others.
        return await asyncio.shield(self._next)

    async def _after(self, under_way: asyncio.Task[bool] | None) -> bool:
        if under_way is not None:
            await asyncio.wait({under_way})
        self._ringing, self._next = self._next, None
        try:
            async with asyncio.timeout(self._patience), rpc.connected(self._socket) as peer:
                await peer.call("ring")
        except (OSError, rpc.RpcError):  # a timeout is an OSError, too
            return False
        return True
