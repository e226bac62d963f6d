"""What is staged for the next commit: the index as `git commit` will read it, never the working tree.

The index is read as HEAD with differences, so that what is read follows the change: blobs of files that stay
as they are in HEAD are not touched, whatever the size of the vault.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import cast

import pygit2
from pygit2.enums import DeltaStatus, RepositoryOpenFlag

from vaultloop.model.errors import Stalled
from vaultloop.vault.files import Entry, is_utf8
from vaultloop.vault.git.effort import Effort
from vaultloop.vault.git.intended import intended
from vaultloop.vault.git.object_id import tree_id
from vaultloop.vault.git.revision import RevisionFiles, file_of
from vaultloop.vault.git.trees import Leaf, Trees
from vaultloop.vault.notes.before_both import before_both
from vaultloop.vault.notes.glance import any_declares, is_note
from vaultloop.vault.notes.location import FOLDER

Change = tuple[str, Leaf | None]
Changes = dict[str, Leaf | None]

# The id of a file without content.
EMPTY = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"

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
        undecided: declarations that both sides of an unfinished merge changed, staged as before both.
    """

    vault: str
    before: RevisionFiles | None
    after: StagedFiles
    changed: frozenset[str]
    undecided: frozenset[str] = frozenset()


def staged(place: Path, effort: Effort, *, named: bool = False) -> Staged:
    """What is staged in the repository around `place`, for the vault that `place` lies in or holds.

    Like every program that git starts, this follows git's own variables: `git commit -a` and
    `git commit FILE` make a commit out of an index of their own.

    Args:
        named: somebody said that the vault is there; then it is, also while nothing of it is checked out.

    Raises:
        Stalled: there is no repository, its index cannot be read, or several vaults could be meant.
    """
    handle = _opened(place)

    def blob(id_: str) -> bytes:
        effort.blobs += 1
        return handle.read(id_)[1]

    trees = Trees(handle, effort)
    root = None if handle.head_is_unborn else str(handle.head.peel(pygit2.Tree).id)
    changes = _changes(handle, root)
    inside = _inside(place, handle)
    vault = _Search(trees, root, changes, blob).vault(inside, named=named and inside.name != "")
    prefix = f"{vault}/" if vault else ""
    here = {path.removeprefix(prefix): leaf for path, leaf in changes.items() if path.startswith(prefix)}
    top = trees.leaf(root, vault)
    base = RevisionFiles(trees, "HEAD", top.id if top else None, blob)
    undecided = before_both(handle, trees, changes, vault)
    return Staged(vault, base if root else None, StagedFiles(base, here), frozenset(here), undecided)


def _opened(place: Path) -> pygit2.Repository:
    there = next(folder for folder in (place.absolute(), *place.absolute().parents) if folder.exists())
    try:
        return pygit2.Repository(os.environ.get("GIT_DIR") or str(there), RepositoryOpenFlag.FROM_ENV)
    except (pygit2.GitError, OSError, KeyError, ValueError) as error:
        if "object format" in str(error):
            raise Stalled(
                "What is staged cannot be checked here: this repository names its objects with SHA-256, and"
                " libgit2, which reads it for us, knows SHA-1 alone.",
                cure="Check the vault as it lies there, `vaultloop check`, and commit without the hook:"
                " git commit --no-verify.",
            ) from error
        raise Stalled(
            f"Nothing is staged at {place}: there is no git repository that can be opened ({error}).",
            cure="Call this in the vault's own repository, or without --staged.",
        ) from error


def _changes(handle: pygit2.Repository, root: str | None) -> Changes:
    """The staged side of every path that differs from HEAD."""
    try:
        index = handle.index
        if root is None:
            found: list[Change] = [(entry.path, Leaf(str(entry.id), entry.mode)) for entry in index]
        else:
            deltas = index.diff_to_tree(cast("pygit2.Tree", handle[root])).deltas
            # git itself refuses to commit what is in conflict.
            found = [_change(delta) for delta in deltas if delta.status != DeltaStatus.CONFLICTED]
        return _without_intended(dict(found), handle)
    except (pygit2.GitError, OSError, ValueError, KeyError) as error:
        raise Stalled(
            f"The index of {handle.path} cannot be read: {error}.",
            cure="A split or sparse index must be made a plain one: git update-index --no-split-index,"
            " or git sparse-checkout reapply --no-sparse-index.",
        ) from error


