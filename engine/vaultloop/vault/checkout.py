"""Bringing a commit into the folder: files first, then the branch, then exactly the index entries it changed.

Nothing is forced. A file is replaced only while it holds what the old commit says; whoever changed it
meanwhile is asked first, by a `DirtyError`. What is under way is written down before it begins, so that
whoever starts after a crash can finish it or take it back.
"""

import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import cast

import pygit2
from pygit2.enums import FileMode

from vaultloop.aio.failpoint import Failpoint, reached
from vaultloop.model.errors import Retry
from vaultloop.vault.files import is_utf8
from vaultloop.vault.folder import Folder
from vaultloop.vault.ignore import TEMPORARY
from vaultloop.vault.index import Index, LockedIndex
from vaultloop.vault.lock import break_leftover, lock_of
from vaultloop.vault.repository import HeadMovedError, Repository
from vaultloop.vault.settling import signature_of
from vaultloop.vault.trees import Leaf, LeafChange

INTENT_NAME = "folder-intent.json"

_FORBIDDEN = frozenset({"", ".", "..", ".git"})


class DirtyError(Exception):
    """Files hold something that neither the old nor the new commit knows.

    Attributes:
        paths: of these files.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self.paths = tuple(sorted(paths))
        super().__init__(", ".join(self.paths))


class Checkout:
    """Moves folder, branch and index together from one commit to the next."""

    def __init__(self, repository: Repository, folder: Folder, state: Path) -> None:
        self._repository = repository
        self._folder = folder
        self._intent = state / INTENT_NAME
        self._index = Index(repository.path) if folder.own_git else None

    def advance(self, old: str | None, new: str) -> None:
        """Move from `old` to `new`. Doing it again, from any point where it broke off, ends the same.

        Raises:
            DirtyError: a file to be written was changed by somebody else; nothing has moved.
            HeadMovedError: the branch is not at `old` any more; nothing has moved.
            Retry: git's lock is taken, or the disk refuses.
        """
        changes = self._changes(old, new)
        with self._locked(old) as index:
            self._refuse_staged(index, changes)
            self._write_intent(old, new, writes=True)
            written = self._write_files(changes)
            reached(Failpoint.FILES_WRITTEN)
            try:
                self._repository.move(old, new)
            except (HeadMovedError, Retry):
                self._take_back(written)
                raise
            self._stage(index, changes)
        self._finish(changes, new)

    def record(self, old: str | None, new: str) -> None:
        """Move the branch to a commit of what lies in the folder already: no file is written.

        Raises as `advance`.
        """
        changes = self._changes(old, new)
        with self._locked(old) as index:
            self._refuse_staged(index, changes)
            self._write_intent(old, new, writes=False)
            self._repository.move(old, new)
            self._stage(index, changes)
        self._finish(changes, new)

    def populate(self, head: str) -> None:
        """Write all of `head` into a folder that has not met this vault yet.

        Raises:
            DirtyError: files there have other content.
        """
        self._write_files(self._changes(None, head))

    def recover(self) -> None:
        """Finish or take back what was under way when the engine was killed.

        Raises:
            Retry: git is at work in the folder.
        """
        if self._index:
            self._index.recover()
        try:
            intent, since = json.loads(self._intent.read_text()), self._intent.stat().st_mtime
        except (FileNotFoundError, ValueError):
            return
        old, new = intent["old"], intent["new"]
        branch = lock_of(self._repository.path, f"refs/heads/{self._repository.branch}")
        break_leftover(branch, f"{new}\n", since)
        if self._repository.has(new):
            self._finish_or_take_back(old, new, writes=intent["writes"])
        self._intent.unlink(missing_ok=True)

    def _finish_or_take_back(self, old: str | None, new: str, *, writes: bool) -> None:
        changes = self._changes(old, new)
        self._sweep(changes)
        if self._repository.head == new:
            # The branch moved, so the files were whole; a human may have edited them since.
            with self._locked(old) as index:
                self._stage(index, changes)
        elif writes:
            self._resume(old, new)

    def _sweep(self, changes: Iterable[str]) -> None:
        """Remove what was still being written beside the files."""
        for place in {(self._folder.path / path).parent for path in changes}:
            for fresh in place.glob(f"{TEMPORARY}*.tmp"):
                fresh.unlink(missing_ok=True)

    def _resume(self, old: str | None, new: str) -> None:
        try:
            if self._repository.head == old:
                self.advance(old, new)
                return
        except (DirtyError, HeadMovedError):
            pass
        # A human went on meanwhile: what we wrote beside their edits must not pass as theirs.
        self._take_back(self._changes(old, new))

    def _changes(self, old: str | None, new: str) -> dict[str, LeafChange]:
        """What to do in the folder; files whose names are not UTF-8 stay in git alone."""
        changes = self._repository.changed_leaves(old, new)
        return {path: sides for path, sides in changes.items() if is_utf8(path)}

    @contextmanager
    def _locked(self, old: str | None) -> Iterator[LockedIndex | None]:
        if self._index is None:
            yield None
            return
        tree = self._repository.tree_of(old)
        with self._index.locked(
            cast("pygit2.Tree", self._repository.handle[tree]) if tree else None
        ) as index:
            yield index

    @staticmethod
    def _refuse_staged(index: LockedIndex | None, changes: Mapping[str, LeafChange]) -> None:
        if index is None:
            return
        foreign = [path for path, sides in changes.items() if index.staged(path) not in sides]
        if foreign or index.conflicted:
            raise DirtyError(foreign or changes)

    @staticmethod
    def _stage(index: LockedIndex | None, changes: Mapping[str, LeafChange]) -> None:
        if index is None:
            return
        for path, was, now in _deletions_first(changes):
            if index.staged(path) == was:
                index.stage(path, now)
        index.write()

    def _write_intent(self, old: str | None, new: str, *, writes: bool) -> None:
        fresh = self._intent.with_suffix(".new")
        fresh.write_text(json.dumps({"old": old, "new": new, "writes": writes}))
        fresh.replace(self._intent)

    def _finish(self, changes: Mapping[str, LeafChange], new: str) -> None:
        written = {path: self._clean_signature(path, now) for path, (_, now) in changes.items()}
        self._folder.follow(new)
        for path, signature in written.items():
            self._folder.clean(path, signature)
        self._intent.unlink(missing_ok=True)

    def _clean_signature(self, path: str, leaf: Leaf | None) -> tuple[int, int, int, int] | None:
        """The signature of a file that surely holds `leaf`: taken before the content is compared."""
        if leaf is None or not leaf.is_file:
            return None
        with suppress(OSError):
            signature = signature_of(os.lstat(self._folder.path / path))
            if self._holds(path) == leaf.id:
                return signature
        return None

    def _write_files(self, changes: Mapping[str, LeafChange]) -> dict[str, LeafChange]:
        """Write all files or none; returns those that this call has changed."""
        written: dict[str, LeafChange] = {}
        dirty = []
        try:
            for path, was, now in _deletions_first(changes):
                done = self._write(path, was, now)
                if done is None:
                    dirty.append(path)
                elif done:
                    written[path] = (was, now)
        except (OSError, pygit2.GitError) as error:
            self._take_back(written)
            raise Retry(f"The folder {self._folder.path} cannot be written: {error}.") from error
        if dirty:
            self._take_back(written)
            raise DirtyError(dirty)
        return written

    def _take_back(self, written: Mapping[str, LeafChange]) -> None:
        for path, now, was in _deletions_first({path: (now, was) for path, (was, now) in written.items()}):
            self._write(path, now, was)
        self._intent.unlink(missing_ok=True)

    def _write(self, path: str, was: Leaf | None, now: Leaf | None) -> bool | None:
        """Turn one file from `was` to `now`: whether that took writing; None: it holds neither and stays."""
        if FileMode.COMMIT in (side.mode for side in (was, now) if side):
            return False
        if not self._may_write(path):
            return None
        here = self._holds(path)
        if here == (now.id if now else None):
            return False
        if here != (was.id if was else None):
            return None
        self._put(path, now)
        return True

    def _may_write(self, path: str) -> bool:
        """Whether the path is an ordinary one that leads through no link, and no filter stands before it."""
        parts = path.split("/")
        if any(part.casefold() in _FORBIDDEN for part in parts) or self._folder.filtered(path):
            return False
        place = self._folder.path
        for part in parts[:-1]:
            place = place / part
            if place.is_symlink() or (place.exists() and not place.is_dir()):
                return False
        return not (place / parts[-1]).is_dir() or (place / parts[-1]).is_symlink()

    def _holds(self, path: str) -> str | None:
        """The blob id of what lies at a path, a link's target included; None for nothing."""
        file = self._folder.path / path
        if file.is_symlink():
            return str(pygit2.hash(os.fsencode(file.readlink())))
        if not file.exists():
            return None
        return self._folder.blob_of(path) or "unreadable"

    def _put(self, path: str, leaf: Leaf | None) -> None:
        file = self._folder.path / path
        if leaf is None:
            file.unlink()
            self._prune(file.parent)
            return
        self._make_folder(file.parent)
        fresh = file.with_name(f"{TEMPORARY}{secrets.token_hex(6)}.tmp")
        try:
            self._fill(fresh, path, leaf)
            self._hand_over(fresh)
            fresh.replace(file)
        finally:
            fresh.unlink(missing_ok=True)

    def _make_folder(self, place: Path) -> None:
        if not place.is_dir():
            self._make_folder(place.parent)
            place.mkdir()
            self._hand_over(place)

    def _hand_over(self, path: Path) -> None:
        # An engine that runs as root, in a container, must not leave files that their human cannot edit.
        if os.geteuid() == 0:
            owner = self._folder.path.stat()
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)

    def _fill(self, fresh: Path, path: str, leaf: Leaf) -> None:
        if leaf.mode == FileMode.LINK:
            fresh.symlink_to(os.fsdecode(self._repository.blob(leaf.id)))
            return
        fresh.write_bytes(self._worktree_content(path, leaf))
        if leaf.mode == FileMode.BLOB_EXECUTABLE:
            fresh.chmod(fresh.stat().st_mode | 0o111)

    def _worktree_content(self, path: str, leaf: Leaf) -> bytes:
        blob = cast("pygit2.Blob", self._repository.handle[leaf.id])
        if not self._folder.own_git:
            return blob.data
        # The folder's own git may want other line ends on the disk than in the blob.
        with pygit2.BlobIO(blob, as_path=path) as content:
            return content.read()

    def _prune(self, place: Path) -> None:
        # As git does: a folder whose last file went away goes too.
        while place != self._folder.path:
            try:
                place.rmdir()
            except OSError:
                return
            place = place.parent


def _deletions_first(changes: Mapping[str, LeafChange]) -> list[tuple[str, Leaf | None, Leaf | None]]:
    # A folder may take the place of a file.
    steps = [(path, was, now) for path, (was, now) in changes.items()]
    return sorted(steps, key=lambda step: (step[2] is not None, step[0]))
