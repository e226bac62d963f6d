"""Two texts of one note laid beside each other, line by line.

A text is its lines without their ends: so whether the last one ends with a line feed touches no line. A
carriage return at a line's end does not tell two lines apart either.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import pygit2
from pygit2.enums import DiffOption

# Text is compared as such whatever its bytes are; an inserted section is not cut in two by a line that looks
# like its first one.
_HOW = DiffOption.FORCE_TEXT | DiffOption.INDENT_HEURISTIC


@dataclass(frozen=True, slots=True)
class Hunk:
    """Lines `old` to before `old_end` became the lines `new` to before `new_end`, counted from 0."""

    old: int
    old_end: int
    new: int
    new_end: int

    @property
    def is_even(self) -> bool:
        """Whether each line has one line that took its place."""
        return self.old_end - self.old == self.new_end - self.new


def lines_of(data: bytes) -> list[bytes]:
    """The lines of a text, each without its line feed; what follows the last one is none if it is empty."""
    lines = data.split(b"\n")
    return lines if lines[-1] else lines[:-1]


def bare(lines: Sequence[bytes]) -> list[bytes]:
    """The same lines without what only tells line ends apart."""
    return [line.removesuffix(b"\r") for line in lines]


def hunks(old: Sequence[bytes], new: Sequence[bytes]) -> list[Hunk]:
    """What differs, in the order of the lines."""
    patch = pygit2.Patch.create_from(_text(old), _text(new), context_lines=0, flag=_HOW)
    return [
        Hunk(*_range(hunk.old_start, hunk.old_lines), *_range(hunk.new_start, hunk.new_lines))
        for hunk in patch.hunks
    ]


def same_lines(old: Sequence[bytes], new: Sequence[bytes]) -> dict[int, int]:
    """For each line of `new` that `old` has too, in the same order: its number there."""
    found: dict[int, int] = {}
    at_old = at_new = 0
    for hunk in (*hunks(old, new), Hunk(len(old), len(old), len(new), len(new))):
        found |= zip(range(at_new, hunk.new), range(at_old, hunk.old), strict=True)
        at_old, at_new = hunk.old_end, hunk.new_end
    return found


class Course:
    """Where the lines of a text, and the gaps between them, come to be as others go on editing it.

    Attributes:
        places: for each line where it, or what took its place, stands now; None once it was deleted.
        gaps: for each place before a line, and the last one, the number of lines above it now. What is
            written into a gap comes below it.
    """

    def __init__(self, count: int) -> None:
        self.places: list[int | None] = list(range(count))
        self.gaps = list(range(count + 1))

    def follow(self, edit: Sequence[Hunk]) -> None:
        """Go on to the next version, which differs from the last one by `edit`."""
        steps = _Steps(edit)
        self.places = [None if place is None else steps.line(place) for place in self.places]
        self.gaps = [steps.gap(gap) for gap in self.gaps]


class _Steps:
    """One edit, asked about lines and gaps; between two hunks all lines move alike."""

    def __init__(self, edit: Sequence[Hunk]) -> None:
        self._edit = edit
        self._starts = [hunk.old for hunk in edit]

    def line(self, number: int) -> int | None:
        at = bisect_right(self._starts, number)
        if at == 0:
            return number
        hunk = self._edit[at - 1]
        if number >= hunk.old_end:
            return number - hunk.old_end + hunk.new_end
        return None if hunk.new == hunk.new_end else min(hunk.new + number - hunk.old, hunk.new_end - 1)

    def gap(self, above: int) -> int:
        # A hunk that begins here comes below.
        at = bisect_left(self._starts, above)
        if at == 0:
            return above
        hunk = self._edit[at - 1]
        if above > hunk.old_end:
            return above - hunk.old_end + hunk.new_end
        # Of a hunk with lines on both sides the first ones are the old ones, worded anew.
        return min(hunk.new + above - hunk.old, hunk.new_end)


def _text(lines: Sequence[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in bare(lines))


def _range(start: int, count: int) -> tuple[int, int]:
    # git counts from 1, and names the line before what is empty.
    first = start - 1 if count else start
    return first, first + count
