"""What is staged for the next commit: the index as `git commit` will read it, never the working tree.

The index is read as HEAD with differences, so that what is read follows the change: blobs of files that stay
as they are in HEAD are not touched, whatever the size of the vault.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import cast

import pygit2
from pygit2.enums import DeltaStatus, RepositoryOpenFlag

from vaultloop.model.errors import Stalled
from vaultloop.vault.effort import Effort
from vaultloop.vault.files import Entry, is_utf8
from vaultloop.vault.location import FOLDER
from vaultloop.vault.object_id import tree_id
from vaultloop.vault.revision import RevisionFiles, file_of
from vaultloop.vault.trees import Leaf, Trees

Changes = dict[str, Leaf | None]

# How many folders deep a vault is looked for in a repository that holds more than a vault.
DEEPEST_VAULT = 3


class StagedFiles:
    """Implements `Files`: those of a commit, with what is staged on top."""

    revision = "staged"

    def __init__(self, base: RevisionFiles, changes: Changes) -> None:
        """`changes`: the staged side of each path that differs; None where it is deleted."""
        self._base = base
        self._changes = {path: file_of(path, leaf) for path, leaf in changes.items() if is_utf8(path)}

    def tree_id(self, folder: str) -> str | None:
        """An id that tells contents apart: git's own, where only regular files lie in the folder."""
        return tree_id(self.under(folder), folder)

    def under(self, folder: str) -> Iterator[Entry]:
        """Every staged file below `folder`, sorted by path."""
        prefix = f"{folder}/" if folder else ""
        entries = {entry.path: entry for entry in self._base.under(folder)}
        for path, entry in self._changes.items():
            entries.pop(path, None)
            if entry is not None and path.startswith(prefix):
                entries[path] = entry
        return (entries[path] for path in sorted(entries))

    def entry(self, path: str) -> Entry | None:
        return self._changes[path] if path in self._changes else self._base.entry(path)

    def read(self, entry: Entry) -> bytes:
        return self._base.read(entry)


@dataclass(frozen=True, slots=True)
class Staged:
    """The next commit, as far as it concerns one vault.

    Attributes:
        vault: the vault's folder in the repository; empty for the top.
        before: HEAD; None while there is no commit.
        after: what is staged.
        changed: the paths in the vault that differ.
    """

    vault: str
    before: RevisionFiles | None
    after: StagedFiles
    changed: frozenset[str]


def staged(place: Path, effort: Effort) -> Staged:
    """What is staged in the repository around `place`, for the vault that `place` lies in or holds.

    Like every program that git starts, this follows git's own variables: `git commit -a` and
    `git commit FILE` make a commit out of an index of their own.

    Raises:
        Stalled: there is no repository, its index cannot be read, or several vaults could be meant.
    """
    handle = _opened(place)
    trees = Trees(handle, effort)
    root = None if handle.head_is_unborn else str(handle.head.peel(pygit2.Tree).id)
    changes = _changes(handle, root)
    vault = _vault(trees, root, changes, _inside(place, handle))

    def blob(id_: str) -> bytes:
        effort.blobs += 1
        return handle.read(id_)[1]

    prefix = f"{vault}/" if vault else ""
    here = {path.removeprefix(prefix): leaf for path, leaf in changes.items() if path.startswith(prefix)}
    top = trees.leaf(root, vault)
    base = RevisionFiles(trees, "HEAD", top.id if top else None, blob)
    return Staged(vault, base if root else None, StagedFiles(base, here), frozenset(here))


def _opened(place: Path) -> pygit2.Repository:
    try:
        return pygit2.Repository(str(place), RepositoryOpenFlag.FROM_ENV)
    except (pygit2.GitError, OSError, KeyError) as error:
        raise Stalled(
            f"Nothing is staged at {place}: there is no git repository that can be opened ({error}).",
            cure="Call this in the vault's own repository, or without --staged.",
        ) from error


def _changes(handle: pygit2.Repository, root: str | None) -> Changes:
    """The staged side of every path that differs from HEAD."""
    try:
        index = handle.index
        if root is None:
            return {entry.path: Leaf(str(entry.id), entry.mode) for entry in index}
        deltas = index.diff_to_tree(cast("pygit2.Tree", handle[root])).deltas
        # git itself refuses to commit what is in conflict.
        return dict(_change(delta) for delta in deltas if delta.status != DeltaStatus.CONFLICTED)
    except (pygit2.GitError, OSError, ValueError) as error:
        raise Stalled(
            f"The index of {handle.path} cannot be read: {error}.",
            cure="A split or sparse index must be made a plain one: git update-index --no-split-index,"
            " or git sparse-checkout reapply --no-sparse-index.",
        ) from error


def _change(delta: pygit2.DiffDelta) -> tuple[str, Leaf | None]:
    path = delta.new_file.raw_path.decode("utf-8", "surrogateescape")
    gone = delta.status == DeltaStatus.DELETED
    return path, None if gone else Leaf(str(delta.new_file.id), delta.new_file.mode)


def _inside(place: Path, handle: pygit2.Repository) -> PurePosixPath:
    """The path of `place` in the repository; its top for what lies elsewhere."""
    try:
        return PurePosixPath(place.resolve().relative_to(Path(handle.workdir or "/").resolve()))
    except ValueError:
        return PurePosixPath()


def _vault(trees: Trees, root: str | None, changes: Changes, place: PurePosixPath) -> str:
    """The nearest folder around `place` that holds declarations; else the only one further down."""
    for folder in (place, *place.parents):
        inside = str(folder / FOLDER)
        found = trees.leaf(root, inside)
        if (found and found.is_tree) or any(path.startswith(f"{inside}/") for path in changes):
            return str(folder) if folder.name else ""
    below = {path.partition(f"/{FOLDER}/")[0] for path in changes if f"/{FOLDER}/" in path}
    below |= set(_vaults_below(trees, root, DEEPEST_VAULT))
    if len(below) > 1:
        names = ", ".join(sorted(below))
        raise Stalled(
            f"Several folders hold declarations: {names}.",
            cure="Name the one that is meant: vaultloop check --staged FOLDER.",
        )
    return next(iter(below), "")


def _vaults_below(trees: Trees, tree: str | None, depth: int) -> Iterator[str]:
    for name, leaf in trees.listing(tree).items():
        if not leaf.is_tree or not depth:
            continue
        inside = trees.leaf(leaf.id, FOLDER)
        if inside and inside.is_tree:
            yield name
        else:
            yield from (f"{name}/{below}" for below in _vaults_below(trees, leaf.id, depth - 1))
