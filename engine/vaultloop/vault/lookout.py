"""The vault as the reconciler asks for it: a look covers what was announced since the last one, no more."""

from collections.abc import Callable
from typing import Any, TypeVar

from vaultloop.model.status import Push
from vaultloop.vault.repository import Repository
from vaultloop.vault.sync import Sync
from vaultloop.vault.watcher import Watcher

R = TypeVar("R")


class Lookout:
    """Remembers between two looks whether the remote is due and which files were touched.

    A bell only says "look again"; a saved note must not wait for a remote that is slow to answer.
    """

    def __init__(self, sync: Sync, watcher: Watcher | None) -> None:
        """`watcher` is None where there is no folder."""
        self._sync = sync
        self._watcher = watcher
        self._poll = True
        self._walk = True

    def poll_is_due(self) -> None:
        """The next look asks the remote."""
        self._poll = True

    def walk_is_due(self) -> None:
        """The next look goes through the whole folder: the watcher may have missed something."""
        self._walk = True

    async def look(self) -> str | None:
        """Take what folder and remote have, as far as it was announced; the newest revision."""
        poll, walk = self._poll, self._walk
        self._poll = self._walk = False
        named = self._watcher.named() if self._watcher else set[str]()
        return await self._sync.look(None if walk else named, poll=poll)

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
