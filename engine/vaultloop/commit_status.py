"""How a revision stands, in the words that a forge shows beside its commit."""

import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Self

from vaultloop.aio.clock import Clock
from vaultloop.aio.supervise import persist
from vaultloop.forge.api import State, Verdict
from vaultloop.forge.child import ChildForge
from vaultloop.forge.repository import ForgeRepository
from vaultloop.forge.statuses import Statuses
from vaultloop.model.problem import Problem
from vaultloop.reconcile.loop import Report
from vaultloop.settings import Settings
from vaultloop.state.database import Database
from vaultloop.state.status_book import StatusBook
from vaultloop.vault.sync.sync import Sync

log = logging.getLogger(__name__)


class CommitStatus:
    """Follows the reports of the state flow, and lets the forge show what they come to."""

    def __init__(
        self,
        book: StatusBook,
        statuses: Statuses | None = None,
        refused: Callable[[], tuple[str, str] | None] = lambda: None,
    ) -> None:
        """Without `statuses` nothing is shown. `refused`: the remote's commit that trust holds, and why."""
        self._refused = refused
        self._book = book
        self._statuses = statuses
        self._errors: Sequence[Problem] = ()

    @classmethod
    def of(cls, settings: Settings, database: Database, sync: Sync, clock: Clock) -> Self:
        """As the settings say: nothing is shown unless they name a forge and a token."""
        forge, book = _forge(settings), StatusBook(database)
        if forge is None:
            return cls(book)
        trust = sync.trust
        # What trust holds came from there.
        is_there = lambda it: it in (sync.at_remote, *(trust.refused or ())[:1])  # noqa: E731 - one question
        return cls(book, Statuses(forge, database, clock, is_there), lambda: trust.refused)

    def heard(self, report: Report) -> None:
        """Take in what an iteration did."""
        verdict = self.verdict(report)
        if self._statuses is not None and verdict is not None:
            self._statuses.show(verdict)

    def tasks(self, clock: Clock) -> dict[str, Coroutine[Any, Any, None]]:
        """The task that sends what is to be shown, by its name; none where nothing is."""
        if self._statuses is None:
            return {}
        return {"commit status": persist("commit status", self._statuses.run, clock)}

    def verdict(self, report: Report) -> Verdict | None:
        """What is to be shown after an iteration; None while the vault has no commit.

        While trust holds something that is what people wait for: nothing else comes until it does.
        """
        if report.plan is not None:
            # Where nothing that governs has changed there is no plan, and the errors are still the same.
            self._errors = [problem for problem in report.plan.problems if problem.is_error]
        if (refused := self._refused()) is not None:
            return Verdict(refused[0], State.HELD, refused[1])
        return Verdict(report.revision, *self._state(report.revision)) if report.revision else None

    def _state(self, revision: str) -> tuple[State, str]:
        if self._errors:
            return State.PROBLEMS, _problems(self._errors)
        if self._book.hold is not None:
            return State.HELD, "Deletes wait for the owner: vaultloop confirm."
        if self._book.applied_revision != revision:
            return State.PROBLEMS, "Not all declarations could be applied; they are tried again."
        return State.APPLIED, "Applied."


def _problems(errors: Sequence[Problem]) -> str:
    first = min(errors)
    more = f" And {len(errors) - 1} more." if len(errors) > 1 else ""
    return f"{first.file}:{first.line}: {first.message}{more}"


def _forge(settings: Settings) -> ChildForge | None:
    if settings.forge is None or settings.forge_token is None:
        return None
    repository = ForgeRepository.of(settings.remote or "")
    if repository is None:
        log.warning("commit statuses are not shown: the remote is not at a forge")
        return None
    return ChildForge(settings.forge, repository, settings.forge_token, settings.state)
