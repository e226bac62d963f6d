"""A remote in memory, and what lies between it and a machine: delays, cuts, lost answers.

`Wire` keeps the contract of `Sync` as far as a tenure goes; tests/vault/test_lease_chain.py holds both to it.
"""

import random
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from vaultloop.aio.clock import Clock, sleep
from vaultloop.model.errors import Retry
from vaultloop.vault.git.repository import Repository
from vaultloop.vault.transport.remote import RefusedError

T = TypeVar("T")


class MemoryRemote:
    """References, set one at a time."""

    def __init__(self) -> None:
        self.references: dict[str, str] = {}

    def set(self, name: str, commit: str, over: str | None) -> None:
        if self.references.get(name) != over:
            raise RefusedError("it is somewhere else by now")
        self.references[name] = commit


class OwnReferences:
    """One machine's own references over objects that all share; they outlive its process."""

    def __init__(self, repository: Repository) -> None:
        self.handle, self.edit = repository.handle, repository.edit
        self._kept: dict[str, str] = {}

    def keep(self, name: str, commit: str) -> None:
        self._kept[name] = commit

    def kept(self, name: str) -> str | None:
        return self._kept.get(name)


class Wire:
    """The way of one process to the remote.

    Attributes:
        delay: the longest time (seconds) that one leg of a question takes.
        is_cut: whether nothing comes through.
        is_gone: whether the process was killed: what it does has no effect any more.
        loses_answer: whether the next reference is set, and its answer lost.
        pushes: when the branch was pushed.
    """

    def __init__(
        self, remote: MemoryRemote, references: OwnReferences, clock: Clock, chance: random.Random
    ) -> None:
        self._remote, self.repository = remote, references
        self._clock, self._chance = clock, chance
        self.delay = 0.05
        self.is_cut = self.is_gone = self.loses_answer = False
        self.pushes: list[datetime] = []
        self.asked: datetime | None = None
        self.remote_trouble: str | None = None
        self.on_heads: Callable[[Mapping[str, str]], None] = lambda _: None
        self.may_push: Callable[[], bool] = lambda: True

    async def git(self, work: Callable[..., T], *args: Any) -> T:
        return work(*args)

    async def poll(self) -> None:
        self.asked = self._clock.now()
        try:
            await self._travel()
            told = dict(self._remote.references)
            await self._travel()
        except Retry as error:
            self.remote_trouble = str(error)
            return
        self.remote_trouble = None
        self.on_heads(told)

    async def set_reference(self, name: str, commit: str, over: str | None) -> None:
        await self._travel()
        self._remote.set(name, commit, over)
        lost, self.loses_answer = self.loses_answer, False
        await self._travel()
        if lost:
            raise Retry("The answer was lost.")

    async def fetch_reference(self, name: str) -> str | None:
        await self._travel()
        found = self._remote.references.get(name)
        await self._travel()
        return found

    async def push(self) -> None:
        if self.may_push() and not self.is_gone and not self.is_cut:
            self.pushes.append(self._clock.now())

    async def _travel(self) -> None:
        await sleep(self._clock, self._chance.uniform(0, self.delay))
        if self.is_cut or self.is_gone:
            raise Retry("The remote cannot be reached.")
