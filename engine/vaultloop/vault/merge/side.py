"""One line of work in a merge: what it changed since the base, and where it moved files to."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

from vaultloop.vault.git.trees import Leaf, LeafChange
from vaultloop.vault.merge.places import folders
from vaultloop.vault.merge.renames import Read, moved_folder, renames


@dataclass(frozen=True, slots=True)
class Line:
    """A line of work.

    Attributes:
        tips: its newest commit; of several merge bases that were joined, all of them.
        tree: its files; None if there are none.
    """

    tips: tuple[str, ...]
    tree: str | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file lies on one side, and what it is."""

    path: str
    leaf: Leaf


class Side:
    """What one line of work did.

    Attributes:
        changes: each path that differs from the base, with both versions.
        moves: new paths by old ones; complete for what the other side changed too, and for whatever kept its
            content.
    """

    def __init__(self, line: Line, changes: Mapping[str, LeafChange]) -> None:
        self.line = line
        self.changes = changes
        self.moves: Mapping[str, str] = {}
        self._moved: dict[str, str | None] = {}

    def find_moves(self, other: Collection[str], read: Read, governs: Callable[[str], bool]) -> None:
        """Find what was renamed; `other` are the paths that the other side changed.

        A note that came to a path which `governs` the agent counts as written anew: nothing that others wrote
        where it came from, unasked, follows it there.
        """
        if self.gone and self._new:
            moves = renames(self.gone, self._new, other, read)
            self.moves = {old: new for old, new in moves.items() if governs(old) or not governs(new)}

    @cached_property
    def gone(self) -> dict[str, Leaf]:
        """What it took away."""
        return {path: was for path, (was, now) in self.changes.items() if was and now is None}

    @cached_property
    def emptied(self) -> set[str]:
        """The folders that it took something away from, at any depth."""
        return folders(self.gone)

    def moved(self, folder: str) -> str | None:
        """Where a folder of the base went; None if nowhere in particular."""
        if folder not in self._moved:
            self._moved[folder] = moved_folder(folder, self.moves)
        return self._moved[folder]

    @cached_property
    def added(self) -> dict[str, Leaf]:
        """What is new, and no renamed file."""
        targets = set(self.moves.values())
        return {path: leaf for path, leaf in self._new.items() if path not in targets}

    @property
    def _new(self) -> dict[str, Leaf]:
        return {path: now for path, (was, now) in self.changes.items() if now and was is None}

    def has(self, path: str) -> Leaf | None:
        """What it has at a path that it changed."""
        return self.changes[path][1] if path in self.changes else None

    def of(self, path: str, base: Leaf) -> Place | None:
        """Where the base's file `path` lies now; None if it was deleted."""
        if path not in self.changes:
            return Place(path, base)
        target = self.moves.get(path, path)
        now = self.changes[target][1]
        return None if now is None else Place(target, now)
