"""One SQLite file: opened, brought forward to the newest schema, and closed; one process writes each."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from vaultloop.model.errors import Stalled


@dataclass(frozen=True, slots=True)
class Form:
    """What kind of file it is.

    Attributes:
        migrations: one script per schema version, never edited once released: a file is brought forward step
            by step.
        synchronous: SQLite's word: `FULL`, where each commit is on the disk before it is answered for;
            `NORMAL`, where a killed process loses nothing, and a machine without power the last moments.
        early: what a reader does who comes before the writer has made the file, or brought it forward.
        damaged: what to do with a file that cannot be read any more, and what that loses.
        threads: it is read by other threads than the one that opened it; they take turns.
        patience: seconds that a writer waits for another one's lock.
    """

    migrations: Sequence[str]
    synchronous: str
    early: str
    damaged: str
    threads: bool = False
    patience: float = 5.0


class SqliteFile:
    """An open connection to a file of one `Form`."""

    form: Form

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Open, and bring forward, the file at `path`.

        Raises:
            Stalled: it was written by a newer vaultloop, is damaged, cannot be opened, or a reader comes too
                early.
        """
        target = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
        form = self.form
        try:
            self._connection = sqlite3.connect(
                target,
                uri=True,
                isolation_level=None,
                timeout=form.patience,
                check_same_thread=not form.threads,
            )
        except sqlite3.OperationalError as error:
            raise Stalled(f"{path} cannot be opened: {error}.", cure="Check the state directory.") from error
        try:
            self._prepare(path, read_only=read_only)
        except BaseException as error:
            self._connection.close()
            if isinstance(error, sqlite3.Error):
                raise self._unusable(path, error) from error
            raise

    def _prepare(self, path: Path, *, read_only: bool) -> None:
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA foreign_keys = ON")
        if not read_only:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute(f"PRAGMA synchronous = {self.form.synchronous}")
            path.chmod(0o600)
        self._migrate(path, read_only=read_only)

    def _migrate(self, path: Path, *, read_only: bool) -> None:
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        newest = len(self.form.migrations)
        if version > newest:
            raise Stalled(
                f"{path} is of a newer vaultloop (schema {version}; this one knows {newest}).",
                cure="Update vaultloop.",
            )
        if read_only and version < newest:
            raise Stalled(
                f"{path} is of an older vaultloop, or is being made this very moment.", cure=self.form.early
            )
        for number, script in enumerate(self.form.migrations[version:], start=version + 1):
            self._connection.executescript(
                f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {number}; COMMIT;"
            )

    def _unusable(self, path: Path, error: sqlite3.Error) -> Stalled:
        if isinstance(error, sqlite3.OperationalError):
            return Stalled(
                f"{path} cannot be used: {error}.", cure="Check the state directory, and if its disk is full."
            )
        return Stalled(f"{path} is damaged: {error}.", cure=self.form.damaged)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All changes of the block, or none. Blocks may be nested: the outermost one commits."""
        if self._connection.in_transaction:
            yield self._connection
            return
        # IMMEDIATE: a deferred transaction that reads first and writes later can fail half-way.
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
            self._connection.execute("COMMIT")
        except BaseException:
            # Where the disk is full, SQLite may have rolled back by itself, and says so.
            with suppress(sqlite3.OperationalError):
                self._connection.execute("ROLLBACK")
            raise

    def rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        """The rows of a query."""
        return self._connection.execute(query, values).fetchall()

    def row(self, query: str, *values: object) -> sqlite3.Row | None:
        """The first row of a query, if any."""
        found: sqlite3.Row | None = self._connection.execute(query, values).fetchone()
        return found
