"""Bringing a commit into the folder: files first, then the branch, then exactly the index entries it changed.

Nothing is forced. A file is replaced only while it holds what the old commit says; whoever changed it
meanwhile is asked first, by a `DirtyError`. What is under way is written down before it begins, so that
whoever starts after a crash can finish it or take it back.
"""

import logging
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import cast

import pygit2
from pygit2.enums import FileMode

from vaultloop.aio.failpoint import Failpoint, reached
from vaultloop.model.errors import Retry
from vaultloop.vault.files import is_utf8
from vaultloop.vault.folder.folder import Folder
from vaultloop.vault.folder.intent import Intent, Journal, Staged
from vaultloop.vault.folder.settling import signature_of
from vaultloop.vault.git.attributes import is_pointer
from vaultloop.vault.git.disk import bring_to_disk, hand_over, insist_on_room
from vaultloop.vault.git.index import Index, LockedIndex
from vaultloop.vault.git.lock import break_leftover, lock_of
from vaultloop.vault.git.repository import HeadMovedError, Repository
from vaultloop.vault.git.trees import Leaf, LeafChange, shown
from vaultloop.vault.ignore import TEMPORARY

log = logging.getLogger(__name__)

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
    """Moves folder, branch and index together from one commit to the next.

    Attributes:
        remark: what a human should know of an index that was damaged.
    """

    def __init__(self, repository: Repository, folder: Folder, state: Path) -> None:
        self._repository = repository
        self._folder = folder
        self._journal = Journal(state / INTENT_NAME)
        self._index = Index(repository.path) if folder.own_git else None
        self.remark: str | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether something broke off half-way in this process, on a full disk, say: `recover` first."""
        return self._journal.is_open

    def advance(self, old: str | None, new: str) -> None:
        """Move from `old` to `new`. Doing it again, from any point where it broke off, ends the same.

        Raises:
            DirtyError: a file to be written was changed by somebody else; nothing has moved.
            HeadMovedError: the branch is not at `old` any more; nothing has moved.
            Retry: git's lock is taken, or the disk refuses.
        """
        try:
            self._advance(old, new)
        except (DirtyError, HeadMovedError, Retry):
            # Before the branch moved, and everything was taken back.
            self._journal.clear()
            raise

    def _advance(self, old: str | None, new: str) -> None:
        changes = self._changes(old, new)
        with self._locked(old) as index:
            self._refuse_staged(index, changes)
            self._insist_on_room(changes)
            self._journal.write(Intent(old, new, writes=True))
            written = self._write_files(changes)
            # Once the branch has moved, an empty file that a power cut left would pass as a human's edit.
            bring_to_disk([self._folder.path / path for path, (_, now) in written.items() if now])
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

        What a human has staged of these files and then edited further counts as they saved it last, in the
        index too; what they have staged of others stays. Raises as `advance`, also for a file that the index
        holds the sides of a conflict of.
        """
        changes = self._changes(old, new)
        with self._locked(old) as index:
            replaced = self._staged_otherwise(index, changes)
            self._journal.write(Intent(old, new, writes=False, replaced=replaced))
            self._repository.move(old, new)
            self._stage(index, changes, replaced)
        for path, leaf in replaced.items():
            log.info("what was staged of %s before its last edit is %s", shown(path), _object(leaf))
        self._finish(changes, new)

    def populate(self, head: str) -> None:
        """Write all of `head` into a folder that has not met this vault yet.

        Raises:
            DirtyError: files there have other content.
        """
        changes = self._changes(None, head)
        self._insist_on_room(changes)
        self._write_files(changes)

    def recover(self) -> None:
        """Finish or take back what was under way when the engine was killed.

        Raises:
            Retry: git is at work in the folder.
        """
        if self._index:
            self._index.recover()
            self._mend_index(self._index)
        intent = self._journal.read()
        if intent is None:
            self._journal.clear()
            return
        branch = lock_of(self._repository.path, f"refs/heads/{self._repository.branch}")
        break_leftover(branch, f"{intent.new}\n", intent.since)
        reached(Failpoint.RECOVERY_BEGUN)
        if self._repository.has(intent.new):
            self._finish_or_take_back(intent)
        self._journal.clear()
        reached(Failpoint.RECOVERY_DONE)

    def _mend_index(self, index: Index) -> None:
        tree = self._repository.tree_of(self._repository.head)
        self.remark = index.mend(self._tree(tree)) or self.remark

    def _finish_or_take_back(self, intent: Intent) -> None:
        changes = self._changes(intent.old, intent.new)
        self._sweep(changes)
        reached(Failpoint.RECOVERY_SWEPT)
        if self._repository.head == intent.new:
            # The branch moved, so the files were whole; a human may have edited them since.
            with self._locked(intent.old) as index:
                self._stage(index, changes, intent.replaced)
        elif intent.writes:
            self._untear(changes)
            self._resume(intent.old, intent.new)

    def _untear(self, changes: Mapping[str, LeafChange]) -> None:
        """Write anew what a power cut left half of: a file that holds but the begin of the new one."""
        for path, (was, now) in changes.items():
            if now is None or not now.is_file or not self._may_write(path):
                continue
            file = self._folder.path / path
            if file.is_symlink() or self._holds(path) in (None, now.id, was.id if was else None):
                continue
            data, wanted = file.read_bytes(), self._worktree_content(path, now)
            if len(data) < len(wanted) and wanted.startswith(data.rstrip(b"\0")):
                log.warning("%s was half-written when the engine was killed; it is written anew", shown(path))
                self._put(path, now)

    def _sweep(self, changes: Iterable[str]) -> None:
        """Remove what was still being written beside the files."""
        for place in {(self._folder.path / path).parent for path in changes}:
            for fresh in place.glob(f"{TEMPORARY}*.tmp"):
                fresh.unlink(missing_ok=True)

    def _resume(self, old: str | None, new: str) -> None:
        try:
            if self._repository.head == old:
                self._advance(old, new)
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
        with self._index.locked(self._tree(self._repository.tree_of(old))) as index:
            self.remark = index.remark or self.remark
            yield index

    def _tree(self, tree: str | None) -> pygit2.Tree | None:
        return cast("pygit2.Tree", self._repository.handle[tree]) if tree else None

    @staticmethod
    def _refuse_staged(index: LockedIndex | None, changes: Mapping[str, LeafChange]) -> None:
        if index is None:
            return
        foreign = [path for path, sides in changes.items() if index.staged(path) not in sides]
        if foreign or index.conflicted:
            raise DirtyError(foreign or changes)

    @staticmethod
    def _staged_otherwise(index: LockedIndex | None, changes: Mapping[str, LeafChange]) -> Staged:
        """What is staged of files that lie there with other content."""
        if index is None:
            return {}
        if conflicted := index.conflicted & changes.keys():
            raise DirtyError(conflicted)
        staged = {path: index.staged(path) for path in changes}
        return {path: leaf for path, leaf in staged.items() if leaf not in changes[path]}

    @staticmethod
    def _stage(
        index: LockedIndex | None, changes: Mapping[str, LeafChange], replaced: Staged = MappingProxyType({})
    ) -> None:
        if index is None:
            return
        for path, was, now in _deletions_first(changes):
            # What somebody has staged since is theirs.
            if index.staged(path) == replaced.get(path, was):
                index.stage(path, now)
                reached(Failpoint.ENTRY_STAGED)
        index.write()
        reached(Failpoint.INDEX_WRITTEN)

    def _finish(self, changes: Mapping[str, LeafChange], new: str) -> None:
        written = {path: self._clean_signature(path, now) for path, (_, now) in changes.items()}
        self._folder.follow(new)
        for path, signature in written.items():
            self._folder.clean(path, signature)
        self._journal.clear()
        reached(Failpoint.INTENT_REMOVED)

    def _clean_signature(self, path: str, leaf: Leaf | None) -> tuple[int, int, int, int] | None:
        """The signature of a file that surely holds `leaf`: taken before the content is compared."""
        if leaf is None or not leaf.is_file:
            return None
        with suppress(OSError):
            signature = signature_of(os.lstat(self._folder.path / path))
            if self._holds(path) == leaf.id:
                return signature
        return None

    def _insist_on_room(self, changes: Mapping[str, LeafChange]) -> None:
        sizes = [[self._size(side) for side in sides] for sides in changes.values()]
        # Each file lies beside its old one for a moment.
        largest = max((now for _, now in sizes), default=0)
        insist_on_room(self._folder.path, largest + sum(max(0, now - was) for was, now in sizes))

    def _size(self, leaf: Leaf | None) -> int:
        return self._repository.size(leaf.id) if leaf and leaf.is_file else 0

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
            reached(Failpoint.FILE_TAKEN_BACK)

    def _write(self, path: str, was: Leaf | None, now: Leaf | None) -> bool | None:
        """Turn one file from `was` to `now`: whether that took writing; None: it holds neither and stays."""
        if FileMode.COMMIT in (side.mode for side in (was, now) if side):
            return False
        if not self._may_write(path):
            return None
        here = self._holds(path)
        if here == (now.id if now else None):
            return False
        left_out_by_git = here is None and self._folder.sparse.leaves_out(path)
        if (here != (was.id if was else None) and not left_out_by_git) or not self._passes(path, now):
            return None
        self._put(path, now)
        return True

    def _passes(self, path: str, now: Leaf | None) -> bool:
        """Whether the file may lie there as it is in git: no program that git runs there would spoil it."""
        if now is None or not now.is_file or not self._folder.has_program(path):
            return True
        # LFS itself leaves its pointers where it was told not to load what they stand for.
        return is_pointer(self._repository.blob(now.id))

    def _may_write(self, path: str) -> bool:
        """Whether the path is an ordinary one that leads through no link."""
        parts = path.split("/")
        if any(part.casefold() in _FORBIDDEN for part in parts) or self._folder.twin_of(path):
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
        if self._folder.filtered(path):
            return self._folder.raw_blob_of(path) or "unreadable"
        return self._folder.blob_of(path) or "unreadable"

    def _put(self, path: str, leaf: Leaf | None) -> None:
        file = self._folder.path / path
        if leaf is None:
            file.unlink()
            reached(Failpoint.FILE_DELETED)
            self._prune(file.parent)
            return
        self._make_folder(file.parent)
        fresh = file.with_name(f"{TEMPORARY}{secrets.token_hex(6)}.tmp")
        try:
            self._fill(fresh, path, leaf)
            hand_over(fresh, self._folder.path.stat())
            reached(Failpoint.FILE_PREPARED)
            fresh.replace(file)
            reached(Failpoint.FILE_REPLACED)
        finally:
            fresh.unlink(missing_ok=True)

    def _make_folder(self, place: Path) -> None:
        if not place.is_dir():
            self._make_folder(place.parent)
            place.mkdir()
            hand_over(place, self._folder.path.stat())

    def _fill(self, fresh: Path, path: str, leaf: Leaf) -> None:
        if leaf.mode == FileMode.LINK:
            fresh.symlink_to(os.fsdecode(self._repository.blob(leaf.id)))
            return
        fresh.write_bytes(self._worktree_content(path, leaf))
        if leaf.mode == FileMode.BLOB_EXECUTABLE:
            fresh.chmod(fresh.stat().st_mode | 0o111)

    def _worktree_content(self, path: str, leaf: Leaf) -> bytes:
        blob = cast("pygit2.Blob", self._repository.handle[leaf.id])
        if not self._folder.own_git or self._folder.filtered(path):
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


def _object(leaf: Leaf | None) -> str:
    return f"the object {leaf.id}" if leaf else "a deletion"


def _deletions_first(changes: Mapping[str, LeafChange]) -> list[tuple[str, Leaf | None, Leaf | None]]:
    # A folder may take the place of a file.
    steps = [(path, was, now) for path, (was, now) in changes.items()]
    return sorted(steps, key=lambda step: (step[2] is not None, step[0]))
