"""Which revisions may be gone back to: the last one that stayed healthy, and the one that an owner pinned.

Both are references to commits, so that they outlive everything, repacking included, and git can show them. A
pin is a commit of its own, with the tree of the revision that is pinned: it says whose act it was, and when.
"""

from dataclasses import dataclass
from datetime import datetime

from vaultloop.aio.failpoint import Failpoint, reached
from vaultloop.vault.git.repository import Identity, Repository
from vaultloop.vault.git.revision import RevisionFiles
from vaultloop.vault.notes.location import FOLDER
from vaultloop.vault.notes.protected import protected_in

LAST_GOOD = "last-good"
PIN = "pin"


@dataclass(frozen=True, slots=True)
class Pin:
    """The revision whose declarations run whatever comes.

    Attributes:
        revision: that revision.
        since: when it was pinned; `by` says whose act it was.
    """

    revision: str
    since: datetime
    by: str


def last_good(repository: Repository) -> str | None:
    """The last revision that stayed healthy; None before one has."""
    return repository.kept(LAST_GOOD)


def keep_last_good(repository: Repository, revision: str) -> None:
    """From now on `revision` is the last one that stayed healthy.

    Raises:
        Retry: as for `Repository.keep`.
    """
    if last_good(repository) != revision:
        repository.keep(LAST_GOOD, revision)
        reached(Failpoint.LAST_GOOD_KEPT)


def pinned(repository: Repository) -> Pin | None:
    """What is pinned; None if nothing is.

    Raises:
        KeyError: something is, and its commit is not there any more.
    """
    kept = repository.kept(PIN)
    if kept is None:
        return None
    act = repository.read_commit(kept)
    return Pin(act.parents[0], act.at, act.trailers.get("Asked-By", ""))


def pin(repository: Repository, revision: str, by: str, author: Identity, at: datetime) -> Pin:
    """Pin `revision` in the name of `by`, in place of what was pinned before.

    Raises:
        KeyError: there is no such commit.
        Retry: as for `Repository.keep`.
    """
    tree = repository.tree_of(revision)
    assert tree is not None
    message = f"Pin {revision[:12]}\n\nPinned: {revision}\nAsked-By: {by}\n"
    with repository.at_work():
        act = repository.commit(tree, [revision], message, author=author, at=at)
    repository.keep(PIN, act)
    reached(Failpoint.PIN_SET)
    return Pin(revision, at, by)


def unpin(repository: Repository) -> bool:
    """Let go of what is pinned; false if nothing is. Raises as `Repository.keep`."""
    if repository.kept(PIN) is None:
        return False
    repository.let_go(PIN)
    reached(Failpoint.PIN_REMOVED)
    return True


def governed(repository: Repository, head: str, runs: str | None) -> RevisionFiles:
    """The files of `head` as a session may have them: what governs it is as in the revision that `runs`.

    None runs what `head` declares. An edit that is held, or that an owner pinned away, must reach no session
    by its CLAUDE file either.
    """
    files = repository.files(head)
    if runs is None or runs == head:
        return files
    protected = protected_in(files) | protected_in(repository.files(runs))
    paths = [path for path in repository.changed_leaves(head, runs) if path in protected]
    return repository.partly(head, runs, paths)


def declarations(repository: Repository, revision: str) -> str:
    """A name for all that `revision` declares: equal names, equal declarations.

    Raises:
        KeyError: its commit or its tree cannot be found.
    """
    return repository.files(revision).tree_id(FOLDER) or "none"
