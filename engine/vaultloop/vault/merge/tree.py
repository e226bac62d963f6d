"""Two lines of work, joined in memory: a tree with everything of both, and a report of what was not plain."""

from collections.abc import Callable
from dataclasses import dataclass, field

from vaultloop.aio.failpoint import Failpoint, reached
from vaultloop.vault.git.repository import Repository
from vaultloop.vault.git.signing import AuthorClass
from vaultloop.vault.git.trees import shown
from vaultloop.vault.merge.audit import AuditError
from vaultloop.vault.merge.bases import merge_bases, newest
from vaultloop.vault.merge.joining import Joining
from vaultloop.vault.merge.side import Line
from vaultloop.vault.merge.told import Note
from vaultloop.vault.merge.writers import Writers

__all__ = ["AuditError", "Join", "Merger", "Note"]

# Criss-crosses upon criss-crosses that are joined to find out what was there before; beyond them the first of
# the bases serves.
DEEPEST = 30


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
        self._writers = Writers(repository, class_of)

    def joined(self, ours: str, theirs: str) -> Join:
        """Both sides' changes since they parted, in one tree; swapping the sides gives the same tree.

        Several merge bases are joined first, in the order of their ids, by the same merge. Without any, all
        files of both sides are new.

        Raises:
            AuditError: a line would be lost; nothing was moved, and this is a fault of ours.
            Retry: the disk refuses.
        """
        one, other = (self._line(commit) for commit in sorted((ours, theirs)))
        return self._join(one, other, 0)

    def _line(self, commit: str) -> Line:
        return Line((commit,), self._repository.tree_of(commit))

    def _join(self, one: Line, other: Line, depth: int) -> Join:
        if one.tree == other.tree and one.tree is not None:
            return Join(one.tree)
        base = self._base(one, other, depth)
        joining = Joining(self._repository, self._writers, base, one, other)
        joining.decide()
        reached(Failpoint.MERGE_COMPUTED)
        tree = self._written(joining)
        self._audit(joining, base, tree)
        return Join(
            tree,
            tuple(sorted(joining.notes, key=lambda note: (note.path, note.sentence))),
            tuple(sorted(joining.held)),
            tuple(sorted(joining.mended)),
        )

    def _base(self, one: Line, other: Line, depth: int) -> str | None:
        """The tree from which both parted."""
        pairs = ((a, b) for a in one.tips for b in other.tips)
        bases = newest(
            self._repository, (base for a, b in pairs for base in merge_bases(self._repository, a, b))
        )
        if not bases:
            return None
        line = self._line(bases[0])
        for base in bases[1:] if depth < DEEPEST else ():
            join = self._join(line, self._line(base), depth + 1)
            line = Line((*line.tips, base), join.tree)
        return line.tree

    def _written(self, joining: Joining) -> str:
        with self._repository.at_work(), self._repository.in_bulk(len(joining.placed)):
            for data in joining.fresh.values():
                self._repository.write_blob(data)
            reached(Failpoint.MERGE_BLOBS_WRITTEN)
            edits = {path: now for path, was, now in joining.edits() if was != now}
            tree = self._repository.trees.edited(joining.sides[0].line.tree, edits)
        reached(Failpoint.MERGE_TREE_WRITTEN)
        return tree

    def _audit(self, joining: Joining, base: str | None, tree: str) -> None:
        """Read the tree again: what either side wrote is in it, and nothing went that nobody took away."""
        changes = self._repository.trees.changes(base, tree)
        lying = {now.id for _, now in changes.values() if now}
        for side in joining.sides:
            for path, (_, now) in side.changes.items():
                if now and now.id not in lying and (side, path) not in joining.explained:
                    raise AuditError(f"{shown(path)} of one side is not in the joined tree.")
        for path, (_, now) in changes.items():
            gone = now is None and path not in joining.displaced
            if gone and not any(path in side.gone for side in joining.sides):
                raise AuditError(f"{shown(path)} is not in the joined tree, and nobody deleted it.")
