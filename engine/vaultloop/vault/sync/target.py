"""What the branch would become: another line of work followed, or joined by a commit with both as parents.

Commits are written here, and no branch moves. Notes that arrive with conflict markers of somebody's git are
rid of them by a commit of its own on top, so that everybody can see what was done, and take it back.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from vaultloop.aio.clock import Clock
from vaultloop.aio.failpoint import Failpoint, reached
from vaultloop.model.visible import visible
from vaultloop.vault.git.repository import Identity, Repository
from vaultloop.vault.git.signing import AuthorClass
from vaultloop.vault.git.trees import Leaf, LeafChange, shown
from vaultloop.vault.merge.audit import AuditError
from vaultloop.vault.notes.protected import is_declared_at

if TYPE_CHECKING:
    # A megabyte of rules, which an engine whose vault nobody else writes to never needs.
    from vaultloop.vault.merge.tree import Join, Merger

log = logging.getLogger(__name__)

# What a conflict that git wrote into a file begins with.
MARKER = b"<<<<<<<"

# So many paths are named in a commit's message; the rest is counted.
NAMED = 50


@dataclass(frozen=True, slots=True)
class Target:
    """A commit that the branch may be moved to.

    Attributes:
        commit: its id.
        notes: what was not plain in the join, in sentences.
        held: declarations that both sides changed, which stay as they were.
        merge: the commit that joins; None where nothing had to be joined.
        mended: notes that are rid of conflict markers.
    """

    commit: str
    notes: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    merge: str | None = None
    mended: tuple[str, ...] = ()


class Targets:
    """Makes them, for one repository; for the git thread."""

    def __init__(
        self,
        repository: Repository,
        class_of: Callable[[str], AuthorClass | None],
        *,
        clock: Clock,
        engine: Identity,
    ) -> None:
        """`class_of` tells who made a commit; `engine` signs for what is written here."""
        self._repository, self._class_of = repository, class_of
        self._clock, self._engine = clock, engine

    @cached_property
    def _merger(self) -> "Merger":
        from vaultloop.vault.merge.tree import Merger  # noqa: PLC0415 - see above

        return Merger(self._repository, self._class_of)

    def of(
        self, head: str | None, other: str, message: str, *, since: str | None = None, always: bool = False
    ) -> Target:
        """The branch at `head` with `other` brought in: that itself if it follows, else a commit that joins.

        Args:
            message: of that commit; what was not plain is told in it, too.
            since: where `other` began; what it has changed since then counts, and no more. Needed where the
                history before is not the branch's any more.
            always: join by a commit of its own also where `other` follows `head`.

        Raises:
            AuditError: as for `Merger.joined`.
        """
        if head is None or (not always and self._repository.is_ancestor(head, other)):
            return self._mended(head, Target(other))
        ours = head if since is None else self.as_if_upon(since, head)
        return self.joined([head, other], self._merger.joined(ours, other), message)

    def upon(self, truth: str, since: str | None, head: str, message: str) -> Target:
        """`truth` with what `head` has changed since `since` on top, and both as parents.

        Without `since` the two have nothing in common, and everything of both is new.
        """
        ours = truth if since is None else self.as_if_upon(since, truth)
        return self.joined([truth, head], self._merger.joined(ours, head), message)

    def joined(self, parents: Sequence[str], join: "Join", message: str) -> Target:
        """The commit that holds `join`."""
        notes = tuple(note.sentence for note in join.notes)
        merge = self._write(join.tree, parents, with_notes(message, notes))
        reached(Failpoint.JOIN_WRITTEN)
        return self._mended(parents[0], Target(merge, notes, join.held, merge, join.mended))

    def as_if_upon(self, since: str, commit: str) -> str:
        """A commit with the content of `commit` that follows `since`, so that a join parts there."""
        if self._repository.is_ancestor(since, commit):
            return commit
        made = self._repository.read_commit(commit)
        tree = self._repository.tree_of(commit)
        assert tree is not None
        return self._repository.commit(tree, [since], "As if\n", author=made.author, at=made.at)

    def mend(self, old: str, new: str) -> Target | None:
        """A commit upon `new` that takes markers out of what changed since `old`; None if there are none."""
        target = self._mended(old, Target(new))
        return None if target.commit == new else target

    def _mended(self, head: str | None, target: Target) -> Target:
        # What was there when the vault was first seen is as its human left it.
        changes = {} if head is None else self._repository.changed_leaves(head, target.commit)
        edits = {path: leaf for path, change in changes.items() if (leaf := self._rid(path, change))}
        if not edits:
            return target
        tree = self._repository.edit_leaves(target.commit, edits)
        commit = self._write(tree, [target.commit], _subject(sorted(edits)))
        reached(Failpoint.MEND_WRITTEN)
        rid = tuple(sorted({*target.mended, *edits}))
        return Target(commit, target.notes, target.held, target.merge, rid)

    def _rid(self, path: str, change: LeafChange) -> Leaf | None:
        """An ordinary note without its markers; None if it has none."""
        now = change[1]
        if now is None or not now.is_file or not path.lower().endswith(".md") or is_declared_at(path):
            return None
        data = self._repository.blob(now.id)
        if MARKER not in data:
            return None
        from vaultloop.vault.merge.markers import mended  # noqa: PLC0415 - see above

        try:
            clean = mended(data)
        except AuditError as error:
            # Markers that stay are ugly; a line that is gone is gone.
            log.exception("the conflict markers in %s stay", shown(path), exc_info=error)
            return None
        return None if clean is None else Leaf(self._repository.write_blob(clean), now.mode)

    def _write(self, tree: str, parents: Sequence[str], message: str) -> str:
        return self._repository.commit(tree, parents, message, author=self._engine, at=self._clock.now())


def with_notes(message: str, notes: Sequence[str]) -> str:
    """A commit message that tells `notes`; its trailers stay the last paragraph."""
    if not notes:
        return message
    subject, _, rest = message.partition("\n\n")
    told = "\n".join(f"- {visible(note)}" for note in notes)
    return "\n\n".join(filter(None, (subject.strip(), told, rest.strip()))) + "\n"


def _subject(paths: Sequence[str]) -> str:
    if len(paths) == 1:
        return f"Take conflict markers out of {shown(paths[0])}\n"
    lines = "\n".join(map(shown, paths[:NAMED]))
    more = f"\nand {len(paths) - NAMED} more" if len(paths) > NAMED else ""
    return f"Take conflict markers out of {len(paths)} notes\n\n{lines}{more}\n"
