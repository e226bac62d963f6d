"""A revision on probation: once it has run for long enough without new trouble, it is the last good one."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from vaultloop.aio.bell import Bell
from vaultloop.aio.clock import Clock
from vaultloop.aio.supervise import first
from vaultloop.model.status import Condition
from vaultloop.state.status_book import StatusBook
from vaultloop.vault.git.repository import Repository
from vaultloop.vault.sync.last_good import declarations, keep_last_good

log = logging.getLogger(__name__)

R = TypeVar("R")

# As long as crashes count as a loop (state/starts.py): what crashes the engine so often that it does not live
# for this long never becomes what a crash loop goes back to.
STANDS_AFTER = timedelta(minutes=5)

# How a declaration stands that does not run as it is written.
TROUBLE = (Condition.STALLED, Condition.OUTDATED)


class Standpoint(Protocol):
    """The vault, and whether something other than its newest revision runs on purpose."""

    @property
    def repository(self) -> Repository: ...
    @property
    def steps_back(self) -> bool: ...
    async def git(self, work: Callable[..., R], *args: Any) -> R: ...


@dataclass(frozen=True, slots=True)
class _Candidate:
    """What is on probation: declarations, since when, and the newest revision that has them."""

    declarations: str
    since: datetime
    revision: str


class Probation:
    """Follows what runs; one for each life of the engine, for a crash ends every probation."""

    def __init__(self, vault: Standpoint, book: StatusBook, clock: Clock) -> None:
        self._vault, self._book, self._clock = vault, book, clock
        self._bell = Bell()
        self._running: str | None = None
        self._on_purpose = False
        self._candidate: _Candidate | None = None

    def observe(self, revision: str | None, *, applied: bool = True) -> None:
        """`revision` runs; something of it was applied just now, or (false) nothing had to be."""
        before = self._running, self._on_purpose
        self._running, self._on_purpose = revision, self._vault.steps_back
        if applied or before != (self._running, self._on_purpose):
            self._bell.ring()

    async def run(self) -> None:
        """Look at it whenever something was applied, and when a probation ends; until cancelled."""
        while True:
            if (ends := self._ends()) is None:
                await self._bell.heard()
            else:
                await first(self._bell.heard(), self._clock.sleep_until(ends))
            await self.review()

    async def review(self) -> None:
        """Keep what runs as the last good revision, if its time has come and nothing new is wrong.

        Raises:
            Retry: it cannot be written down now.
        """
        revision = self._running
        if revision is None or self._vault.steps_back:
            self._candidate = None
            return
        repository = self._vault.repository
        name = await self._vault.git(declarations, repository, revision)
        self._candidate = self._following(name, revision)
        trouble = self._trouble()
        if self._candidate.since + STANDS_AFTER > self._clock.now() or not self._is_no_worse(trouble):
            return
        await self._vault.git(keep_last_good, repository, revision)
        self._book.record_tolerated(trouble)

    def _following(self, name: str, revision: str) -> _Candidate:
        known = self._candidate
        if known is not None and known.declarations == name:
            return replace(known, revision=revision)
        return _Candidate(name, self._clock.now(), revision)

    def _ends(self) -> datetime | None:
        """When the probation ends; None if there is none, or nothing but a change can help it."""
        if self._candidate is None:
            return None
        ends = self._candidate.since + STANDS_AFTER
        return ends if ends > self._clock.now() else None

    def _trouble(self) -> frozenset[str]:
        return frozenset(
            f"{status.ref.kind}/{status.ref.name}"
            for status in self._book.statuses()
            if status.condition in TROUBLE
        )

    def _is_no_worse(self, trouble: frozenset[str]) -> bool:
        """Whether nothing is wrong that was not when the last good revision was kept."""
        tolerated = self._book.tolerated
        return tolerated is None or trouble <= tolerated
