"""One join under way: each path that either side changed, decided once and the same for both orders."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import reduce
from operator import or_

from vaultloop.vault.git.attributes import Attributes, attributes_of
from vaultloop.vault.git.object_id import blob_id
from vaultloop.vault.git.repository import Repository
from vaultloop.vault.git.signing import AuthorClass
from vaultloop.vault.git.trees import Leaf
from vaultloop.vault.merge import content, places, told
from vaultloop.vault.merge.markers import mended
from vaultloop.vault.merge.side import Line, Place, Side
from vaultloop.vault.merge.told import Note
from vaultloop.vault.merge.version import Merged, Rule, Version, Writer
from vaultloop.vault.merge.writers import Writers
from vaultloop.vault.notes.glance import is_note
from vaultloop.vault.notes.protected import Protected, is_declared_at, protected_in

# What is no note with conflict markers does not hold this.
_MARKER = b"<<<<<<<"


@dataclass(frozen=True, slots=True)
class Origin:
    """A version with where it came from.

    Attributes:
        side: whose version it is; of a joined file, the winner's.
        path: where it lies on that side.
    """

    leaf: Leaf
    side: Side
    path: str


class Joining:
    """What becomes of the files that one or the other side changed.

    Attributes:
        placed: what will lie where.
        fresh: contents that are new, by the ids that they will have.
        explained: versions of a side that need not be in the result as they stand: what is there was made of
            them, or a rule of the notes says why not.
        displaced: files that had to make room for a folder.
    """

    def __init__(self, repository: Repository, writers: Writers, base: str | None, one: Line, other: Line):
        self._repository = repository
        self._writers = writers
        self._base = base
        self.sides = tuple(Side(line, repository.trees.changes(base, line.tree)) for line in (one, other))
        self.placed: dict[str, Origin] = {}
        self.fresh: dict[str, bytes] = {}
        self.explained: set[tuple[Side, str]] = set()
        self.notes: list[Note] = []
        self.held: list[str] = []
        self.mended: list[str] = []
        self.displaced: set[str] = set()
        self._copies: list[tuple[str, Origin]] = []
        self._attributes: tuple[Attributes, ...] | None = None
        self._protected: Protected | None = None

    def decide(self) -> None:
        """Find a place for everything."""
        one, other = self.sides
        one.find_moves(other.changes, self.read, self._governs)
        other.find_moves(one.changes, self.read, self._governs)
        candidates: dict[str, list[Origin]] = {}
        for path, origin in (*self._of_base(), *self._of_additions()):
            candidates.setdefault(path, []).append(origin)
        for path, origins in sorted(candidates.items()):
            self.placed[path] = self._one_of(path, origins)
        self._mend()
        self._make_room()
        self._put_copies()
        self._warn_of_twins()

    def edits(self) -> Iterator[tuple[str, Leaf | None, Leaf | None]]:
        """Each path with what one side has there, and what it is to be; the side is the first."""
        one, other = self.sides
        for path in sorted(one.changes.keys() | other.changes.keys() | self.placed.keys()):
            was = one.changes[path][1] if path in one.changes else other.changes.get(path, (None,))[0]
            found = self.placed.get(path)
            yield path, was, found.leaf if found else None

    def read(self, blob: str) -> bytes:
        """A blob of the repository, or one of this join."""
        fresh = self.fresh.get(blob)
        return self._repository.blob(blob) if fresh is None else fresh

    def _governs(self, path: str) -> bool:
        """Whether an agent may change `path` with an owner's consent only, in the base or on either side."""
        if self._protected is None:
            trees = (self._base, *(side.line.tree for side in self.sides))
            known = (protected_in(self._repository.files_of_tree(tree)) for tree in trees)
            self._protected = reduce(or_, known)
        return path in self._protected

    # The files that were there before.

    def _of_base(self) -> Iterator[tuple[str, Origin]]:
        one, other = self.sides
        was = {path: leaf for side in self.sides for path, (leaf, _) in side.changes.items() if leaf}
        for path, leaf in sorted(was.items()):
            yield from self._of_file(path, leaf, one.of(path, leaf), other.of(path, leaf))

    def _of_file(
        self, path: str, base: Leaf, here: Place | None, there: Place | None
    ) -> Iterator[tuple[str, Origin]]:
        one, other = self.sides
        unchanged = Place(path, base)
        if there in (here, unchanged):
            found = (here, one)
        elif here == unchanged:
            found = (there, other)
        elif here is None or there is None:
            kept, gone = (one, other) if here else (other, one)
            yield from self._edited_and_deleted(path, base, here or there or unchanged, kept, gone)
            return
        else:
            yield self._changed_by_both(path, base, here, there)
            return
        place, side = found
        if place is not None:
            yield place.path, Origin(place.leaf, side, place.path)

    def _edited_and_deleted(
        self, path: str, base: Leaf, place: Place, kept: Side, gone: Side
    ) -> Iterator[tuple[str, Origin]]:
        """One side changed a file that the other deleted: the change survives, but for declarations."""
        origin = Origin(place.leaf, kept, place.path)
        editor, deleter = self._writer(origin), self._writer_of(gone, path)
        if not (is_declared_at(path) or is_declared_at(place.path)) or _human_over_agent(editor, deleter):
            self._tell(place.path, (), told.edit_survives(place.path, editor, deleter))
            yield place.path, origin
            return
        self.explained.add((kept, place.path))
        if _human_over_agent(deleter, editor):
            self._tell(path, {Rule.HELD}, told.deletion_stands(path, deleter, editor))
            return
        self.held.append(path)
        self._tell(path, {Rule.HELD}, told.held(path, editor, deleter))
        yield path, Origin(base, kept, place.path)

    def _changed_by_both(self, path: str, base: Leaf, here: Place, there: Place) -> tuple[str, Origin]:
        one, other = (
            Origin(place.leaf, side, place.path)
            for place, side in zip((here, there), self.sides, strict=True)
        )
        target = there.path if here.path == path else here.path
        if path not in (here.path, there.path) and here.path != there.path:
            winner, loser = self._ranked(one, other)
            target = winner.path
            self._tell(target, (), told.both_renamed(path, winner.path, loser.path, self._writer(winner)))
        return target, self._joined(target, base, one, other)

    # What is new.

    def _of_additions(self) -> Iterator[tuple[str, Origin]]:
        one, other = self.sides
        for side, opposite in ((one, other), (other, one)):
            for path, leaf in sorted(side.added.items()):
                yield self._followed(path, side, opposite), Origin(leaf, side, path)

    def _followed(self, path: str, side: Side, other: Side) -> str:
        """Where a new file goes if the other side renamed its folder meanwhile: after it."""
        folder = self._vanished_folder(path, other)
        if folder is None:
            return path
        target = other.moved(folder)
        after = None if target is None else target + path[len(folder) :]
        if after is None or side.has(after) or other.has(after) or self._in_base(after):
            self._tell(path, (), told.folder_is_gone(path, folder))
            return path
        self._tell(after, (), told.followed(path, after))
        return after

    def _vanished_folder(self, path: str, other: Side) -> str | None:
        """The nearest folder of `path` that was there before, if it is no more on the other side."""
        for folder in places.folders_of(path) if other.gone else ():
            if folder in other.emptied:
                leaf = self._repository.trees.leaf(other.line.tree, folder)
                return None if leaf and leaf.is_tree else folder
            if self._in_base(folder):
                return None
        return None

    def _in_base(self, path: str) -> bool:
        return self._repository.trees.leaf(self._base, path) is not None

    # Two versions for one place.

    def _one_of(self, path: str, origins: list[Origin]) -> Origin:
        """Several files came to one name: as if both sides had made it."""
        found, *others = sorted(origins, key=lambda origin: (origin.leaf.id, origin.leaf.mode))
        if others and any(origin.path in origin.side.moves.values() for origin in origins):
            self._tell(path, (), told.met(path))
        for other in others:
            found = self._joined(path, None, found, other)
        return found

    def _joined(self, path: str, base: Leaf | None, one: Origin, other: Origin) -> Origin:
        was, here, there = base, one.leaf, other.leaf
        mode = _mode(was, here, there)
        self.explained |= {(one.side, one.path), (other.side, other.path)}
        if here.id == there.id or (was and was.id == there.id):
            return (
                replace(one, leaf=Leaf(here.id, mode))
                if _same_type(here, there)
                else self._winner(path, one, other)
            )
        if was and was.id == here.id and _same_type(here, there):
            return replace(other, leaf=Leaf(there.id, mode))
        if not (here.is_file and there.is_file):
            return self._winner(path, one, other)
        before = self.read(was.id) if was and was.is_file else None
        versions = self._version(one), self._version(other)
        merged = content.joined(path, before, *versions, filtered=self._filtered(path, one.path, other.path))
        return self._taken(path, merged, mode, one, other)

    def _taken(self, path: str, merged: Merged, mode: int, one: Origin, other: Origin) -> Origin:
        winner, loser = self._ranked(one, other)
        blob = blob_id(merged.data)
        if blob not in (one.leaf.id, other.leaf.id):
            self.fresh[blob] = merged.data
        if merged.lost is not None:
            lost = blob_id(merged.lost)
            if lost != loser.leaf.id:
                self.fresh[lost] = merged.lost
            self._copies.append((path, replace(loser, leaf=replace(loser.leaf, id=lost))))
        if merged.held:
            self.held.append(path)
        self._tell(path, merged.rules, told.merged(path, merged, self._writer(winner), self._writer(loser)))
        return replace(winner, leaf=Leaf(blob, mode))

    def _winner(self, path: str, one: Origin, other: Origin) -> Origin:
        """Of what cannot be joined, as links and submodules, one stays; a file that loses becomes a copy."""
        winner, loser = self._ranked(one, other)
        rule = Rule.COPY if loser.leaf.is_file else Rule.SETTINGS
        if loser.leaf.is_file:
            self._copies.append((path, loser))
        merged = Merged(b"", frozenset({rule}))
        self._tell(path, merged.rules, told.merged(path, merged, self._writer(winner), self._writer(loser)))
        return winner

    def _ranked(self, one: Origin, other: Origin) -> tuple[Origin, Origin]:
        """The winner and the loser; where nothing else decides, the smaller path."""
        first, second = self._rank(one), self._rank(other)
        if first.wins_over(second) or (not second.wins_over(first) and one.path <= other.path):
            return one, other
        return other, one

    def _rank(self, origin: Origin) -> Version:
        return Version(b"", origin.leaf.id, self._writer(origin))

    def _version(self, origin: Origin) -> Version:
        return Version(self.read(origin.leaf.id), origin.leaf.id, self._writer(origin))

    def _writer(self, origin: Origin) -> Writer:
        return self._writer_of(origin.side, origin.path)

    def _writer_of(self, side: Side, path: str) -> Writer:
        one, other = self.sides
        return self._writers.of(side.line.tips, path, (other if side is one else one).line.tips)

    def _filtered(self, *paths: str) -> bool:
        """Whether, in the base or on either side, a program outside of git stands before one of these."""
        if self._attributes is None:
            trees = {self._base, *(side.line.tree for side in self.sides)} - {None}
            files = (self._repository.files_of_tree(tree) for tree in sorted(filter(None, trees)))
            self._attributes = tuple(map(attributes_of, files))
        return any(known.filtered(path) for known in self._attributes for path in {*paths})

    # What remains to be seen to once everything has a place.

    def _mend(self) -> None:
        """Take conflict markers of somebody's git out of ordinary notes that one side alone changed."""
        for path, origin in list(self.placed.items()):
            leaf = origin.leaf
            if not (leaf.is_file and is_note(path)) or is_declared_at(path):
                continue
            data = self.read(leaf.id)
            if _MARKER not in data or self._filtered(path):
                continue
            after = mended(data)
            if after is None:
                continue
            self.fresh[blob_id(after)] = after
            self.explained.add((origin.side, origin.path))
            self.placed[path] = replace(origin, leaf=replace(leaf, id=blob_id(after)))
            self.mended.append(path)
            self._tell(path, {Rule.MARKERS}, told.mended(path))

    def _make_room(self) -> None:
        """A file that has the name of a folder gets the name of a copy."""
        needed = places.folders(self.placed)
        for path in sorted(needed & self.placed.keys()):
            origin = self.placed.pop(path)
            self.displaced.add(path)
            copy = self._put_beside(path, origin)
            self._tell(copy, {Rule.COPY}, told.displaced(path, copy))

    def _put_copies(self) -> None:
        for path, origin in self._copies:
            copy = self._put_beside(path, origin)
            self._tell(copy, {Rule.COPY}, told.copied(path, copy, self._writer(origin)))

    def _put_beside(self, path: str, origin: Origin) -> str:
        """Put a version under the name of a copy; once, however often it loses there."""
        names = list(places.copy_names(path, self._writer(origin), origin.leaf.id))
        for name in names:
            lying = self._lying(name)
            if lying is None or lying.id == origin.leaf.id:
                self.placed[name] = origin
                return name
        self.placed[names[-1]] = origin
        return names[-1]

    def _lying(self, path: str) -> Leaf | None:
        if path in self.placed:
            return self.placed[path].leaf
        if any(path in side.changes for side in self.sides):
            return None
        return self._repository.trees.leaf(self._base, path)

    def _warn_of_twins(self) -> None:
        one, other = ({path for path in side.added if path in self.placed} for side in self.sides)
        for first, second in places.twins(one, other):
            self._tell(second, (), told.twins(first, second))

    def _tell(self, path: str, rules: Iterable[Rule], sentence: str | None) -> None:
        if sentence:
            self.notes.append(Note(path, frozenset(rules), sentence))


def _human_over_agent(one: Writer, other: Writer) -> bool:
    return (one.author_class, other.author_class) == (AuthorClass.HUMAN, AuthorClass.AGENT)


def _same_type(one: Leaf, other: Leaf) -> bool:
    return one.mode == other.mode or (one.is_file and other.is_file)


def _mode(base: Leaf | None, one: Leaf, other: Leaf) -> int:
    """The mode that one side changed; an executable one where both made the file."""
    if base and base.mode == one.mode:
        return other.mode
    if base and base.mode == other.mode:
        return one.mode
    return max(one.mode, other.mode)
