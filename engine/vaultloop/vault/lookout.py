"""The vault as the reconciler asks for it: a look covers what was announced since the last one, no more."""

from collections.abc import Callable
from typing import Any, TypeVar

from vaultloop.model.status import Push
from vaultloop.vault.repository import Repository
from vaultloop.vault.sync import Sync
from vaultloop.vault.watcher import Watcher

R = TypeVar("R")


class Lookout:
    """Remembers between two looks which files were touched, and whether all are to be looked at.

    A bell only says "look again". The remote is polled apart from that: a saved note must not wait for one
    that is slow to answer.
    """

    def __init__(self, sync: Sync, watcher: Watcher | None) -> None:
        """`watcher` is None where there is no folder."""
        self._sync = sync
        self._watcher = watcher
        self._walk = True

    def walk_is_due(self) -> None:
        """The next look goes through the whole folder: the watcher may have missed something."""
        self._walk = True

    async def look(self) -> str | None:
        """Take what was announced in the folder and polled from the remote; the newest revision."""
        walk, self._walk = self._walk, False
        named = self._watcher.named() if self._watcher else set[str]()
        try:
            return await self._sync.look(None if walk else named, poll=False)
        except BaseException:
            # Nobody has looked: all that was announced is due again.
            self._walk = True
            raise

    @property
    def repository(self) -> Repository:
        return self._sync.repository

    @property
    def push_state(self) -> Push:
        return self._sync.push_state

    @property
    def paused(self) -> str | None:
        """What keeps the vault from being up to date, in sentences for people."""
        return " ".join(filter(None, (self._sync.paused, self._sync.remote_trouble))) or None

    async def git(self, work: Callable[..., R], *args: Any) -> R:
        """Run `work` in the thread that owns the repository."""
        return await self._sync.git(work, *args)
