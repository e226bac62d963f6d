"""Two lines of work, joined in memory: a tree with everything of both, and a report of what was not plain."""

from collections.abc import Callable
from dataclasses import dataclass, field

from vaultloop.vault.merge.version import Rule
from vaultloop.vault.repository import Repository
from vaultloop.vault.signing import AuthorClass


@dataclass(frozen=True, slots=True)
class Note:
    """What somebody should know of one path of a merge.

    Attributes:
        path: where the result lies.
        rules: what was done there.
        sentence: the same for people, one line.
    """

    path: str
    rules: frozenset[Rule]
    sentence: str


@dataclass(frozen=True, slots=True)
class Join:
    """A tree that holds both sides.

    Attributes:
        tree: its id; written, and in no commit yet.
        notes: what was not plain, sorted by path; they go into the merge commit's message.
        held: declarations that both sides changed and that stay as they were until their owner decides.
        mended: notes that came with conflict markers of somebody's git and have none any more.
    """

    tree: str
    notes: tuple[Note, ...] = ()
    held: tuple[str, ...] = ()
    mended: tuple[str, ...] = field(default=())


class Merger:
    """Joins commits of one repository; to be used from the git thread."""

    def __init__(self, repository: Repository, class_of: Callable[[str], AuthorClass | None]) -> None:
        """`class_of` tells of a commit whether a human or an agent made it; None for a merge."""
        self._repository = repository
        self._class_of = class_of

    def joined(self, ours: str, theirs: str) -> Join:
        """Both sides' changes since they parted, in one tree; swapping the sides gives the same tree.

        Several merge bases are joined first, in the order of their ids, by the same merge. Without any, all
        files of both sides are new.

        Raises:
            AuditError: a line would be lost; nothing was moved, and this is a fault of ours.
        """
        raise NotImplementedError
