"""How the commits of a repository hang together."""

from collections.abc import Iterator
from typing import cast

import pygit2
from pygit2.enums import SortMode

from vaultloop.vault.git.repository import Repository


def parents(repository: Repository, commit: str) -> tuple[str, ...]:
    """The commits that a commit builds upon."""
    return tuple(map(str, cast("pygit2.Commit", repository.handle[commit]).parent_ids))


def newest(repository: Repository, limit: int) -> Iterator[str]:
    """The newest commits of all references, the stash included."""
    walker = repository.handle.walk(None, SortMode.TIME)
    for name in repository.handle.references:
        if (commit := repository.named(name)) is not None:
            walker.push(commit)
    for _, found in zip(range(limit), walker, strict=False):
        yield str(found.id)
