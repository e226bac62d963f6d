"""A rename in the folder is one edit: a file that vanished here and appeared there comes in one commit.

The disk tells of it as a deletion and a creation, which may settle at different moments. In two commits the
note would be a stranger under its new name, and its past (slots, budgets, conversations) would end.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from vaultloop.vault.folder.settling import Settling
from vaultloop.vault.git.object_id import blob_id
from vaultloop.vault.git.trees import Leaf

# A note that was renamed and edited at once keeps so much of its words. To hold two edits together that have
# nothing to do with each other costs nothing; so this is less than what a rename takes in `reconcile`.
MOSTLY = 0.5
# Bytes; what is longer must be the same to be known again.
LONGEST_COMPARED = 100_000

# Empty files are all the same, and none is another.
EMPTY = blob_id(b"")


@dataclass(frozen=True, slots=True)
class Edit:
    """A file that differs from the branch.

    Attributes:
        leaf: what it holds now; None where it is gone.
    """

    path: str
    leaf: Leaf | None


class Moves:
    """Brings the two halves of a rename together."""

    def __init__(
        self,
        settling: Settling,
        known: Mapping[str, Leaf],
        look: Callable[[str], Edit | None],
        read: Callable[[str], bytes],
    ) -> None:
        """Make it for one folder.

        Args:
            known: what the branch has, by path.
            look: the edit that a file amounts to now, settled or not.
            read: the content of a blob.
        """
        self._settling = settling
        self._known = known
        self._look = look
        self._read = read

    def whole(self, found: Iterable[Edit]) -> list[Edit]:
        """`found` with the other halves of its renames; a half whose other is still being written waits."""
        edits = {edit.path: edit for edit in found}
        halves = [edit for edit in edits.values() if self._is_half(edit)]
        late = self._late(edits, halves) if halves else {}
        for edit in halves if late else ():
            for other in late.values():
                if (edit.leaf is None) == (other.leaf is None) or not self._alike(edit, other):
                    continue
                if edit.leaf is not None or self._is_same(edit, other):
                    edits[other.path] = other
                elif self._settling.hold(edit.path, other.path):
                    edits.pop(edit.path, None)
        return [edits[path] for path in sorted(edits)]

    def _is_half(self, edit: Edit) -> bool:
        return edit.leaf is None or edit.path not in self._known

    def _late(self, edits: Mapping[str, Edit], halves: Sequence[Edit]) -> dict[str, Edit]:
        """The halves that have not settled yet, of the kind that these ones lack."""
        lack_deletion = any(edit.leaf is not None for edit in halves)
        lack_creation = any(edit.leaf is None for edit in halves)
        waiting = {path for path in self._waiting() if path not in edits}
        wanted = (path for path in waiting if lack_deletion if path in self._known)
        others = (path for path in waiting if lack_creation if path not in self._known)
        found = (edit for path in sorted((*wanted, *others)) if (edit := self._look(path)) is not None)
        return {edit.path: edit for edit in found if self._is_half(edit)}

    def _waiting(self) -> Iterator[str]:
        for path, is_there in self._settling.waiting().items():
            if path in self._known or is_there:
                # What is known and still there is an edit, and no half of a rename.
                yield from () if path in self._known and is_there else (path,)
            else:
                # It may have been a folder.
                yield from (known for known in self._known if known.startswith(path + "/"))

    def _alike(self, one: Edit, other: Edit) -> bool:
        if self._is_same(one, other):
            return True
        if not (one.path.endswith(".md") and other.path.endswith(".md")):
            return False
        return _mostly_the_same(self._content(one), self._content(other))

    def _is_same(self, one: Edit, other: Edit) -> bool:
        return self._leaf(one).id == self._leaf(other).id and self._leaf(one).id != EMPTY

    def _leaf(self, edit: Edit) -> Leaf:
        """What the half holds, or held."""
        return self._known[edit.path] if edit.leaf is None else edit.leaf

    def _content(self, edit: Edit) -> bytes:
        return self._read(self._leaf(edit).id)


def _mostly_the_same(one: bytes, other: bytes) -> bool:
    if max(len(one), len(other)) > LONGEST_COMPARED:
        return False
    words, others = Counter(one.split()), Counter(other.split())
    longer = max(words.total(), others.total())
    return (words & others).total() > MOSTLY * longer
