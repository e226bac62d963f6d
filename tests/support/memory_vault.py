"""A vault in memory: the port that the reconciler asks, with the same promises as the real one."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from vaultloop.model.status import Push, PushState
from vaultloop.vault.files import Entry
from vaultloop.vault.plain_folder import blob_id

R = TypeVar("R")


def _digest(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class MemoryFiles:
    """One revision: equal trees have equal ids, and a folder without files does not exist."""

    revision: str
    notes: Mapping[str, str]

    def tree_id(self, folder: str) -> str | None:
        entries = [f"{entry.path} {entry.blob}" for entry in self.under(folder)]
        return _digest("\n".join(entries)) if entries else None

    def under(self, folder: str) -> Iterator[Entry]:
        for path in sorted(self.notes):
            if not folder or path.startswith(f"{folder}/"):
                yield Entry(path, blob_id(self.notes[path].encode()))

    def entry(self, path: str) -> Entry | None:
        return next((entry for entry in self.under("") if entry.path == path), None)

    def read(self, entry: Entry) -> bytes:
        return self.notes[entry.path].encode()


@dataclass
class MemoryRepository:
    """Revisions by id."""

    revisions: dict[str, MemoryFiles] = field(default_factory=dict)
    head: str | None = None

    def files(self, revision: str) -> MemoryFiles:
        return self.revisions[revision]


class MemoryVault:
    """Implements `reconcile.loop.VaultPort`; `commit` is what a human does and pushes."""

    def __init__(self) -> None:
        self.repository = MemoryRepository()
        self.push_state = Push(PushState.PUSHED, datetime(2026, 11, 22, tzinfo=UTC))
        self.paused: str | None = None
        self.notes: dict[str, str] = {}
        self.trouble: Exception | None = None
        self.good: str | None = None
        self.fallen_back: list[tuple[str, Exception]] = []

    def commit(self, changes: Mapping[str, str | None]) -> str:
        """Write notes (None deletes one); the new revision."""
        for path, text in changes.items():
            if text is None:
                del self.notes[path]
            else:
                self.notes[path] = text
        number = len(self.repository.revisions)
        revision = _digest(f"revision {number}")
        self.repository.revisions[revision] = MemoryFiles(revision, dict(self.notes))
        self.repository.head = revision
        return revision

    @property
    def head(self) -> str | None:
        return self.repository.head

    async def look(self) -> str | None:
        if self.trouble is not None:
            raise self.trouble
        return self.head

    async def chosen(self) -> str | None:
        return self.head

    async def fall_back(self, revision: str, error: Exception) -> str | None:
        """What stayed healthy, if the test says that something did."""
        self.fallen_back.append((revision, error))
        return self.good if self.good != revision else None

    async def git(self, work: Callable[..., R], *args: Any) -> R:
        return work(*args)
