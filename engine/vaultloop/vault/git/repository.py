"""One git repository, kept open, without index or checkout: commits are made of blobs and trees.

pygit2 is known here, in `trees`, in `remote` and in `index`, nowhere else. libgit2's errors carry no code, so
what went wrong is found by looking at the state again, never by reading a message.
"""

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

import pygit2
from pygit2.enums import DiffOption, FileMode, SortMode

from vaultloop.aio.failpoint import Failpoint, reached
from vaultloop.model.errors import Retry, Stalled
from vaultloop.vault.files import Entry, is_utf8
from vaultloop.vault.git.effort import Effort
from vaultloop.vault.git.references import OWN_REFS, References
from vaultloop.vault.git.revision import Commit, Identity, RevisionFiles, Seal, file_of, read
from vaultloop.vault.git.trees import Leaf, LeafChange, Trees

__all__ = ["OWN_REFS", "Commit", "HeadMovedError", "Identity", "Repository", "RevisionFiles", "Seal"]

DEFAULT_BRANCH = "main"

# From so many objects on, one `sync` of the whole disk is quicker than one for each object.
BULK = 500

# So many revisions are asked for their files again and again: the newest, the one that runs, the last good.
KNOWN = 4

# Whoever set the path trusts it: a vault mounted into a container usually belongs to another user. libgit2
# runs no program that a repository's configuration names.
pygit2.settings.owner_validation = False
# What was answered "done" is on the disk: a power cut leaves no empty objects behind (about 3 ms an object).
pygit2.settings.enable_fsync_gitdir(True)


class HeadMovedError(Exception):
    """Somebody else moved the branch meanwhile: look again and decide anew."""


