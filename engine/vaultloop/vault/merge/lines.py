"""What changed between two sequences of texts, found in bounded time.

Texts that stand once on both sides are matched first (patience), which keeps headings and paragraphs
together; what is left between them is searched for the shortest difference as long as that is cheap. Beyond
the bounds a stretch counts as rewritten: a coarser answer, never a wrong one.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)

# Differences in one stretch without a single text of its own; the search takes steps of half its square.
_MOST_DIFFERENCES = 500
# How often a stretch is divided by texts that stand once in it.
_DEEPEST = 40
# Pairs of texts compared for likeness in one stretch.
_MOST_PAIRS = 900
# Half of their words in common: an edit rather than another text.
ALIKE = 0.5


@dataclass(frozen=True, slots=True)
class Change(Generic[T]):
    """`base[start:end]` became `new`; an insertion where `start == end`, a deletion without `new`."""

    start: int
    end: int
    new: tuple[T, ...]


@dataclass(frozen=True, slots=True)
class _Stretch:
    # base[top:bottom] against new[left:right].
    top: int
    bottom: int
    left: int
    right: int


def changes(base: Sequence[T], new: Sequence[T]) -> list[Change[T]]:
    """What has to be done to `base`, in order; edits of single texts are changes of their own."""
    found: list[Change[T]] = []
    for stretch in _unmatched(base, new):
        found += _refined(base, new, stretch)
    return found


def matches(base: Sequence[T], new: Sequence[T]) -> list[tuple[int, int]]:
    """Places of equal texts, rising on both sides."""
    found: list[tuple[int, int]] = []
    pending = [(_Stretch(0, len(base), 0, len(new)), 0)]
    while pending:
        stretch, depth = pending.pop()
        stretch = _trimmed(base, new, stretch, found)
        if stretch.top == stretch.bottom or stretch.left == stretch.right:
            continue
        anchors = _anchors(base, new, stretch) if depth < _DEEPEST else []
        if anchors:
            found += anchors
            pending += [(part, depth + 1) for part in _between(stretch, anchors)]
        else:
            found += _shortest(base, new, stretch)
    return sorted(found)


def _trimmed(
    base: Sequence[T], new: Sequence[T], stretch: _Stretch, found: list[tuple[int, int]]
) -> _Stretch:
    """The stretch without what is equal at its two ends, which is noted."""
    top, bottom, left, right = stretch.top, stretch.bottom, stretch.left, stretch.right
    while top < bottom and left < right and base[top] == new[left]:
        found.append((top, left))
        top, left = top + 1, left + 1
    while top < bottom and left < right and base[bottom - 1] == new[right - 1]:
        bottom, right = bottom - 1, right - 1
        found.append((bottom, right))
    return _Stretch(top, bottom, left, right)


def _anchors(base: Sequence[T], new: Sequence[T], stretch: _Stretch) -> list[tuple[int, int]]:
    """Texts that stand once on each side of the stretch: the longest chain in the same order."""
    once = _once(base, stretch.top, stretch.bottom)
    there = _once(new, stretch.left, stretch.right)
    pairs = [(at, there[text]) for text, at in once.items() if text in there]
    return _rising(sorted(pairs))


def _once(texts: Sequence[T], start: int, end: int) -> dict[T, int]:
    count = Counter(texts[start:end])
    # An empty line that happens to stand once says nothing.
    return {texts[at]: at for at in range(start, end) if count[texts[at]] == 1 and texts[at] != ""}


def _rising(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest chain of pairs in which the second numbers rise too."""
    tails: list[int] = []
    ends: list[int] = []
    before: list[int] = []
    for at, (_, place) in enumerate(pairs):
        length = bisect_left(tails, place)
        tails[length : length + 1] = [place]
        ends[length : length + 1] = [at]
        before.append(ends[length - 1] if length else -1)
    chain = []
    at = ends[-1] if ends else -1
    while at >= 0:
        chain.append(pairs[at])
        at = before[at]
    return chain[::-1]


def _between(stretch: _Stretch, anchors: Sequence[tuple[int, int]]) -> Iterator[_Stretch]:
    top, left = stretch.top, stretch.left
    for row, column in anchors:
        yield _Stretch(top, row, left, column)
        top, left = row + 1, column + 1
    yield _Stretch(top, stretch.bottom, left, stretch.right)


def _shortest(base: Sequence[T], new: Sequence[T], stretch: _Stretch) -> list[tuple[int, int]]:
    """Myers's shortest edit script within the bounds; nothing is matched beyond them."""
    rows, columns = stretch.bottom - stretch.top, stretch.right - stretch.left
    furthest = {1: 0}
    trace: list[dict[int, int]] = []
    for differences in range(min(rows + columns, _MOST_DIFFERENCES) + 1):
        trace.append(dict(furthest))
        for diagonal in range(-differences, differences + 1, 2):
            row = _step(furthest, diagonal, differences)
            column = row - diagonal
            while row < rows and column < columns and base[stretch.top + row] == new[stretch.left + column]:
                row, column = row + 1, column + 1
            furthest[diagonal] = row
            if row >= rows and column >= columns:
                return _retraced(trace, stretch)
    return []


def _step(furthest: dict[int, int], diagonal: int, differences: int) -> int:
    left, right = furthest.get(diagonal - 1, -1), furthest.get(diagonal + 1, -1)
    if diagonal == -differences or (diagonal != differences and left < right):
        return right
    return left + 1


