"""The watched folder: what lies in it, and how that differs from the branch.

It remembers, for each file of the branch, what `stat` said when its content was last seen to be the branch's;
so a walk reads only what was touched. Nothing here commits: it says what a commit would hold.
"""

import errno
import hashlib
import logging
import os
import stat
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import pygit2
from pygit2.enums import FileMode

from vaultloop.model.errors import Paused, Retry
from vaultloop.vault.files import is_utf8
from vaultloop.vault.folder.moves import EMPTY, Edit, Moves
from vaultloop.vault.folder.settling import Settling, Signature, signature_of
from vaultloop.vault.folder.sparse import Sparse
from vaultloop.vault.git.attributes import Attributes, attributes_of
from vaultloop.vault.git.disk import ignores_case, raw_blob_of
from vaultloop.vault.git.effort import Effort
from vaultloop.vault.git.repository import Repository
from vaultloop.vault.git.trees import Leaf, shown
from vaultloop.vault.ignore import TEMPORARY, GitIgnore, Ignore, plain
from vaultloop.vault.notes.protected import LookAlikes
from vaultloop.vault.transport.oversize import LARGEST_FILE

__all__ = ["MEANT", "Edit", "Folder"]

log = logging.getLogger(__name__)

# A human says with this file in the folder that a mass deletion is meant.
MEANT = f"{TEMPORARY}deleted"
# Fewer missing files than this are no mass deletion.
FEW = 3

# What the system says of a file that is not there, or cannot be.
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)


