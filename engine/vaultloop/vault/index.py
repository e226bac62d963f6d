"""The index of a folder's own git: exactly the entries that we changed, under git's own lock.

A commit that leaves the index behind would be undone by the human: their next plain `git commit` of another
file writes the old entry back. A whole new index would throw away what they have staged.
"""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pygit2
from pygit2.enums import FileMode

from vaultloop.model.errors import Retry, Stalled
from vaultloop.vault.trees import Leaf

# A lock older than this (seconds) was left by a git that died; a `git add` of a large vault takes less.
STALE_AFTER = 600.0

_MARK = b"vaultloop"


class LockedError(Retry):
    """Another git process is at work in the folder."""


class Index:
    """The index file of one git directory."""

    def __init__(self, git_dir: Path) -> None:
        self._file = git_dir / "index"
        self._lock = git_dir / "index.lock"
        self._fresh = git_dir / "vaultloop-mark"
        self._copy = git_dir / "vaultloop-index"
        # libgit2's, while it writes our copy.
        self._copy_lock = git_dir / "vaultloop-index.lock"

    @contextmanager
    def locked(self, root: pygit2.Tree | None) -> "Iterator[LockedIndex]":
        """Hold git's lock for as long as the block lasts, and read what is staged.

        Args:
            root: what the branch holds; stands in for an index file that is missing.

        Raises:
            LockedError: another git process holds the lock.
            Stalled: a dead one left it behind, or the index cannot be read.
        """
        self._take_lock()
        self._copy_lock.unlink(missing_ok=True)
        try:
            yield LockedIndex(self._file, self._copy, root)
        finally:
            self._copy.unlink(missing_ok=True)
            self._lock.unlink(missing_ok=True)

    def recover(self) -> None:
        """Remove the lock that we held when we were killed; another's stays."""
        with suppress(FileNotFoundError):
            if self._lock.read_bytes() == _MARK:
                self._copy_lock.unlink(missing_ok=True)
                self._copy.unlink(missing_ok=True)
                self._lock.unlink()

    def _take_lock(self) -> None:
        # Our mark comes with the lock, in one step: a lock that is empty is never ours.
        self._fresh.write_bytes(_MARK)
        try:
            self._put_lock()
        except FileExistsError as error:
            raise self._busy() from error
        finally:
            self._fresh.unlink(missing_ok=True)

    def _put_lock(self) -> None:
        try:
            os.link(self._fresh, self._lock)
        except FileExistsError:
            raise
        except OSError:
            # A disk that knows no links.
            with self._lock.open("xb") as lock:
                lock.write(_MARK)

    def _busy(self) -> Retry | Stalled:
        with suppress(FileNotFoundError):
            if time.time() - self._lock.stat().st_mtime > STALE_AFTER:
                return Stalled(
                    f"{self._lock} has been there for more than {STALE_AFTER / 60:.0f} minutes.",
                    cure="If no git command is running in the folder, delete that file.",
                )
        return LockedError(f"Another git command is at work: {self._lock} exists.", after=1)


class LockedIndex:
    """What is staged, while we hold the lock."""

    def __init__(self, file: Path, copy: Path, root: pygit2.Tree | None) -> None:
        self._file, self._copy = file, copy
        copy.unlink(missing_ok=True)
        # Opened while there is no such file, then read: an object whose opening failed cannot be disposed of.
        self._index = pygit2.Index(str(copy))
        try:
            if file.exists():
                shutil.copy(file, copy)
                self._index.read()
            self.conflicted = self._index.conflicts is not None
        except (pygit2.GitError, OSError, ValueError) as error:
            raise Stalled(
                f"The git index {file} cannot be read: {error}.",
                cure="Look at `git status` in the folder; a split or sparse index must be made a plain one.",
            ) from error
        if root is not None and not file.exists():
            self._index.read_tree(root)

    def staged(self, path: str) -> Leaf | None:
        """What the next `git commit` would record for a path."""
        try:
            entry = self._index[path]
        except KeyError:
            return None
        return Leaf(str(entry.id), entry.mode)

    def stage(self, path: str, leaf: Leaf | None) -> None:
        """Set or remove the entry of one path."""
        if leaf is not None:
            self._index.add(pygit2.IndexEntry(path, pygit2.Oid(hex=leaf.id), FileMode(leaf.mode)))
        elif path in self._index:
            self._index.remove(path)

    def write(self) -> None:
        """Put the new index in the place of the old one, in one step."""
        self._index.write()
        self._copy.replace(self._file)
