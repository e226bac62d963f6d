"""The record of what the owner took back: one row for each commit that was made to do so."""

import sqlite3
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime

from vaultloop.state.database import Database


@dataclass(frozen=True, slots=True)
class Undo:
    """One act of taking back.

    Attributes:
        target: a session, or the commit of another undo.
        commit: what takes it back. The row is written before a branch moves, and counts once that has it.
        by: whose act it was, in words: `owner (cli)`.
    """

    target: str
    commit: str
    by: str
    made_at: datetime


class Undos:
    """The undos in the engine's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, undo: Undo) -> None:
        with self._database.transaction() as change:
            change.execute(
                'INSERT INTO undos (target, "commit", asked_by, made_at) VALUES (?, ?, ?, ?)',
                (undo.target, undo.commit, undo.by, undo.made_at.isoformat()),
            )

    def all(self) -> list[Undo]:
        """Every one, newest first."""
        return [_undo(row) for row in self._database.rows("SELECT * FROM undos ORDER BY number DESC")]

    def by_commit(self, commit: str) -> Undo | None:
        row = self._database.row('SELECT * FROM undos WHERE "commit" = ?', commit)
        return None if row is None else _undo(row)


def standing(undos: Collection[Undo], target: str, is_there: Callable[[str], bool]) -> Undo | None:
    """What took `target` back and was not taken back itself; of `undos`, newest first.

    `is_there` says whether the branch has a commit.
    """
    for undo in undos:
        if undo.target == target and is_there(undo.commit) and not standing(undos, undo.commit, is_there):
            return undo
    return None


def _undo(row: sqlite3.Row) -> Undo:
    made_at = datetime.fromisoformat(row["made_at"])
    return Undo(row["target"], row["commit"], row["asked_by"], made_at)
