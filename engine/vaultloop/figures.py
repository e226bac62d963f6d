"""What `/metrics` shows of a running engine: counts and instants, and no name of a note, chat or person."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any

from vaultloop.model.conversation import Outcome
from vaultloop.model.status import PushState
from vaultloop.state.database import Database
from vaultloop.state.status_book import StatusBook
from vaultloop.vault.sync.sync import Sync

# States of a turn as they are shown: what is not running waits, for its turn or for a budget.
QUEUED, RUNNING = "queued", "running"


class Figures:
    """Asked for now and then; nothing is counted while nobody asks."""

    def __init__(self, database: Database, sync: Sync, is_acting: Callable[[], bool] = lambda: True) -> None:
        """`is_acting` says whether this engine acts, or stands by for another one."""
        self._database = database
        self._sync = sync
        self._is_acting = is_acting

    async def __call__(self) -> dict[str, Any]:
        """The figures, in the shape that the web process knows."""
        book, sync = StatusBook(self._database), self._sync
        push = sync.push_state
        conditions = Counter(str(status.condition) for status in book.statuses())
        return {
            "acting": self._is_acting(),
            "revision": book.revision,
            "applied": book.applied_revision,
            "push": str(push.state),
            "stranded_since": _seconds(push.since) if push.state is PushState.STRANDED else None,
            "trouble_since": _seconds(sync.remote_trouble_since),
            "sync": dict(sync.figures()),
            "conditions": dict(sorted(conditions.items())),
            "turns": self._turns(),
            "slots_missed": self._count("SELECT COUNT(*) FROM slots WHERE outcome = ?", str(Outcome.MISSED)),
        }

    def _turns(self) -> dict[str, int]:
        rows = self._database.rows("SELECT state, COUNT(*) FROM turns WHERE state <> 'ended' GROUP BY state")
        found = {row[0]: row[1] for row in rows}
        queued = found.pop(QUEUED, 0)
        return {QUEUED: queued, RUNNING: sum(found.values())}

    def _count(self, question: str, *values: object) -> int:
        row = self._database.row(question, *values)
        return 0 if row is None else int(row[0])


def _seconds(instant: datetime | None) -> float | None:
    """Unix time."""
    return None if instant is None else instant.timestamp()
