"""One commit: who made it, what it says, and its files."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Protocol

import pygit2
from pygit2.enums import FileMode

from vaultloop.vault.files import Entry, is_utf8
from vaultloop.vault.git.trees import Leaf, Trees


@dataclass(frozen=True, slots=True)
class Identity:
    """A name in a commit."""

    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit as the audit trail shows it."""

    id: str
    parents: tuple[str, ...]
    author: Identity
    at: datetime
    subject: str
    body: str
    trailers: Mapping[str, str]


class Seal(Protocol):
    """Signs commits; `signing.Signer` is one."""

    def sign(self, payload: bytes) -> str: ...


class RevisionFiles:
    """The files of one commit; implements `vault.files.Files`."""

    def __init__(self, trees: Trees, revision: str, root: str | None, blob: Callable[[str], bytes]) -> None:
        """`root` is the commit's tree, `blob` reads a file's content."""
        self.revision = revision
        self._trees = trees
        self._root = root
        self._blob = blob
        self._known: dict[str, str | None] = {}

    def tree_id(self, folder: str) -> str | None:
        """Git id of a folder's tree; None if there is no such folder."""
        # Whether anything changed is asked again and again, of the same few folders.
        if folder not in self._known:
            self._known[folder] = self._tree_id(folder)
        return self._known[folder]

    def _tree_id(self, folder: str) -> str | None:
        leaf = self._trees.leaf(self._root, folder)
        return leaf.id if leaf and leaf.is_tree else None

    def under(self, folder: str) -> Iterator[Entry]:
        """Every regular file below `folder`, sorted by path; those whose names are not UTF-8 are left out."""
        tree = self._known.get(folder) or self._tree_id(folder)
        prefix = folder.strip("/")
        for path, leaf in self._trees.leaves(tree, prefix + "/" if prefix else ""):
            if leaf.is_file and is_utf8(path):
                yield entry_of(path, leaf)

    def entry(self, path: str) -> Entry | None:
        leaf = self._trees.leaf(self._root, path)
        return entry_of(path, leaf) if leaf and leaf.is_file else None

    def changed_since(self, tree: str) -> dict[str, tuple[Entry | None, Entry | None]] | None:
        """Each regular file that differs from those of an earlier root tree; None if that is no more."""
        try:
            changes = self._trees.changes(tree, self._root)
        except (KeyError, ValueError):
            return None
        return {
            path: (file_of(path, was), file_of(path, now))
            for path, (was, now) in changes.items()
            if is_utf8(path)
        }

    def read(self, entry: Entry) -> bytes:
        return self._blob(entry.blob)


def entry_of(path: str, leaf: Leaf) -> Entry:
    """A file as the rest of the engine knows it."""
    return Entry(path, leaf.id, leaf.mode == FileMode.BLOB_EXECUTABLE)


def file_of(path: str, leaf: Leaf | None) -> Entry | None:
    """As `entry_of`; None for what is no regular file."""
    return entry_of(path, leaf) if leaf and leaf.is_file else None


def read(commit: pygit2.Commit) -> Commit:
    """A commit object as a value."""
    subject, _, body = commit.message.partition("\n")
    author = commit.author
    zone = timezone(timedelta(minutes=author.offset))
    return Commit(
        id=str(commit.id),
        parents=tuple(str(parent) for parent in commit.parent_ids),
        author=Identity(author.name, author.email),
        at=datetime.fromtimestamp(author.time, zone),
        subject=subject,
        body=body.strip("\n"),
        trailers=dict(commit.message_trailers),
    )