class Repository(References):
    """Plain synchronous git; to be used from one thread at a time.

    Attributes:
        path: the git directory.
        branch: the branch that is the vault, without `refs/heads/`.
        before_move: called with both commits before `move` moves the branch.
    """

    before_move: Callable[[str | None, str], None]

    def __init__(self, handle: pygit2.Repository, branch: str, effort: Effort) -> None:
        super().__init__(handle)
        self.branch = branch
        self.effort = effort
        self.trees = Trees(handle, effort)
        self.before_move = lambda old, new: None
        self._known: dict[str, RevisionFiles] = {}

    @classmethod
    def bare(cls, path: Path, branch: str | None = None, effort: Effort | None = None) -> "Repository":
        """Open, or make, the bare repository at `path`. Without `branch` it goes on with the one it has."""
        if not (path / "HEAD").exists():
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            pygit2.init_repository(str(path), bare=True, initial_head=branch or DEFAULT_BRANCH)
        handle = _opened(path)
        if branch and _branch_of(handle) != branch:
            handle.set_head(f"refs/heads/{branch}")
        _keep_log(handle)
        return cls(handle, branch or _branch_of(handle) or DEFAULT_BRANCH, effort or Effort())

    @classmethod
    def in_folder(cls, folder: Path, branch: str | None = None, effort: Effort | None = None) -> "Repository":
        """Open the folder's own `.git`, on the branch that is checked out.

        Raises:
            Stalled: another branch than `branch` is checked out, or none.
        """
        handle = _opened(folder)
        current = _branch_of(handle)
        if current is None or (branch and branch != current):
            raise Stalled(
                f"The folder {folder} has {current or 'no branch'} checked out, not {branch or 'a branch'}.",
                cure=f"Check it out there (git switch {branch or DEFAULT_BRANCH}), or set another branch.",
            )
        _keep_log(handle)
        return cls(handle, current, effort or Effort())

    @classmethod
    def around(cls, place: Path) -> "Repository":
        """Open the repository that a folder lies in, or that this git directory is, wherever its HEAD is.

        Raises:
            Stalled: there is none that can be opened.
        """
        found = pygit2.discover_repository(str(place))
        handle = _opened(Path(found) if found else place)
        return cls(handle, _branch_of(handle) or "", Effort())

    @property
    def workdir(self) -> Path | None:
        """The folder that its files are checked out in; None for a bare one."""
        return Path(self.handle.workdir) if self.handle.workdir else None

    def settings(self, name: str) -> tuple[str, ...]:
        """All values that git's configuration has under a name."""
        return tuple(value for value in self.handle.config.get_multivar(name) if value)

    def unlock(self, *, alone: bool) -> None:
        """Remove the locks that this engine was killed with: those of its own references.

        `alone`: the whole repository is the engine's own, so every lock in it is.
        """
        own = (self.path / OWN_REFS).rglob("*.lock")
        everything = (*self.path.glob("*.lock"), *(self.path / "refs").rglob("*.lock"))
        for lock in everything if alone else own:
            lock.unlink(missing_ok=True)

    @property
    def checked_out(self) -> str | None:
        """The branch that HEAD names now; None while it is detached."""
        return _branch_of(self.handle)

    @property
    def head(self) -> str | None:
        """The branch's commit; None while it has none."""
        return self.target(f"refs/heads/{self.branch}")

    def files(self, revision: str) -> RevisionFiles:
        """The files of a commit.

        Raises:
            KeyError: there is no such commit.
        """
        files = self._known.pop(revision, None)
        if files is None:
            files = RevisionFiles(self.trees, revision, self.tree_of(revision), self.blob)
        # The one that was asked for last stands last.
        self._known[revision] = files
        if len(self._known) > KNOWN:
            del self._known[next(iter(self._known))]
        return files

    def files_of_tree(self, tree: str | None, revision: str = "") -> RevisionFiles:
        """The files of a tree that no commit has yet; of None, no files."""
        return RevisionFiles(self.trees, revision, tree, self.blob)

    def partly(self, old: str, new: str, paths: Collection[str]) -> RevisionFiles:
        """The files of `old`, but at `paths` as they are in `new`."""
        changes = self.changed_leaves(old, new)
        edits = {path: changes[path][1] for path in paths if path in changes}
        return self.files_of_tree(self.edit_leaves(old, edits), old)

    def tree_of(self, revision: str | None) -> str | None:
        """The root tree of a commit; None for None."""
        if revision is None:
            return None
        return str(self._commit(revision).tree_id)

    def blob(self, blob: str) -> bytes:
        """The content of a file.

        Raises:
            KeyError: there is no such blob.
        """
        return self.handle.read(blob)[1]

    def patch(self, old: str, new: str) -> str:
        """What changed between two commits, for people: as `git diff` shows it."""
        trees = str(self.tree_of(old)), str(self.tree_of(new))
        # A NUL in a note, or an attribute, must not hide what changes in it.
        texts = self.handle.diff(*trees, flags=DiffOption.FORCE_TEXT)
        patches = (
            text if text is not None and _is_note(text) else patch
            for text, patch in zip(texts, self.handle.diff(*trees), strict=True)
        )
        return "".join(patch.data.decode(errors="replace") for patch in patches if patch is not None)

    def changed(
        self, old: str | None, new: str | None, under: str = ""
    ) -> dict[str, tuple[Entry | None, Entry | None]]:
        """The regular files that differ between two commits, with both sides.

        Links are left out, and files whose names are not UTF-8.
        """
        changes = self.changed_leaves(old, new, under)
        files = {
            path: (file_of(path, was), file_of(path, now))
            for path, (was, now) in changes.items()
            if is_utf8(path)
        }
        return {path: sides for path, sides in files.items() if sides != (None, None)}

    def changed_leaves(self, old: str | None, new: str | None, under: str = "") -> dict[str, LeafChange]:
        """As `changed`, for everything that a tree may hold."""
        if old == new:
            return {}
        prefix = under.strip("/")
        before = self.trees.leaf(self.tree_of(old), prefix)
        after = self.trees.leaf(self.tree_of(new), prefix)
        return self.trees.changes(
            before.id if before and before.is_tree else None,
            after.id if after and after.is_tree else None,
            prefix + "/" if prefix else "",
        )

    def size(self, blob: str) -> int:
        """How many bytes a file has, without reading it.

        Raises:
            KeyError: there is no such blob.
        """
        return int(self.handle.odb.read_header(blob)[1])

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Whether `newer` is `older` or descends from it; false for commits that are not here."""
        if older == newer:
            return True
        try:
            return self.handle.descendant_of(newer, older)
        except (pygit2.GitError, KeyError, ValueError):
            return False

    def has(self, commit: str) -> bool:
        return commit in self.handle

    def write_blob(self, data: bytes) -> str:
        return str(self.handle.create_blob(data))

    @contextmanager
    def in_bulk(self, count: int) -> Iterator[None]:
        """Write some `count` objects; many are brought to the disk together at the end, not one by one."""
        if count < BULK:
            yield
            return
        pygit2.settings.enable_fsync_gitdir(False)
        try:
            yield
            os.sync()
        finally:
            pygit2.settings.enable_fsync_gitdir(True)

    def edit(self, base: str | None, edits: Mapping[str, Entry | None]) -> str:
        """The tree of revision `base` with files set or, where None, taken out.

        Raises:
            ValueError: a file would replace a folder that keeps content.
        """
        return self.edit_leaves(
            base, {path: _leaf(entry) if entry else None for path, entry in edits.items()}
        )

    def edit_leaves(self, base: str | None, edits: Mapping[str, Leaf | None]) -> str:
        """As `edit`, for everything that a tree may hold."""
        return self.trees.edited(self.tree_of(base), edits)

    def merge_base(self, ours: str, theirs: str) -> str | None:
        """Where two lines of work parted; None if they never were one."""
        base = cast("pygit2.Oid | None", self.handle.merge_base(ours, theirs))
        return None if base is None else str(base)

    def named(self, name: str) -> str | None:
        """The commit that git means by a name or an id; None if there is none."""
        try:
            return str(self.handle.revparse_single(name).peel(pygit2.Commit).id)
        except (pygit2.GitError, KeyError, ValueError):
            return None

    def parted(self, side: str, other: str) -> Iterator[tuple[str, tuple[str, ...]]]:
        """The commits of `side` that `other` does not have, each with its parents."""
        walker = self.handle.walk(side)
        walker.hide(other)
        for commit in walker:
            yield str(commit.id), tuple(map(str, commit.parent_ids))

    def commit(
        self,
        tree: str,
        parents: Sequence[str],
        message: str,
        *,
        author: Identity,
        signer: Seal | None = None,
        at: datetime,
    ) -> str:
        """Write a commit and return its id. No branch moves."""
        who = pygit2.Signature(author.name, author.email, int(at.timestamp()), _offset_minutes(at))
        if signer is None:
            commit = str(self.handle.create_commit(None, who, who, message, tree, list(parents)))
        else:
            content = str(self.handle.create_commit_string(who, who, message, tree, list(parents)))
            commit = str(self.handle.create_commit_with_signature(content, signer.sign(content.encode())))
        if not self.has(commit):
            # libgit2 answers so on a full disk.
            raise Retry(
                f"Git could not write to {self.path}: the disk took no commit. Nothing was changed."
                " Check the disk's free space and permissions."
            )
        reached(Failpoint.COMMIT_WRITTEN)
        return commit

    def move(self, old: str | None, new: str) -> None:
        """Set the branch from `old` to `new`.

        Raises:
            HeadMovedError: it is not at `old` any more.
            Retry: another git process holds the reference.
        """
        name = f"refs/heads/{self.branch}"
        try:
            if self.head != old:
                raise HeadMovedError
            self.before_move(old, new)
            if old is None:
                self.handle.create_reference(name, new)
            else:
                # set_target writes only if the reference still is what this object has read.
                reference = self.handle.lookup_reference(name)
                if str(reference.target) != old:
                    raise HeadMovedError
                reference.set_target(new, "vaultloop")
        except (pygit2.GitError, OSError, KeyError, ValueError) as error:
            if self.head != old:
                raise HeadMovedError from error
            raise Retry(
                f"The branch {self.branch} in {self.path} could not be moved: {error}.", after=1
            ) from error
        reached(Failpoint.BRANCH_MOVED)

    def switch(self, branch: str) -> None:
        """Follow another branch; only for a repository without a checkout. Raises as `keep`."""
        with self.at_work():
            self.handle.set_head(f"refs/heads/{branch}")
        self.branch = branch

    def log(self, revision: str, limit: int) -> Iterator[Commit]:
        """The newest `limit` commits from `revision` backwards, children before parents."""
        order = SortMode.TOPOLOGICAL | SortMode.TIME
        for _, commit in zip(range(limit), self.handle.walk(revision, order), strict=False):
            yield read(commit)

    def read_commit(self, revision: str) -> Commit:
        return read(self._commit(revision))

    def signature(self, revision: str) -> tuple[bytes, bytes] | None:
        """The signature of a commit and the text that was signed, or None if it is unsigned."""
        signature, payload = self._commit(revision).gpg_signature
        return (signature, payload) if signature else None

    def configured_identity(self) -> Identity | None:
        """The name that git is configured with for this repository."""
        try:
            who = self.handle.default_signature
        except (pygit2.GitError, KeyError):
            return None
        return Identity(who.name, who.email)

    def _commit(self, revision: str) -> pygit2.Commit:
        return cast("pygit2.Commit", self.handle[revision])


def _opened(path: Path) -> pygit2.Repository:
    try:
        return pygit2.Repository(str(path))
    except (pygit2.GitError, OSError, KeyError) as error:
        raise Stalled(
            f"The git repository {path} cannot be opened: {error}.",
            cure=f"Check that it is readable and whole (git -C {path} fsck).",
        ) from error


def _keep_log(handle: pygit2.Repository) -> None:
    """Note where the branch was, for `repair`: git keeps no log in a bare repository by itself."""
    if "core.logAllRefUpdates" not in handle.config:
        handle.config["core.logAllRefUpdates"] = True


def _is_note(patch: pygit2.Patch) -> bool:
    return patch.delta.new_file.raw_path.lower().endswith(b".md")


def _branch_of(handle: pygit2.Repository) -> str | None:
    target = handle.lookup_reference("HEAD").target
    prefix = "refs/heads/"
    return target.removeprefix(prefix) if isinstance(target, str) and target.startswith(prefix) else None


def _leaf(entry: Entry) -> Leaf:
    return Leaf(entry.blob, FileMode.BLOB_EXECUTABLE if entry.executable else FileMode.BLOB)


def _offset_minutes(at: datetime) -> int:
    return int((at.utcoffset() or timedelta()).total_seconds() // 60)