def _retraced(trace: Sequence[dict[int, int]], stretch: _Stretch) -> list[tuple[int, int]]:
    row, column = stretch.bottom - stretch.top, stretch.right - stretch.left
    found = []
    for differences in range(len(trace) - 1, -1, -1):
        diagonal = row - column
        furthest = trace[differences]
        start = _step(furthest, diagonal, differences) if differences else 0
        while row > start and column > start - diagonal:
            row, column = row - 1, column - 1
            found.append((stretch.top + row, stretch.left + column))
        if differences:
            left, right = furthest.get(diagonal - 1, -1), furthest.get(diagonal + 1, -1)
            down = diagonal == -differences or (diagonal != differences and left < right)
            row, column = (row, column - 1) if down else (row - 1, column)
    return found[::-1]


def _unmatched(base: Sequence[T], new: Sequence[T]) -> Iterator[_Stretch]:
    top = left = 0
    for row, column in [*matches(base, new), (len(base), len(new))]:
        if row > top or column > left:
            yield _Stretch(top, row, left, column)
        top, left = row + 1, column + 1


def _refined(base: Sequence[T], new: Sequence[T], stretch: _Stretch) -> Iterator[Change[T]]:
    """A rewritten stretch as edits of single texts and what was put in or taken out between them."""
    top, left = stretch.top, stretch.left
    for row, column in [*_edits(base, new, stretch), (stretch.bottom, stretch.right)]:
        if row > top or column > left:
            yield Change(top, row, tuple(new[left:column]))
        if row < stretch.bottom:
            yield Change(row, row + 1, (new[column],))
        top, left = row + 1, column + 1


def _edits(base: Sequence[T], new: Sequence[T], stretch: _Stretch) -> list[tuple[int, int]]:
    """Pairs of texts in the stretch of which one is the other, edited; rising, the most alike first."""
    rows, columns = stretch.bottom - stretch.top, stretch.right - stretch.left
    if rows * columns > _MOST_PAIRS:
        # Too many to compare all: only where as many texts stand there as before, each with its successor.
        pairs = zip(range(stretch.top, stretch.bottom), range(stretch.left, stretch.right), strict=False)
        return [
            (row, column) for row, column in pairs if rows == columns and _is_edit(base[row], new[column])
        ]
    if rows * columns < 2:
        return []
    scores = [
        (alike(str(base[row]), str(new[column])), row, column)
        for row in range(stretch.top, stretch.bottom)
        for column in range(stretch.left, stretch.right)
    ]
    chosen: list[tuple[int, int]] = []
    for score, row, column in sorted(scores, key=lambda found: (-found[0], found[1], found[2])):
        if score < ALIKE:
            break
        if all((row < r and column < c) or (row > r and column > c) for r, c in chosen):
            chosen.append((row, column))
    return sorted(chosen)


def _is_edit(old: T, new: T) -> bool:
    return alike(str(old), str(new)) >= ALIKE


def alike(one: str, other: str) -> float:
    """The share of words that two texts have in common, from 0 to 1."""
    words, others = Counter(one.split()), Counter(other.split())
    total = words.total() + others.total()
    return 2 * (words & others).total() / total if total else 0.0


def woven(base: Sequence[T], one: Sequence[T], other: Sequence[T], *, loose: bool = False) -> list[T] | None:
    """The texts with the changes of both, or None where two changes meet.

    Where one side holds all that the other changed, it is the result: it has been joined with it before.

    Args:
        loose: each text makes sense alone, as a row of a table does, so of what both put into one place all
            stays, that of `one` first.
    """
    mine, theirs = changes(base, one), changes(base, other)
    if _holds(theirs, mine):
        return list(other)
    if _holds(mine, theirs):
        return list(one)
    if loose:
        mine, theirs = _put_together(mine, theirs)
    if any(_meet(change, against) for change in mine for against in theirs if change != against):
        return None
    return applied(base, sorted({*mine, *theirs}, key=lambda change: (change.start, change.end)))


def _put_together(
    mine: Sequence[Change[T]], theirs: Sequence[Change[T]]
) -> tuple[list[Change[T]], list[Change[T]]]:
    """The changes of both, what they put into one place made the same on both sides."""
    there = {change.start: change.new for change in theirs if change.start == change.end}
    both = {
        change.start: (*change.new, *(text for text in there[change.start] if text not in change.new))
        for change in mine
        if change.start == change.end and change.start in there
    }

    def put(change: Change[T]) -> Change[T]:
        inserts = change.start == change.end and change.start in both
        return replace(change, new=both[change.start]) if inserts else change

    return list(map(put, mine)), list(map(put, theirs))


def applied(base: Sequence[T], edits: Sequence[Change[T]]) -> list[T]:
    """`base` after the changes, which are in order and do not meet."""
    found: list[T] = []
    at = 0
    for change in edits:
        found += [*base[at : change.start], *change.new]
        at = change.end
    return found + list(base[at:])


def is_within(part: Sequence[T], whole: Sequence[T]) -> bool:
    """Whether all of `part` stands in `whole`, in the same order, perhaps with more between."""
    rest = iter(whole)
    return all(text in rest for text in part)


def _holds(whole: Sequence[Change[T]], part: Sequence[Change[T]]) -> bool:
    gone = {at for change in whole for at in range(change.start, change.end)}
    removed = {at for change in part for at in range(change.start, change.end)}
    return removed <= gone and is_within(
        [text for change in part for text in change.new], [text for change in whole for text in change.new]
    )


def _meet(one: Change[T], other: Change[T]) -> bool:
    first, second = sorted((one, other), key=lambda change: (change.start, change.end))
    if first.start == first.end or second.start == second.end:
        # What is put in at the end of a rewritten stretch follows it; elsewhere it would be torn apart.
        follows = first.end == second.start and first.start < first.end
        return first.start <= second.end and second.start <= first.end and not follows
    return second.start < first.end
