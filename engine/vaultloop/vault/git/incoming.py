"""What a push brings, read from the repository that takes it, before any branch moves.

In a hook of the receiving side the new objects lie in a quarantine of their own, which git's variables name;
what the hook starts must look there, too.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import pygit2
from pygit2.enums import RepositoryOpenFlag

from vaultloop.model.errors import Stalled
from vaultloop.vault.git.history import History
from vaultloop.vault.git.revision import RevisionFiles


@dataclass(frozen=True, slots=True)
class Incoming:
    """One revision, and what it changes in one vault.

    Attributes:
        before: what it is compared with; None for nothing.
        changed: the paths that differ, also of files that are gone.
    """

    before: RevisionFiles | None
    after: RevisionFiles
    changed: frozenset[str]


def incoming(vault: str, after: str, before: str | None) -> Incoming:
    """The revision `after` of the repository that one stands in, or that git's variables name.

    Args:
        vault: the vault's folder in the repository; empty for the top.

    Raises:
        Stalled: there is no repository, or it has no such revision.
    """
    history = History(_opened(), vault)
    then = None if before is None else history.files(before)
    now = history.files(after)
    changes = now.changed_since((then.tree_id("") if then else None) or _EMPTY_TREE)
    changed = {entry.path for entry in now.under("")} if changes is None else set(changes)
    return Incoming(then, now, frozenset(changed))


# The tree without entries, which need not be in the repository.
_EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


def _opened() -> pygit2.Repository:
    place = os.environ.get("GIT_DIR") or pygit2.discover_repository(str(Path.cwd())) or str(Path.cwd())
    try:
        handle = pygit2.Repository(place, RepositoryOpenFlag.FROM_ENV)
    except (pygit2.GitError, OSError, KeyError, ValueError) as error:
        raise Stalled(
            f"There is no git repository at {Path(place).resolve()} that can be opened ({error}).",
            cure="Call this in the repository that holds the revision.",
        ) from error
    return handle
