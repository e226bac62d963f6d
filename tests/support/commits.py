"""Commits made straight in a repository, as a session's publishing makes them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

import pygit2

from vaultloop.vault.files import Entry
from vaultloop.vault.git.repository import Identity, Repository, Seal

AGENT = Identity("Vaultloop agent", "agent@localhost")
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@contextmanager
def unsynced() -> Iterator[None]:
    """Nothing written within has to outlive a power cut: for histories of many objects."""
    pygit2.settings.enable_fsync_gitdir(False)
    try:
        yield
    finally:
        pygit2.settings.enable_fsync_gitdir(True)


def commit(
    repository: Repository,
    base: str | None,
    files: Mapping[str, str | None],
    *,
    signer: Seal | None = None,
    message: str = "Answer\n",
) -> str:
    """A commit on `base` with texts set, or files deleted where None; no branch moves."""
    edits = {
        path: None if text is None else Entry(path, repository.write_blob(text.encode()))
        for path, text in files.items()
    }
    parents = [base] if base else []
    return repository.commit(
        repository.edit(base, edits), parents, message, author=AGENT, signer=signer, at=NOON
    )


def text_at(repository: Repository, revision: str, path: str) -> str | None:
    """What a file holds in a commit; None if it is not there."""
    files = repository.files(revision)
    entry = files.entry(path)
    return None if entry is None else files.read(entry).decode()
