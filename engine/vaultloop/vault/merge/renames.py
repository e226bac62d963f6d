"""Which file of one side lives on under another name, and which folder.

Only the paths of one change are looked at. The measure of likeness is git's (half of the bytes, counted in
whole lines), so that a laptop's git and the engine follow the same files.
"""

import posixpath
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from vaultloop.model.policy import folded
from vaultloop.vault.git.trees import Leaf

# git's own threshold for renames in a merge.
MOSTLY = 0.5
# Bytes. What is longer is known by its content's id alone.
LONGEST_COMPARED = 1024 * 1024
# Pairs of a vanished and a new file that are compared; where a change has more, only those of one name are.
MOST_PAIRS = 10_000
# git gives this id to the empty file; two empty files are no rename.
EMPTY = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"

Read = Callable[[str], bytes]


def renames(
    gone: Mapping[str, Leaf], added: Mapping[str, Leaf], wanted: Collection[str], read: Read
) -> dict[str, str]:
    """New paths by old ones: the same name in another spelling, else the same content, else mostly the same.

    Args:
        gone, added: what the change took away and what it brought.
        wanted: those of `gone` for which it matters; no other content is read.
        read: gives the content of a blob.
    """
    found: dict[str, str] = {}
    _pair(found, _spelled_anew(gone, added))
    _pair(found, _identical(gone, added))
    taken = set(found.values())
    old = {path: leaf for path, leaf in gone.items() if path in wanted and path not in found and _has(leaf)}
    new = {path: leaf for path, leaf in added.items() if path not in taken and _has(leaf)}
    _pair(found, _alike(old, new, read))
    return found


def folder_of(path: str) -> str:
    return posixpath.dirname(path)


def moved_folder(folder: str, moves: Mapping[str, str]) -> str | None:
    """Where most files below `folder` went, by the `moves` of files; None if nowhere in particular."""
    prefix = f"{folder}/"
    votes: Counter[str] = Counter()
    for old, new in moves.items():
        rest = old.removeprefix(prefix)
        if rest != old and new.endswith(f"/{rest}"):
            votes[new.removesuffix(f"/{rest}")] += 1
    (most, count), (_, next_) = [*votes.most_common(2), ("", 0), ("", 0)][:2]
    return most if count > next_ else None


def _pair(found: dict[str, str], pairs: Iterable[tuple[str, str]]) -> None:
    """Take pairs in their order, each path once."""
    taken = set(found.values())
    for old, new in pairs:
        if old not in found and new not in taken:
            found[old] = new
            taken.add(new)


def _has(leaf: Leaf) -> bool:
    return leaf.is_file and leaf.id != EMPTY


def _spelled_anew(gone: Mapping[str, Leaf], added: Mapping[str, Leaf]) -> Iterator[tuple[str, str]]:
    """Changes of case or of the way letters are composed: on many disks that is one file."""
    spellings = {folded(path): path for path in sorted(gone, reverse=True)} if added else {}
    for new in sorted(added):
        old = spellings.get(folded(new))
        if old is not None and gone[old].is_file == added[new].is_file:
            yield old, new


def _identical(gone: Mapping[str, Leaf], added: Mapping[str, Leaf]) -> Iterator[tuple[str, str]]:
    """Pairs with the same content; those of one name before others."""
    places: dict[str, list[str]] = {}
    for path, leaf in added.items():
        if leaf.id != EMPTY:
            places.setdefault(leaf.id, []).append(path)
    pairs = ((old, new) for old, leaf in gone.items() for new in places.get(leaf.id, ()))
    yield from sorted(pairs, key=lambda pair: (not _one_name(*pair), pair))


def _alike(old: Mapping[str, Leaf], new: Mapping[str, Leaf], read: Read) -> Iterator[tuple[str, str]]:
    """Pairs with mostly the same text, the most alike first."""
    pairs = [(one, other) for one in old for other in new]
    if len(old) * len(new) > MOST_PAIRS:
        pairs = [pair for pair in pairs if _one_name(*pair)][:MOST_PAIRS]
    texts = {leaf.id: _Text(read(leaf.id)) for leaf in (*old.values(), *new.values())} if pairs else {}
    ranked = (
        (-texts[old[one].id].likeness(texts[new[other].id]), not _one_name(one, other), one, other)
        for one, other in pairs
    )
    for unlike, _, one, other in sorted(ranked):
        if -unlike >= MOSTLY:
            yield one, other


def _one_name(old: str, new: str) -> bool:
    return posixpath.basename(old) == posixpath.basename(new)


class _Text:
    """A file's lines in whatever order."""

    def __init__(self, data: bytes) -> None:
        self._size = len(data)
        self._lines = Counter(data.splitlines(keepends=True)) if self._size <= LONGEST_COMPARED else None

    def likeness(self, other: "_Text") -> float:
        """From 0 to 1: the part of the longer one that both have."""
        longer = max(self._size, other._size)
        if self._lines is None or other._lines is None or min(self._size, other._size) < MOSTLY * longer:
            return 0.0
        common = self._lines & other._lines
        return sum(len(line) * count for line, count in common.items()) / longer if longer else 0.0
