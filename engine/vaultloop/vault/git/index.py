"""The index of a folder's own git: exactly the entries that we changed, under git's own lock.

A commit that leaves the index behind would be undone by the human: their next plain `git commit` of another
file writes the old entry back. A whole new index would throw away what they have staged.
"""

import hashlib
import logging
import os
import shutil
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pygit2
from pygit2.enums import FileMode

from vaultloop.aio.failpoint import Failpoint, reached
from vaultloop.model.errors import Retry, Stalled
from vaultloop.vault.git.lock import is_abandoned
from vaultloop.vault.git.repair import keep_copy, set_aside
from vaultloop.vault.git.trees import Leaf

log = logging.getLogger(__name__)

_MARK = b"vaultloop"

# Bytes: signature, version, number of entries and the sum.
_SMALLEST = 32

# The parts of an entry (git's index-format): its flags, what follows them, and the bit in both that counts.
_FLAGS, _AFTER_FLAGS, _EXTENDED, _KEPT_OUT = 60, 62, 0x4000, 0x4000


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
            Stalled: the index cannot be read though it is whole.
        """
        self._take_lock()
        reached(Failpoint.INDEX_LOCKED)
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

    def mend(self, root: pygit2.Tree | None) -> str | None:
        """Make an index that is damaged anew from `root`, what the branch holds; the sentence that says so.

        Raises as `locked`.
        """
        if not self._file.exists() or not is_damaged(self._file.read_bytes()):
            return None
        with self.locked(root) as index:
            index.write()
        return index.remark

    def _take_lock(self) -> None:
        # Our mark comes with the lock, in one step: a lock that is empty is never ours.
        self._fresh.write_bytes(_MARK)
        try:
            self._put_lock()
        except FileExistsError as error:
            if not is_abandoned(self._lock, self._lock.parent):
                raise LockedError(f"Another git command is at work: {self._lock} exists.", after=1) from error
            kept = set_aside(self._lock, self._lock.parent)
            log.warning("%s was left by a git that is dead; it is now %s", self._lock, kept)
            raise LockedError(f"{self._lock} was left by a git that is dead.", after=1) from error
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


class LockedIndex:
    """What is staged, while we hold the lock.

    Attributes:
        conflicted: the paths of a merge in the index that the human has not resolved yet.
        remark: what is to be told of an index that was damaged; None if it was not.
    """

    def __init__(self, file: Path, copy: Path, root: pygit2.Tree | None) -> None:
        self._file, self._copy = file, copy
        copy.unlink(missing_ok=True)
        # Opened while there is no such file, then read: an object whose opening failed cannot be disposed of.
        self._index = pygit2.Index(str(copy))
        self.remark: str | None = None
        damaged = file.exists() and is_damaged(file.read_bytes())
        if damaged:
            self._keep_copy()
        there = file.exists() and not damaged
        if there:
            shutil.copy(file, copy)
        try:
            if there:
                self._index.read()
            self.conflicted = _conflicted(self._index)
        except (pygit2.GitError, OSError, ValueError) as error:
            raise Stalled(
                f"The git index {file} cannot be read: {error}.",
                cure="Look at `git status` in the folder; a split or sparse index must be made a plain one.",
            ) from error
        if root is not None and not there:
            self._index.read_tree(root)
        if damaged:
            # At once: libgit2 asks the index for attributes, too.
            self.write()

    def _keep_copy(self) -> None:
        kept = keep_copy(self._file, self._file.parent)
        self.remark = (
            f"The git index {self._file} was damaged and was made anew from the last commit. What was staged"
            f" by hand and not committed must be staged again; no file was touched. The old one is {kept}."
        )
        log.warning("%s", self.remark, extra={"repair": True})

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
        reached(Failpoint.INDEX_PREPARED)
        self._copy.replace(self._file)
        if self.remark:
            reached(Failpoint.INDEX_REBUILT)


def is_damaged(data: bytes) -> bool:
    """Whether an index file is none, or not as git wrote it: its last bytes are the sum of the others."""
    if len(data) < _SMALLEST or not data.startswith(b"DIRC"):
        return True
    content, told = data[:-20], data[-20:]
    # With `index.skipHash` git leaves the sum out; a repository of SHA-256 has a longer one.
    if told == bytes(20) or data[-32:] == hashlib.sha256(data[:-32]).digest():
        return False
    return hashlib.sha1(content, usedforsecurity=False).digest() != told


def kept_out(file: Path) -> frozenset[str]:
    """What git was told to keep out of the folder (sparse checkout); folders of a sparse index with a slash.

    libgit2 does not tell. An index that cannot be read says nothing.
    """
    try:
        return frozenset(os.fsdecode(path) for path in _kept_out(file.read_bytes()))
    except (OSError, ValueError, IndexError, struct.error):
        return frozenset()


def _kept_out(data: bytes) -> Iterator[bytes]:
    version, count = struct.unpack_from(">LL", data, 4)
    if not data.startswith(b"DIRC") or version not in (3, 4):
        # In older ones there is no room for that bit.
        return
    at, path = struct.calcsize(">4sLL"), b""
    for _ in range(count):
        (flags,), start = struct.unpack_from(">H", data, at + _FLAGS), at + _AFTER_FLAGS
        skipped = bool(flags & _EXTENDED and struct.unpack_from(">H", data, start)[0] & _KEPT_OUT)
        start += 2 if flags & _EXTENDED else 0
        same = b""
        if version == 4:
            less, start = _number(data, start)
            same = path[: len(path) - less]
        end = data.index(b"\0", start)
        path = same + data[start:end]
        # Up to version 3 each entry is filled up to a multiple of eight bytes.
        at = end + 1 if version == 4 else at + (end - at + 8) // 8 * 8
        if skipped:
            yield path


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A number of several bytes of seven bits, as in packs, and where it ends."""
    value = data[at] & 0x7F
    while data[at] & 0x80:
        at += 1
        value = (value + 1 << 7) | (data[at] & 0x7F)
    return value, at + 1


def _conflicted(index: pygit2.Index) -> frozenset[str]:
    rows = index.conflicts or ()
    return frozenset(side.path for row in rows for side in row if side is not None)
