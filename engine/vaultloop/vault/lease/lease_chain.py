"""The chain of leases at a remote: its newest one is read, its next one written, and both are remembered."""

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta

import pygit2

from vaultloop.aio.clock import Clock
from vaultloop.aio.failpoint import Failpoint, reached
from vaultloop.vault.git.repository import Repository
from vaultloop.vault.lease.lease import REFERENCE, Bearer, Lease, unreadable
from vaultloop.vault.sync.sync import Sync
from vaultloop.vault.transport.path_lock import alone_at
from vaultloop.vault.transport.remote_address import Address

_WHO = ("Vaultloop", "vaultloop@localhost")


class LeaseChain:
    """One remote's; the polls of `Sync` tell its newest commit, and only a new one is fetched.

    Attributes:
        lease: the newest one that was read; None where there is none.
        heard: whether the remote has told anything since `deaf`.
        asked: when it was asked for what it told last.
    """

    def __init__(self, sync: Sync, remote: str, period: timedelta, clock: Clock) -> None:
        self._sync, self._clock, self._period = sync, clock, period
        self._address = Address.parse(remote)
        self._memory = f"lease/{hashlib.sha256(self._address.url.encode()).hexdigest()[:16]}"
        self._commit: str | None = None
        self._there: str | None = None
        self.lease: Lease | None = None
        self.heard = False
        self.asked = clock.now()

    @property
    def url(self) -> str:
        """Where it is, fit for messages."""
        return self._address.url

    @property
    def is_news(self) -> bool:
        """Whether the remote has told of a lease that was not read yet."""
        return self.heard and self._there != self._commit

    @property
    def newest(self) -> str | None:
        """The newest commit that the remote has told of."""
        return self._there

    def hear(self, references: Mapping[str, str]) -> None:
        """What a poll was told: all that an unchanged lease costs."""
        self._there, self.heard = references.get(REFERENCE), True
        self.asked = self._sync.asked or self._clock.now()

    def deaf(self) -> None:
        """What is told from now on is new."""
        self.heard = False

    async def read(self) -> None:
        """Read the newest lease, if it is another one.

        Raises:
            Retry, Stalled: it cannot be fetched.
        """
        while self.is_news:
            # What is fetched may be newer than what was told, never older.
            self._there = await self._sync.fetch_reference(REFERENCE) if self._there else None
            self.lease = await self._sync.git(self._parsed, self._there)
            self._commit = self._there
            if self._commit:
                await self._keep(self._memory)

    async def write(self, lease: Lease) -> None:
        """Write the next one.

        Raises:
            RefusedError: somebody else has, or the remote does not take it.
            Retry, Stalled: the remote cannot be talked to.
        """
        parent = self._commit
        commit = await self._sync.git(_written, self._sync.repository, lease, parent, self._clock.now())
        reached(Failpoint.LEASE_WRITTEN)
        async with alone_at(self._address.git_dir):
            await self._sync.set_reference(REFERENCE, commit, parent)
            self._commit = self._there = commit
            self.lease = lease
        reached(Failpoint.LEASE_PUSHED)
        await self._keep(self._memory)

    async def recall(self, me: Bearer) -> datetime | None:
        """Read what this directory remembers; the `since` of the tenure that `me` acted in last, if any."""
        kept = self._sync.repository.kept
        self._commit = await self._sync.git(kept, self._memory)
        self.lease = await self._sync.git(self._parsed, self._commit)
        acted = await self._sync.git(lambda: self._parsed(kept(f"{self._memory}-acted")))
        return acted.since if acted is not None and acted.holder == me else None

    async def note_acted(self) -> None:
        """Remember that the holder of the newest lease has begun to act."""
        await self._keep(f"{self._memory}-acted")

    async def _keep(self, name: str) -> None:
        if self._commit is not None:
            await self._sync.git(self._sync.repository.keep, name, self._commit)

    def _parsed(self, commit: str | None) -> Lease | None:
        if commit is None:
            return None
        message = _message(self._sync.repository, commit)
        return Lease.parse(message) or unreadable(self._clock.now(), self._period)


def _message(repository: Repository, commit: str) -> str:
    found: object = repository.handle.get(commit)
    return found.message if isinstance(found, pygit2.Commit) else ""


def _written(repository: Repository, lease: Lease, parent: str | None, at: datetime) -> str:
    """A commit without files that says `lease`."""
    who = pygit2.Signature(*_WHO, int(at.timestamp()), 0)
    # What somebody else put there need be no commit: nothing can follow it then, and the push is refused.
    follows = parent is not None and isinstance(repository.handle.get(parent), pygit2.Commit)
    tree, parents = repository.edit(None, {}), [parent] if parent and follows else []
    return str(repository.handle.create_commit(None, who, who, lease.text(), tree, parents))
