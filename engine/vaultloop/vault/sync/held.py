"""Declarations that two writers changed in different ways: they stay as they were until their owner decides.

A reference names the merge that left each of them so, by a hash of its path; both versions are in the history
of that merge. It goes away once the note is not what the merge says any more.
"""

import hashlib
import logging
from collections.abc import Collection, Iterator

from vaultloop.aio.failpoint import Failpoint, reached
from vaultloop.vault.git.repository import OWN_REFS, Repository
from vaultloop.vault.git.trees import shown
from vaultloop.vault.notes.location import FOLDER
from vaultloop.vault.notes.protected import is_declared_at

log = logging.getLogger(__name__)

PREFIX = "held/"


class Held:
    """The held declarations of one repository; for the git thread."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        # The merge that each path is held since; None until the references were read.
        self._known: dict[str, str] | None = None

    def keep(self, merge: str, paths: Collection[str]) -> None:
        """Hold the declarations at `paths` from `merge` on, which is about to come onto the branch.

        Raises:
            Retry: as for `Repository.keep`.
        """
        for path in paths:
            self._repository.keep(PREFIX + _key(path), merge)
            self._since[path] = merge
            reached(Failpoint.HELD_KEPT)

    def keep_brought(self, known: str | None, new: str, but: str | None = None) -> None:
        """Hold what a merge that `new` brings beyond `known` left as it was before both its sides changed it.

        So it is where a conflict about a declaration was committed as git's merge driver left it. What has
        been edited since counts as decided. The merge `but` is left out: it is the engine's own.

        Raises:
            Retry: as for `Repository.keep`.
        """
        if known is None:
            return
        for merge, parents in self._repository.parted(new, known):
            if len(parents) == 2 and merge != but and (paths := self._before_both(merge, *parents)):
                self.keep(merge, [path for path in paths if self._is_same(path, merge, new)])

    @property
    def count(self) -> int:
        """How many wait, as of the last review."""
        return len(self._since)

    def review(self) -> str | None:
        """What their owners are asked, None if nothing waits; what was decided is held no longer."""
        if not self._since:
            return None
        head = self._repository.head
        for path, merge in list(self._since.items()):
            if head is None or not self._waits(path, merge, head):
                self._repository.let_go(PREFIX + _key(path))
                reached(Failpoint.HELD_RELEASED)
                del self._since[path]
                log.info("%s is held no longer", shown(path), extra={"held": "resolved"})
        return " ".join(self._asked(path, merge) for path, merge in sorted(self._since.items())) or None

    def _asked(self, path: str, merge: str) -> str:
        one, other = self._repository.read_commit(merge).parents[:2]
        name, git = shown(path), self._repository.command
        return (
            f"{name} was changed in two ways at once, so neither counts and it stays as it was. Look at both:"
            f" {git} show {one[:12]}:{name} and {git} show {other[:12]}:{name}. Then save it as it should be;"
            " to keep it as it is, with a blank line more."
        )

    def _waits(self, path: str, merge: str, head: str) -> bool:
        if not self._repository.is_ancestor(merge, head):
            # The engine was killed before that merge came onto the branch.
            return False
        return self._is_same(path, merge, head)

    def _before_both(self, merge: str, one: str, other: str) -> list[str]:
        """The declarations that a merge has as its sides had them in common, and neither has so any more."""
        if any(self._is_same(FOLDER, merge, side) for side in (one, other)):
            return []
        base = self._repository.merge_base(one, other)
        if base is None:
            return []
        by_one, by_other = (self._repository.changed_leaves(base, side, FOLDER) for side in (one, other))
        return [
            path
            for path, (before, now) in by_one.items()
            if before is not None and is_declared_at(path) and path in by_other and by_other[path][1] != now
            if self._is_same(path, merge, base)
        ]

    def _is_same(self, path: str, one: str, other: str) -> bool:
        leaf, tree_of = self._repository.trees.leaf, self._repository.tree_of
        return leaf(tree_of(one), path) == leaf(tree_of(other), path)

    @property
    def _since(self) -> dict[str, str]:
        if self._known is None:
            self._known = dict(self._recalled())
        return self._known

    def _recalled(self) -> Iterator[tuple[str, str]]:
        """After a restart: which path each reference stands for."""
        for key, merge in self._repository.kept_below(PREFIX).items():
            paths = (path for path in self._declared(merge) if _key(path) == key)
            if (path := next(paths, None)) is not None:
                yield path, merge
            else:
                log.warning("%s%s%s names no declaration", OWN_REFS, PREFIX, key)

    def _declared(self, merge: str) -> Iterator[str]:
        """All that is declared in a merge and in its parents."""
        for commit in (merge, *self._repository.read_commit(merge).parents):
            tree = self._repository.trees.leaf(self._repository.tree_of(commit), FOLDER)
            if tree is not None and tree.is_tree:
                yield from (path for path, _ in self._repository.trees.leaves(tree.id, f"{FOLDER}/"))


def _key(path: str) -> str:
    return hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:16]
