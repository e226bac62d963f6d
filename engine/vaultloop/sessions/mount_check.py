"""Whether the operator's folders that scopes name can be shown, found out before a session needs them.

A mount that is not known, or whose folder is gone, stops every session of its scope; else only who asks first
would hear of it. It is looked at when notes were applied and once a minute.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from vaultloop.aio.bell import Bell
from vaultloop.aio.clock import Clock, sleep
from vaultloop.aio.supervise import first
from vaultloop.sessions import mounts

log = logging.getLogger(__name__)

PERIOD = timedelta(minutes=1)


class MountCheck:
    """Looks at the mounts of the scopes in force, again and again."""

    def __init__(
        self,
        named: Callable[[], Mapping[str, Collection[str]]],
        known: Mapping[str, Path],
        private: Collection[Path],
        clock: Clock,
        tell: Callable[[Sequence[str]], None],
    ) -> None:
        """`named` gives the mounts of each scope in force; `known` and `private` are as for `mounts.granted`.

        `tell` is given the sentences whenever they have changed.
        """
        self._named = named
        self._known = known
        self._private = private
        self._clock = clock
        self._tell = tell
        self._told: list[str] | None = None
        self._bell = Bell()

    def ring(self) -> None:
        """Notes were applied."""
        self._bell.ring()

    async def run(self) -> None:
        """Look now, when notes were applied, and again and again; until cancelled."""
        while True:
            await self.look()
            await first(self._bell.heard(), sleep(self._clock, PERIOD.total_seconds()))

    async def look(self) -> None:
        """Tell what cannot be shown, if that has changed."""
        # In a thread: the folder of another machine may be slow to answer.
        found = await asyncio.to_thread(mounts.shortcomings, self._named(), self._known, self._private)
        if found == self._told:
            return
        self._tell(found)
        for sentence in found:
            log.warning("%s", sentence)
        self._told = found
