"""The blank lines between the blocks of a merged body: those of whoever put these two there."""

from collections.abc import Sequence

from vaultloop.vault.merge.blocks import Block, is_item
from vaultloop.vault.merge.lines import Change

Gap = tuple[str, ...]


class Gaps:
    """What stood above each block of the base, in the base and on both sides."""

    def __init__(
        self,
        base: Sequence[Block],
        one: tuple[Sequence[Block], Sequence[Change[Block]]],
        other: tuple[Sequence[Block], Sequence[Change[Block]]],
    ) -> None:
        # The blocks of the result are the base's own objects where nobody touched them.
        self._versions = {
            id(part): (part, mine, theirs)
            for part, mine, theirs in zip(base, _kept(base, *one), _kept(base, *other), strict=True)
        }

    def between(self, upper: Block | None, part: Block) -> Gap:
        """The blank lines between two blocks of the result; `upper` is None above the first."""
        above = None if upper is None else upper.text
        base, one, other = self._versions.get(id(part), (None, part, None))
        found = [version for version in (one, other) if version is not None and version.above == above]
        if len(found) == 2 and base is not None and base.above == above:
            return chosen(base.gap, found[0].gap, found[1].gap)
        if found:
            return _larger(*(version.gap for version in found))
        if upper is None or (is_item(upper.text) and is_item(part.text)):
            return ()
        gap = _larger(*(version.gap for version in (base, one, other) if version is not None))
        return gap or (("",) if upper.apart else ())


def chosen(base: Gap, one: Gap, other: Gap) -> Gap:
    """Whoever changed it; the larger where both did."""
    if one == base:
        return other
    return one if other == base else _larger(one, other)


def _larger(*gaps: Gap) -> Gap:
    return max(gaps, key=lambda gap: (len(gap), gap))


def _kept(base: Sequence[Block], side: Sequence[Block], edits: Sequence[Change[Block]]) -> list[Block | None]:
    """For each block of the base the same block of one side; None where it changed it."""
    found: list[Block | None] = []
    shift = 0
    for change in edits:
        found += [side[at + shift] for at in range(len(found), change.start)]
        found += [None] * (change.end - change.start)
        shift += len(change.new) - (change.end - change.start)
    return found + [side[at + shift] for at in range(len(found), len(base))]
