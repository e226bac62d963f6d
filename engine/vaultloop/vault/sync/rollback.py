"""Going back to what governed the agent before: a new commit, so that everything since stays in the history.

Only what governs is taken back: declarations, CLAUDE files, templates. What people and agents wrote since
into other notes stays, and so do reminders, which are work that somebody is owed, and Obsidian's settings.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from vaultloop.model.errors import Stalled
from vaultloop.vault.git.repository import Identity, Repository
from vaultloop.vault.git.trees import Leaf, LeafChange, shown
from vaultloop.vault.notes.protected import protected_in

# Where a person's editor keeps how it looks; and what it has thrown away.
_EDITORS = (".obsidian/", ".trash/")

# A reminder, seen at a glance: its kind stands in the note's first lines.
_TOP = 4096
_REMINDER = re.compile(rb"^\s*['\"]?kind['\"]?\s*:\s*['\"]?reminder\b", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Rollback:
    """What going back would change.

    Attributes:
        head: the revision that it is for; `revision`: the one that is gone back to.
        edits: what comes to lie at each path, None for nothing; empty if all is as it was then.
        tree: of the commit that would be made.
    """

    head: str
    revision: str
    edits: Mapping[str, Leaf | None]
    tree: str

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(sorted(self.edits))


def rollback(repository: Repository, head: str, revision: str, only: Collection[str] = ()) -> Rollback:
    """What makes `head` be governed as `revision` was; or, of `only` these files and folders, be as there.

    Writes a tree and nothing else.

    Raises:
        Stalled: none of `only` differs, or what comes back does not fit between what lies there by now.
    """
    changes = repository.changed_leaves(head, revision)
    edits = _named(changes, only) if only else _governing(repository, head, revision, changes)
    if only and not edits:
        raise Stalled(
            f"Nothing differs at {', '.join(only)} between {revision[:12]} and now.",
            cure=f"What differs: git diff {revision[:12]}",
        )
    try:
        with repository.at_work():
            return Rollback(head, revision, edits, repository.edit_leaves(head, edits))
    except ValueError as error:
        raise Stalled(f"Nothing was changed: {error}.", cure="Move what lies there away first.") from error


def write(repository: Repository, plan: Rollback, by: str, author: Identity, at: datetime) -> str:
    """The commit that goes back; no branch has it yet. Unsigned: it is an owner's act, and says so."""
    paths = "\n".join(map(shown, plan.paths))
    message = (
        f"Roll back to {plan.revision[:12]}, asked by {by}\n\n{paths}\n\n"
        f"Rolled-Back-To: {plan.revision}\nAsked-By: {by}\n"
    )
    with repository.at_work():
        return repository.commit(plan.tree, [plan.head], message, author=author, at=at)


def _named(changes: Mapping[str, LeafChange], only: Collection[str]) -> dict[str, Leaf | None]:
    places = [place.strip("/") for place in only]
    return {
        path: then
        for path, (_, then) in changes.items()
        if any(path == place or path.startswith(place + "/") for place in places)
    }


def _governing(
    repository: Repository, head: str, revision: str, changes: Mapping[str, LeafChange]
) -> dict[str, Leaf | None]:
    protected = protected_in(repository.files(head)) | protected_in(repository.files(revision))
    return {
        path: then
        for path, (now, then) in changes.items()
        if path in protected and not path.startswith(_EDITORS) and not _reminds(repository, now, then)
    }


def _reminds(repository: Repository, *versions: Leaf | None) -> bool:
    return any(
        leaf is not None and leaf.is_file and _REMINDER.search(repository.blob(leaf.id)[:_TOP])
        for leaf in versions
    )
