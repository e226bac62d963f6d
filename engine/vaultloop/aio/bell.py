"""A bell says "look again", never what happened, so ringing twice is the same as ringing once."""

import asyncio


class Bell:
    """A level trigger: rings are coalesced until somebody hears them.

    Safe to ring from the event loop only; another thread rings through `loop.call_soon_threadsafe`.
    """

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Ask for one more look; a no-op while an earlier ring is unheard."""
        self._rung.set()

    async def heard(self) -> None:
        """Wait for a ring and take it.

        Taken before the look begins, so that a ring during the look causes another one.
        """
        await self._rung.wait()
        self._rung.clear()
