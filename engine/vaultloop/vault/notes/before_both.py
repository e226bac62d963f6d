"""Declarations that the next commit would leave as they were before both sides of a merge changed them.

The merge driver leaves that version in the file and no markers, so that nothing which nobody wrote can run.
`git commit -a` takes it for the answer, and both changes are gone.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import pygit2

from vaultloop.vault.git.trees import Leaf, Trees
from vaultloop.vault.notes.protected import is_declared_at


def before_both(
    handle: pygit2.Repository, trees: Trees, staged: Mapping[str, Leaf | None], vault: str = ""
) -> frozenset[str]:
    """The paths in `vault` that somebody has to decide before the merge, rebase or cherry-pick goes on.

    Args:
        staged: the staged side of each path of the repository that differs from HEAD.
        vault: the vault's folder in the repository; empty for the top.
    """
    prefix = f"{vault}/" if vault else ""
    kept = {path: leaf for path, leaf in staged.items() if leaf and path.startswith(prefix)}
    kept = {path: leaf for path, leaf in kept.items() if is_declared_at(path.removeprefix(prefix))}
    if not kept or handle.head_is_unborn:
        return frozenset()
    head = str(handle.head.peel(pygit2.Commit).id)
    return frozenset(
        path.removeprefix(prefix)
        for base, other in _joined(handle, head)
        for path, leaf in kept.items()
        if leaf == (sides := [_leaf(handle, trees, commit, path) for commit in (base, head, other)])[0]
        and len(set(sides)) == len(sides)
    )


def _joined(handle: pygit2.Repository, head: str) -> Iterator[tuple[str, str]]:
    """What is being joined with HEAD, each after the commit where the two parted."""
    for other in _named(handle, "MERGE_HEAD"):
        if (base := cast("pygit2.Oid | None", handle.merge_base(head, other))) is not None:
            yield str(base), other
    for name in ("CHERRY_PICK_HEAD", "REBASE_HEAD"):
        for picked in _named(handle, name):
            for parent in cast("pygit2.Commit", handle[picked]).parent_ids:
                yield str(parent), picked


def _named(handle: pygit2.Repository, name: str) -> list[str]:
    """The commits in a file that git keeps while it is at work; none if it is not."""
    try:
        return Path(handle.path, name).read_text(encoding="ascii").split()
    except FileNotFoundError:
        return []


def _leaf(handle: pygit2.Repository, trees: Trees, commit: str, path: str) -> Leaf | None:
    return trees.leaf(str(cast("pygit2.Commit", handle[commit]).tree_id), path)
