"""A paragraph that one side moved, and the other edited: the edit goes with it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from vaultloop.vault.merge.blocks import Block, heading_level
from vaultloop.vault.merge.lines import ALIKE, Change, alike


def moved_along(
    base: Sequence[Block], mine: Sequence[Change[Block]], theirs: Sequence[Change[Block]]
) -> tuple[list[Change[Block]], list[Change[Block]]]:
    """The changes of both sides, with edits of a moved block made where the block went.

    A block counts as moved if its text stands once in the base, was taken out there and put in elsewhere.
    What the other side took out is not moved either. Where both moved it, the place nearer to the top is it,
    so that it does not depend on who merges.
    """
    one, other = _moves(base, mine), _moves(base, theirs)
    mine, theirs = _carried(base, mine, theirs, one)
    theirs, mine = _carried(base, theirs, mine, other)
    one, other = _moves(base, mine), _moves(base, theirs)
    return (
        _followed(base, list(mine), _Other(one, theirs, other)),
        _followed(base, list(theirs), _Other(other, mine, one)),
    )


@dataclass(frozen=True, slots=True)
class _Place:
    # The change that put the block in, its index there, and where the block stood in the base.
    change: int
    index: int
    source: int
    gap: int


@dataclass(frozen=True, slots=True)
class _Other:
    # The moves of the side that is being mended; the other side's changes and moves.
    moves: Mapping[Block, _Place]
    changes: Sequence[Change[Block]]
    theirs: Mapping[Block, _Place]


def _moves(base: Sequence[Block], edits: Sequence[Change[Block]]) -> dict[Block, _Place]:
    gone = {base[at]: at for change in edits for at in range(change.start, change.end)}
    if not gone:
        return {}
    put = Counter(text for change in edits for text in change.new if text in gone)
    if not put:
        return {}
    count = Counter(base)
    return {
        text: _Place(at, index, gone[text], change.start)
        for at, change in enumerate(edits)
        for index, text in enumerate(change.new)
        if put[text] == 1 == count[text] and text in gone
    }


def _carried(
    base: Sequence[Block],
    mine: Sequence[Change[Block]],
    theirs: Sequence[Change[Block]],
    moves: Mapping[Block, _Place],
) -> tuple[list[Change[Block]], list[Change[Block]]]:
    """What `theirs` put into a stretch that `mine` moved goes where the stretch went."""
    news = [list(change.new) for change in mine]
    left: list[Change[Block]] = []
    known = set(base) if moves else set()
    for change in theirs:
        place = moves.get(base[change.start - 1]) if change.start == change.end > 0 else None
        # What moved itself goes where its own writer put it.
        if place is None or not known.isdisjoint(change.new) or not _goes_along(base, change, moves, place):
            left.append(change)
        else:
            above = news[place.change].index(base[change.start - 1])
            news[place.change][above + 1 : above + 1] = change.new
    carried = [replace(change, new=tuple(new)) for change, new in zip(mine, news, strict=True)]
    return carried, left


def _goes_along(
    base: Sequence[Block], change: Change[Block], moves: Mapping[Block, _Place], above: _Place
) -> bool:
    """Whether what is put in belongs to the moved block above it: that goes on, or its section ends."""
    if change.start < len(base) and (below := moves.get(base[change.start])):
        return below.change == above.change and below.index > above.index
    ends = change.start == len(base) or heading_level(base[change.start].text) > 0
    return ends and not heading_level(change.new[0].text)


def _followed(base: Sequence[Block], edits: list[Change[Block]], other: _Other) -> list[Change[Block]]:
    """One side's changes: blocks that it moved as edited by the other, and no edits of what that moved."""
    edited, own = _edited(base, other.changes), _edited(base, edits)
    gone = {at for change in other.changes for at in range(change.start, change.end)}
    news: list[list[Block | None]] = [list(change.new) for change in edits]
    for text, place in other.moves.items():
        if place.source not in gone:
            continue
        there = other.theirs.get(text)
        if there is not None:
            # Both moved it: nearer to the top; at one place it is put in by both, and stands once.
            if there.gap < place.gap:
                news[place.change][place.index] = None
        else:
            news[place.change][place.index] = edited.get(place.source)
    elsewhere = {text for change in other.changes for text in change.new}
    taken = {place.source for place in other.theirs.values()}
    for at, change in enumerate(edits):
        places = set(range(change.start, change.end))
        if not places or not places <= gone:
            continue
        if change.start in own and change.start in taken and base[change.start] not in other.moves:
            # The edit was made where the other side moved the block.
            news[at] = []
        elif change not in other.changes and all(text in elsewhere for text in change.new):
            # The other side is a merge in which this edit stands already, at another place.
            news[at] = []
    left = [
        replace(change, new=tuple(text for text in new if text is not None))
        for change, new in zip(edits, news, strict=True)
    ]
    return [change for change in left if change.new or change.start < change.end]


def _edited(base: Sequence[Block], edits: Sequence[Change[Block]]) -> dict[int, Block]:
    """What became of blocks that were edited by themselves."""
    return {
        change.start: change.new[0]
        for change in edits
        if change.end - change.start == 1
        and len(change.new) == 1
        and alike(str(base[change.start]), str(change.new[0])) >= ALIKE
    }