def _without_intended(changes: Changes, handle: pygit2.Repository) -> Changes:
    """Without the files that are announced and not staged; they look like empty ones."""
    if all(leaf is None or leaf.id != EMPTY for leaf in changes.values()):
        return changes
    index = Path(os.environ.get("GIT_INDEX_FILE") or Path(handle.path, "index"))
    left_out = {path.decode("utf-8", "surrogateescape") for path in intended(index)}
    return {path: leaf for path, leaf in changes.items() if path not in left_out}


def _change(delta: pygit2.DiffDelta) -> Change:
    path = delta.new_file.raw_path.decode("utf-8", "surrogateescape")
    gone = delta.status == DeltaStatus.DELETED
    return path, None if gone else Leaf(str(delta.new_file.id), delta.new_file.mode)


def _inside(place: Path, handle: pygit2.Repository) -> PurePosixPath:
    """The path of `place` in the repository; its top for what lies elsewhere."""
    top = os.environ.get("GIT_WORK_TREE") or handle.workdir or "/"
    try:
        return PurePosixPath(place.resolve().relative_to(Path(top).resolve()))
    except ValueError:
        return PurePosixPath()


class _Search:
    """The way to the vault in a repository, as the next commit will have it."""

    def __init__(
        self, trees: Trees, root: str | None, changes: Changes, blob: Callable[[str], bytes]
    ) -> None:
        self._trees = trees
        self._root = root
        self._changes = changes
        self._blob = blob

    def vault(self, place: PurePosixPath, *, named: bool) -> str:
        """The nearest folder around `place` that holds declarations; else the only one further down.

        Raises:
            Stalled: several further down could be meant.
        """
        around = [str(folder) if folder.name else "" for folder in (place, *place.parents)]
        above = [folder for folder in around if self._holds(folder)]
        if named:
            at = str(place)
            return at if at in above else next(filter(self._declares, above), at)
        below = sorted(set(self._below()) - set(above))
        if above and not below and len(above) == 1:
            return above[0]
        # Code has folders of that name, too.
        if (declared := next(filter(self._declares, above), None)) is not None:
            return declared
        if len(below) > 1 or above:
            below = list(filter(self._declares, below))
        if len(below) > 1:
            raise Stalled(
                f"Several folders hold declarations: {', '.join(below)}.",
                cure="Name the one that is meant: vaultloop check --staged FOLDER.",
            )
        return next(iter((*below, *above)), "")

    def _below(self) -> Iterator[str]:
        """The folders in the whole repository that hold `agent/`, as far down as one is looked for."""
        for path, leaf in self._changes.items():
            if leaf is not None and f"/{FOLDER}/" in f"/{path}":
                yield f"/{path}".partition(f"/{FOLDER}/")[0].strip("/")
        for folder in _in_tree(self._trees, self._root, DEEPEST_VAULT):
            if self._holds(folder):
                yield folder

    def _holds(self, folder: str) -> bool:
        return next(self._leaves(folder), None) is not None

    def _declares(self, folder: str) -> bool:
        notes = (leaf for path, leaf in self._leaves(folder) if is_note(path) and leaf.is_file)
        return any_declares(self._blob(leaf.id) for leaf in notes)

    def _leaves(self, folder: str) -> Iterator[tuple[str, Leaf]]:
        """What will lie in the `agent/` of a folder."""
        inside = f"{folder}/{FOLDER}" if folder else FOLDER
        for path, leaf in self._changes.items():
            if leaf is not None and path.startswith(f"{inside}/"):
                yield path, leaf
        found = self._trees.leaf(self._root, inside)
        if found and found.is_tree:
            for path, leaf in self._trees.leaves(found.id, f"{inside}/"):
                if path not in self._changes:
                    yield path, leaf


def _in_tree(trees: Trees, tree: str | None, depth: int) -> Iterator[str]:
    """The folders of a tree that hold `agent/`, the tree itself as the empty path."""
    folders = {name: leaf for name, leaf in trees.listing(tree).items() if leaf.is_tree}
    if FOLDER in folders:
        yield ""
    for name, leaf in folders.items() if depth else ():
        if name != FOLDER:
            yield from (f"{name}/{below}".rstrip("/") for below in _in_tree(trees, leaf.id, depth - 1))