class Folder:
    """The files of a vault as they lie on the disk."""

    def __init__(
        self,
        path: Path,
        repository: Repository,
        settling: Settling,
        *,
        own_git: bool,
        effort: Effort,
        largest_file: int = LARGEST_FILE,
    ) -> None:
        """`own_git`: the folder has its own `.git`, whose rules hold, and `repository` is that one.

        No file of more than `largest_file` bytes is an edit.
        """
        self.path = path
        self.own_git = own_git
        self.settling = settling
        self._repository = repository
        self._handle = repository.handle
        self._ignore: Ignore = GitIgnore(self._handle) if own_git else plain
        self._effort = effort
        # Every file of the branch at `_at`; the signature under which its content is the branch's, if known.
        self._known: dict[str, Signature | None] = {}
        self._leaves: dict[str, Leaf] = {}
        self._at: str | None = None
        self._attributes: Attributes | None = None
        self.largest_file = largest_file
        # Files that are no edits because of their size, with their bytes.
        self.too_large: dict[str, int] = {}
        # Files that were said to be left out.
        self._skipped: set[str] = set()
        # Files that were said to be one with another on this disk.
        self._twins: set[str] = set()
        self._ignores_case = ignores_case(path)
        # Device and inode of the folder at the last walk.
        self._root: tuple[int, int] | None = None
        self.sparse = Sparse(Path(self._handle.path) if own_git else None)
        self._modes = own_git and _flag(self._handle, "core.fileMode", default=True)
        self._moves = Moves(settling, self._leaves, self._edit_at, repository.blob)

    @property
    def mark(self) -> str:
        """Name of the reference that says that this folder has met the vault."""
        return f"folder/{hashlib.sha256(os.fsencode(self.path.absolute())).hexdigest()[:16]}"

    def follow(self, head: str | None) -> None:
        """Take note that the branch is at `head` now, whoever moved it."""
        if head == self._at:
            return
        for path, (_, now) in self._repository.changed(self._at, head).items():
            if now is None:
                self._known.pop(path, None)
                self._leaves.pop(path, None)
            else:
                mode = FileMode.BLOB_EXECUTABLE if now.executable else FileMode.BLOB
                self._known[path] = None
                self._leaves[path] = Leaf(now.blob, mode)
        self._at, self._attributes = head, None

    def edits(self, named: Collection[str] | None, *, settled: bool = True) -> list[Edit]:
        """The files that differ from the branch, sorted; only those `named`, or all after a walk for None.

        Args:
            settled: leave out what was not left alone for long enough.

        Raises:
            Paused: the folder is gone, or no note is left in it.
        """
        try:
            seen = self._seen_everywhere() if named is None else self._seen_at(named)
        except OSError as error:
            # What cannot be read is not gone.
            raise Paused(f"The folder {self.path} cannot be read: {error}. Mend its permissions.") from error
        with self._repository.in_bulk(len(seen) - len(self._known)):
            found = [edit for path in sorted(seen) if (edit := self._compare(path, seen[path], settled))]
            found = self._moves.whole(found)
        self._tell_emptied(found)
        if any(edit.leaf is None for edit in found):
            self._insist_on_content(found)
        if named is None:
            self._root = self._identity()
        return found

    def _seen_everywhere(self) -> dict[str, os.stat_result | None]:
        self._effort.walks += 1
        return dict.fromkeys(self._known) | dict(self._walk(""))

    def _seen_at(self, named: Collection[str]) -> dict[str, os.stat_result | None]:
        seen = {path: info for name in named if is_utf8(name) for path, info in self._look_at(name)}
        # What was below a folder that is gone, or renamed, has no event of its own.
        gone = {path for path, info in seen.items() if info is None and path not in self._known}
        below = [path for path in self._known if gone and not gone.isdisjoint(_parents(path))]
        return seen | {path: self._stat(path) for path in below}

    def _look_at(self, name: str) -> Iterator[tuple[str, os.stat_result | None]]:
        info = self._stat(name)
        if info is None or not stat.S_ISDIR(info.st_mode):
            yield name, info
            return
        yield from ((path, None) for path in self._known if path.startswith(name + "/"))
        yield from self._walk(name)

    def _stat(self, path: str) -> os.stat_result | None:
        self._effort.stats += 1
        try:
            return os.lstat(self.path / path)
        except OSError as error:
            if error.errno in _ABSENT:
                return None
            raise

    def _walk(self, folder: str) -> Iterator[tuple[str, os.stat_result | None]]:
        """Everything below that is not ignored, with its stat; links are neither followed nor taken."""
        try:
            with os.scandir(self.path / folder) as listing:
                entries = list(listing)
        except OSError as error:
            if error.errno not in _ABSENT:
                raise
            if not folder:
                raise self.gone() from error
            return
        if folder and any(entry.name == ".git" for entry in entries):
            # A repository inside the vault is its own affair.
            yield from ((path, self._stat(path)) for path in self._known if path.startswith(folder + "/"))
            return
        for entry in entries:
            path = f"{folder}/{entry.name}" if folder else entry.name
            if not is_utf8(entry.name):
                self._skip(path)
                continue
            if entry.is_dir(follow_symlinks=False):
                if not self._ignores_folder(path):
                    yield from self._walk(path)
            elif path in self._known or not self._ignore(path, folder=False):
                yield path, self._stat(path)

    def _skip(self, path: str) -> None:
        if path not in self._skipped:
            self._skipped.add(path)
            log.warning("%s is left out of the vault: its name is not UTF-8", shown(path))

    def _ignores_folder(self, path: str) -> bool:
        if path == ".git":
            return True
        below = path + "/"
        return self._ignore(path, folder=True) and not any(known.startswith(below) for known in self._known)

    def _compare(self, path: str, info: os.stat_result | None, settled: bool) -> Edit | None:
        """The edit that a file amounts to, or None if it is the branch's, or is not ours to take."""
        if info is None:
            return self._deletion(path, settled)
        signature = signature_of(info)
        if self._known.get(path) == signature:
            self.settling.forget(path)
            return None
        ours = self._is_ours(path, info)
        if ours and self._is_too_large(path, info.st_size):
            return None
        leaf = self._content(path, info) if ours else None
        if leaf is not None and leaf == self._leaves.get(path):
            self.clean(path, signature)
            return None
        if leaf is None or (settled and not self.settling.settled(path, signature)):
            return None
        return Edit(path, leaf)

    def _tell_emptied(self, found: Iterable[Edit]) -> None:
        """An editor that dies while it saves leaves nothing: it counts as saved, and is said."""
        git = self._repository.command
        for edit in found:
            known = self._leaves.get(edit.path)
            if edit.leaf and edit.leaf.id == EMPTY and known and known.id != EMPTY:
                before = f"{git} show {known.id}"
                log.warning("%s is empty now; its text before is: %s", shown(edit.path), before)

    def _edit_at(self, path: str) -> Edit | None:
        """As `_compare`, for a file that nobody looked at yet, settled or not."""
        return self._compare(path, self._stat(path), settled=False)

    def _is_too_large(self, path: str, size: int) -> bool:
        """Whether a file is one that the remote would not take; looked at before it is stored."""
        self.too_large.pop(path, None)
        if size <= self.largest_file or (raw := raw_blob_of(self.path / path)) is None or raw in self._handle:
            return False
        self.too_large[path] = size
        return True

    def _is_ours(self, path: str, info: os.stat_result) -> bool:
        """Whether what lies there is for us to commit."""
        if not stat.S_ISREG(info.st_mode) or self.filtered(path):
            return False
        return self.is_of_vault(path)

    def is_of_vault(self, path: str) -> bool:
        """Whether a file belongs to the vault: the branch has it, or nothing says that it should not."""
        return path in self._known or not self._is_ignored(path)

    def _deletion(self, path: str, settled: bool) -> Edit | None:
        if path not in self._known or self.twin_of(path) or self.sparse.leaves_out(path):
            self.settling.forget(path)
            return None
        if settled and not self.settling.settled(path, None):
            return None
        return Edit(path, None)

    def twin_of(self, path: str) -> str | None:
        """The file that lies in the place of `path` where the disk takes both names for one.

        What the disk cannot hold beside another is neither gone nor to be written: the other would be lost.
        """
        if not self._ignores_case:
            return None
        folder, _, name = path.rpartition("/")
        try:
            names = LookAlikes(entry.name for entry in (self.path / folder).iterdir())
        except OSError:
            return None
        twin = names.of(name)
        # A file that got another name by its letters only is renamed: the branch does not know the other.
        if twin is None or (other := f"{folder}/{twin}".lstrip("/")) not in self._known:
            return None
        if path not in self._twins:
            self._twins.add(path)
            log.warning(
                "%s and %s are two files of the vault, and this disk can hold only one of them: rename one",
                *(shown(path), shown(other)),
            )
        return other

    def _is_ignored(self, path: str) -> bool:
        parts = path.split("/")
        folders = ("/".join(parts[:count]) for count in range(1, len(parts)))
        return any(self._ignore(folder, folder=True) for folder in folders) or self._ignore(
            path, folder=False
        )

    def _content(self, path: str, info: os.stat_result) -> Leaf | None:
        """What git would hold for a file; None if it changed while it was read."""
        blob = self.blob_of(path)
        now = self._stat(path)
        if blob is None or now is None or signature_of(now) != signature_of(info):
            return None
        known = self._leaves.get(path)
        if known is not None:
            # The executable bit stays what the branch says: not every disk can keep it.
            return Leaf(blob, known.mode)
        executable = self._modes and bool(info.st_mode & stat.S_IXUSR)
        return Leaf(blob, FileMode.BLOB_EXECUTABLE if executable else FileMode.BLOB)

    def blob_of(self, path: str) -> str | None:
        """The id of a file's content as git holds it, stored if it is new; None if it cannot be read."""
        known = self._leaves.get(path)
        raw = raw_blob_of(self.path / path)
        if raw is None:
            return None
        if known is not None and raw == known.id:
            return raw
        # In its own git, line ends may be converted; from another folder the bytes are the content.
        if self.own_git:
            return str(self._handle.create_blob_fromworkdir(path))
        return str(self._handle.create_blob_fromdisk(str(self.path / path)))

    def filtered(self, path: str) -> bool:
        """Whether a program outside of git (git-crypt, LFS) stands between the file and its blob."""
        if self.own_git:
            return self._handle.get_attr(path, "filter") not in (None, False)
        if self._attributes is None:
            files = self._repository.files(self._at) if self._at else self._repository.files_of_tree(None)
            self._attributes = attributes_of(files)
        return self._attributes.filtered(path)

    def has_program(self, path: str) -> bool:
        """Whether the folder's own git runs a program on the file that changes its bytes on the way."""
        name = self._handle.get_attr(path, "filter") if self.own_git else None
        keys = (f"filter.{name}.{step}" for step in ("clean", "process"))
        return isinstance(name, str) and any(key in self._handle.config for key in keys)

    def raw_blob_of(self, path: str) -> str | None:
        """The id of a file's bytes as they lie there; None if it cannot be read."""
        return raw_blob_of(self.path / path)

    def clean(self, path: str, signature: Signature | None) -> None:
        """The file's content is the branch's."""
        if path in self._known:
            self._known[path] = signature
        self.settling.forget(path)

    @property
    def is_there(self) -> bool:
        """Whether the folder, and the git in it if it has its own, can be reached."""
        return (self.path / ".git" if self.own_git else self.path).exists()

    def insist_on_presence(self) -> None:
        """Before anything is written: an unmounted folder must not be written to.

        Raises:
            Paused: the folder is gone.
            Retry: it is another one than at the last walk; it must be looked at first.
        """
        if not self.is_there:
            raise self.gone()
        if self._root is not None and self._root != self._identity():
            raise Retry(f"The folder {self.path} was replaced by another; it is looked at first.", after=5)

    def _identity(self) -> tuple[int, int]:
        info = self.path.stat()
        return info.st_dev, info.st_ino

    def _insist_on_content(self, found: list[Edit]) -> None:
        # An unmounted disk or a sync tool that starts anew looks like a human who deleted everything.
        if not self.is_there:
            raise self.gone()
        gone = {edit.path for edit in found if edit.leaf is None}
        left = (self._known.keys() - gone) | {edit.path for edit in found if edit.leaf is not None}
        emptied = any(map(_is_note, gone)) and not any(map(_is_note, left))
        replaced = self._root != self._identity() and len(gone) >= FEW and 2 * len(gone) > len(self._known)
        meant = self.path / MEANT
        if not (emptied or replaced):
            return
        if meant.exists():
            meant.unlink()
            return
        raise Paused(
            f"{len(gone)} of {len(self._known)} files are missing from the folder {self.path}. None was"
            " deleted from the vault. Mount the folder or put the files back; if you deleted them, create"
            f" the file {meant}."
        )

    def gone(self) -> Paused:
        """What to say while the folder cannot be reached."""
        return Paused(
            f"The folder {self.path} is not there. Nothing was deleted from the vault."
            " Mount it, or correct the folder setting."
        )


def _is_note(path: str) -> bool:
    return path.endswith(".md")


def _parents(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path


def _flag(handle: pygit2.Repository, name: str, *, default: bool) -> bool:
    return handle.config.get_bool(name) if name in handle.config else default
