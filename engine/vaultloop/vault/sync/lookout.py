"""The vault as the reconciler asks for it: what is new in it, and which of its revisions is to run.

A look covers what was announced since the last one, no more. The revision that runs is what an owner pinned;
else the last good one, while the newest cannot be read or makes the engine crash; else the newest that is
trusted. Whatever is not the branch's newest is said, with the reason.
"""

import hashlib
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

import pygit2

from vaultloop.aio.clock import Clock, SystemClock
from vaultloop.model.status import Push
from vaultloop.vault.folder.watcher import Watcher
from vaultloop.vault.git.repository import Repository
from vaultloop.vault.sync.last_good import declarations, last_good, pinned
from vaultloop.vault.sync.sync import Sync

log = logging.getLogger(__name__)

R = TypeVar("R")

# A revision that could not be read is tried again after so long: the disk may have been what was wrong.
READ_AGAIN = timedelta(minutes=1)

# What reading a damaged repository raises.
_DAMAGE = (KeyError, ValueError, OSError, pygit2.GitError)


@dataclass(frozen=True, slots=True)
class _Unreadable:
    """A revision that could not be loaded, why, and until when it is left alone."""

    revision: str
    why: str
    until: datetime


class Lookout:
    """Remembers between two looks which files were touched, and whether all are to be looked at.

    A bell only says "look again". The remote is polled apart from that: a saved note must not wait for one
    that is slow to answer.

    Attributes:
        on_notice: called with a key and a sentence for the owner, which may come again under the same key.
        on_choice: called with the name of the declarations that are about to run.
        steps_back: whether an owner, or trouble, has another revision run than the newest that is trusted.
    """

    on_notice: Callable[[str, str], None]
    on_choice: Callable[[str], None]

    def __init__(
        self,
        sync: Sync,
        watcher: Watcher | None,
        clock: Clock | None = None,
        *,
        poison: Collection[str] = (),
        stands_in: str = "",
    ) -> None:
        """`watcher` is None where there is no folder.

        `poison` names the declarations with which the engine crashed again and again. `stands_in` says why
        this engine runs in place of a newer one, if it does.
        """
        self._stands_in = stands_in
        self._sync = sync
        self._watcher = watcher
        self._clock = clock or SystemClock()
        self._walk = True
        self._poison = frozenset(poison)
        self._unreadable: dict[str, _Unreadable] = {}
        self._remarks: list[str] = []
        self._notices: list[tuple[str, str]] = []
        self._newest: str | None = None
        self._declarations: str | None = None
        self.steps_back = False
        self.on_notice = lambda key, sentence: None
        self.on_choice = lambda declarations: None

    def walk_is_due(self) -> None:
        """The next look goes through the whole folder: the watcher may have missed something."""
        self._walk = True

    async def look(self) -> str | None:
        """Take what was announced in the folder and polled from the remote; the revision that is to run.

        Raises:
            Stalled: who is trusted cannot be found out.
        """
        walk, self._walk = self._walk, False
        named = self._watcher.named() if self._watcher else set[str]()
        try:
            head = await self._sync.look(None if walk else named, poll=False)
        except BaseException:
            # Nobody has looked: all that was announced is due again.
            self._walk = True
            raise
        if head is None or not await self._sync.is_there():
            return self._newest or head
        return await self.chosen()

    async def chosen(self) -> str | None:
        """The revision that is to run, without a look at what is new; None while there is none.

        Raises:
            Stalled: as `look`.
        """
        self._newest = await self._sync.git(self._choose)
        if self._declarations is not None:
            self.on_choice(self._declarations)
        for key, sentence in self._notices:
            self.on_notice(key, sentence)
        return self._newest

    async def fall_back(self, revision: str, error: Exception) -> str | None:
        """The revision to run in place of one that cannot be loaded; None if there is no other."""
        why = f"{type(error).__name__}: {error}"
        if revision not in self._unreadable:
            log.error("revision %s cannot be loaded", revision[:12], exc_info=error)
        until = self._clock.now() + READ_AGAIN
        self._unreadable = {revision: _Unreadable(revision, why, until)} | {
            known: found for known, found in self._unreadable.items() if found.until > self._clock.now()
        }
        instead = await self.chosen()
        return instead if instead != revision else None

    @property
    def repository(self) -> Repository:
        return self._sync.repository

    @property
    def push_state(self) -> Push:
        return self._sync.push_state

    @property
    def paused(self) -> str | None:
        """What a human has to look at: why the newest of the vault does not run, or is not up to date."""
        said = (*self._remarks, self._sync.attention, self._sync.remote_trouble)
        return " ".join(filter(None, said)) or None

    @property
    def remarks(self) -> tuple[str, ...]:
        """Why what runs is not the branch's newest revision, in sentences."""
        return tuple(self._remarks)

    async def git(self, work: Callable[..., R], *args: Any) -> R:
        """Run `work` in the thread that owns the repository."""
        return await self._sync.git(work, *args)

    # In the git thread.

    def _choose(self) -> str | None:
        repository = self._sync.repository
        self._remarks, self._notices = [], []
        if self._stands_in:
            self._remarks.append(self._stands_in)
            self._notices.append((f"stands-in/{_digest(self._stands_in)}", self._stands_in))
        trusted = self._sync.trust.newest(repository)
        if trusted.held:
            self._remarks.append(trusted.held)
        if trusted.begun:
            self._notices.append((f"trust/{trusted.revision}", trusted.begun))
        instead = self._pinned(repository) or self._last_good(repository, trusted.revision)
        chosen = instead or trusted.revision
        self.steps_back = instead is not None
        # Sessions are governed by what runs.
        self._sync.runs = chosen if chosen != repository.head else None
        self._declarations = _name(repository, chosen) if chosen else None
        return chosen

    def _pinned(self, repository: Repository) -> str | None:
        try:
            pin = pinned(repository)
        except _DAMAGE as error:
            self._remarks.append(f"PINNED to a revision that cannot be found ({error}): `vaultloop unpin`.")
            return None
        if pin is None:
            return None
        name = pin.revision[:12]
        if not self._sync.trust.counts(repository, pin.revision):
            self._remarks.append(
                f"PINNED to {name}, which nobody trusted stands behind: it does not run. `vaultloop unpin`."
            )
            return None
        if why := self._why_unreadable(pin.revision):
            self._remarks.append(f"PINNED to {name}, which cannot be loaded ({why}). `vaultloop unpin`.")
            return None
        self._remarks.append(
            f"PINNED since {pin.since:%Y-%m-%d %H:%M} to {name}: what it declares runs, whatever is newer."
            " `vaultloop unpin` goes on."
        )
        return pin.revision

    def _last_good(self, repository: Repository, newest: str | None) -> str | None:
        """The last good revision, if the newest one that might run must not; says why."""
        if newest is None:
            return None
        if why := self._why_unreadable(newest):
            return self._instead_of(
                repository, newest, f"The vault at {newest[:12]} cannot be loaded ({why})"
            )
        if self._poison and _name(repository, newest) in self._poison:
            why = f"The engine crashed again and again with what {newest[:12]} declares"
            return self._instead_of(repository, newest, why)
        return None

    def _instead_of(self, repository: Repository, newest: str, why: str) -> str | None:
        good = last_good(repository)
        if good is None or not self._is_fit(repository, good, newest):
            self._tell(
                newest, f"{why}. There is no last good revision with other declarations to go back to."
            )
            return None
        self._tell(
            newest,
            f"{why}. So the last good revision, {good[:12]}, runs. Mend the notes"
            f" (`vaultloop plan --from {good[:12]}` shows what changed), or go back for good: `vaultloop"
            " rollback`. With the next change of a declaration the newest is tried again.",
        )
        return good

    def _is_fit(self, repository: Repository, good: str, newest: str) -> bool:
        """Whether it makes sense to run `good` in place of `newest`."""
        if good == newest or self._why_unreadable(good) or not self._sync.trust.counts(repository, good):
            return False
        name = _name(repository, good)
        return name is not None and name not in self._poison

    def _why_unreadable(self, revision: str) -> str | None:
        found = self._unreadable.get(revision)
        return found.why if found and found.until > self._clock.now() else None

    def _tell(self, newest: str, sentence: str) -> None:
        self._remarks.append(sentence)
        self._notices.append((f"last-good/{newest}", sentence))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _name(repository: Repository, revision: str) -> str | None:
    """A name for what `revision` declares; None if that cannot be found."""
    try:
        return declarations(repository, revision)
    except _DAMAGE:
        return None
