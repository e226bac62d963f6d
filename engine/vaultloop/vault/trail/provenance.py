"""One path through a history: which commits touched it, and under which name it lay before.

A commit that holds what one of its parents holds has not touched it; then that parent alone is followed, as
git does, so that the walk costs what the path's own history costs.
"""

import heapq
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from functools import cache

from vaultloop.vault.git.repository import Commit, Repository
from vaultloop.vault.git.trees import Leaf

# So much of the larger text must be in the other one for a note to count as renamed; git's own share.
ALIKE = 0.5

# Above so many bytes a file that was renamed and edited at once counts as a new one.
MOST_COMPARED = 1024 * 1024


class Provenance:
    """Where files of one repository came from; keeps what it has read: make a new one for each question."""

    def __init__(self, repository: Repository) -> None:
        self.repository = repository
        self.commit = cache(repository.read_commit)
        self._root = cache(repository.tree_of)
        self._moved = cache(self._renames)
        self._weights = cache(self._read_weights)

    def leaf(self, commit: str, path: str) -> Leaf | None:
        """What lies at `path` in a commit: a file, or a folder."""
        return self.repository.trees.leaf(self._root(commit), path)

    def parents(self, commit: str) -> tuple[str, ...]:
        """The parents that are here: a shallow clone has none of the oldest."""
        return tuple(parent for parent in self.commit(commit).parents if self.repository.has(parent))

    def same_in(self, commit: str, path: str) -> str | None:
        """The first parent that holds the same at `path`, or as well nothing."""
        here = self.leaf(commit, path)
        return next((parent for parent in self.parents(commit) if self.leaf(parent, path) == here), None)

    def source(self, commit: str, path: str, parent: str) -> str | None:
        """Where what lies at `path` lay in `parent`; None if it is new since then."""
        if self.leaf(parent, path) is not None:
            return path
        return self._moved(parent, commit).get(path)

    def renamed_to(self, older: str, path: str, newer: str) -> str | None:
        """Where a file of `older` lies in `newer`, which has nothing at its path; None if it is gone."""
        moved = self._moved(older, newer)
        return next((to for to, source in moved.items() if source == path), None)

    def touching(self, head: str, paths: Collection[str]) -> Iterator[Commit]:
        """The commits that touched any of `paths`, under whatever name it had then, newest first."""
        waiting = _Waiting(self)
        waiting.add(head, paths)
        seen: set[str] = set()
        for commit, followed in waiting:
            touched = [path for path in followed if self._goes_on(commit, path, waiting)]
            if touched and commit not in seen:
                seen.add(commit)
                yield self.commit(commit)

    def _goes_on(self, commit: str, path: str, waiting: "_Waiting") -> bool:
        """Have the parents looked at; whether this commit touched the path."""
        if (same := self.same_in(commit, path)) is not None:
            waiting.add(same, (path,))
            return False
        parents = self.parents(commit)
        for parent in parents:
            waiting.add(parent, (self.source(commit, path, parent) or path,))
        return bool(parents) or self.leaf(commit, path) is not None

    def _renames(self, older: str, newer: str) -> Mapping[str, str]:
        """The files of `newer` that are new since `older`, with where they lay, each source once."""
        changes = self.repository.trees.changes(self._root(older), self._root(newer))
        gone = {path: was for path, (was, now) in changes.items() if was and was.is_file and now is None}
        made = {path: now for path, (was, now) in changes.items() if now and now.is_file and was is None}
        # The likest pair first; of equal ones those that kept their name.
        pairs = sorted(
            (-self._likeness(was, now), _name(source) != _name(path), source, path)
            for source, was in gone.items()
            for path, now in made.items()
        )
        found: dict[str, str] = {}
        for unlike, _, source, path in pairs:
            if -unlike >= ALIKE and source not in found.values() and path not in found:
                found[path] = source
        return found

    def _likeness(self, one: Leaf, other: Leaf) -> float:
        if one.id == other.id:
            return 1.0
        mine, theirs = self._weights(one.id), self._weights(other.id)
        largest = max(mine.total(), theirs.total())
        return (mine & theirs).total() / largest if largest else 0.0

    def _read_weights(self, blob: str) -> Counter[bytes]:
        """The bytes of each different line of a text."""
        data = self.repository.blob(blob)
        found = Counter[bytes]()
        if len(data) <= MOST_COMPARED:
            for line in data.splitlines():
                found[line] += len(line) + 1
        return found


class _Waiting:
    """Commits still to be looked at, newest first, each with the paths to be followed there."""

    def __init__(self, provenance: Provenance) -> None:
        self._provenance = provenance
        self._paths: dict[str, dict[str, None]] = {}
        self._order: list[tuple[float, str]] = []

    def add(self, commit: str, paths: Collection[str]) -> None:
        if commit not in self._paths:
            self._paths[commit] = {}
            heapq.heappush(self._order, (-self._provenance.commit(commit).at.timestamp(), commit))
        self._paths[commit] |= dict.fromkeys(paths)

    def __iter__(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        while self._order:
            _, commit = heapq.heappop(self._order)
            yield commit, tuple(self._paths.pop(commit))


def _name(path: str) -> str:
    return path.rpartition("/")[2]
