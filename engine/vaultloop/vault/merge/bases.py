"""Where two lines of work parted: their merge bases, which are several after a criss-cross."""

from collections.abc import Iterable

from vaultloop.vault.git.repository import Repository


def merge_bases(repository: Repository, ours: str, theirs: str) -> tuple[str, ...]:
    """The newest commits that two have in common, in the order of their ids; none if they have none.

    Of what both have in common only that counts which is no ancestor of another in common. What is read
    follows the work since they parted, not the history.
    """
    if repository.is_ancestor(ours, theirs):
        return (ours,)
    if repository.is_ancestor(theirs, ours):
        return (theirs,)
    if repository.merge_base(ours, theirs) is None:
        return ()
    return newest(repository, _edge(repository, ours, theirs) & _edge(repository, theirs, ours))


def newest(repository: Repository, commits: Iterable[str]) -> tuple[str, ...]:
    """Those of `commits` that are no ancestors of others among them, in the order of their ids."""
    found = sorted(set(commits))
    return tuple(
        commit
        for commit in found
        if not any(other != commit and repository.is_ancestor(commit, other) for other in found)
    )


def _edge(repository: Repository, side: str, other: str) -> set[str]:
    """The commits that `side` builds upon and `other` has too."""
    own: set[str] = set()
    parents: set[str] = set()
    for commit, above in repository.parted(side, other):
        own.add(commit)
        parents.update(above)
    return parents - own
