"""Two texts that were put into the same place: both, and what they have in common once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from vaultloop.vault.merge.blocks import Block, heading_level
from vaultloop.vault.merge.lines import matches

# No note has as many; a heading that stands alone in its level.
_NO_HEADING = 7


@dataclass(slots=True)
class _Section:
    # The headings above it and its own, and what stands below it. Empty for what stands above all headings.
    path: tuple[str, ...]
    parts: list[Block] = field(default_factory=list)


def united(first: Sequence[Block], second: Sequence[Block]) -> list[Block]:
    """Both, `first` before `second`; sections of one heading become one, with the items of both below it."""
    mine, theirs = _sections(first), _sections(second)
    found: list[Block] = []
    for one, other in _paired([section.path for section in mine], [section.path for section in theirs]):
        for left, right in _aligned(mine[one[0] : one[1]], theirs[other[0] : other[1]]):
            found += _merged(left, right)
    return found


def _sections(parts: Sequence[Block]) -> list[_Section]:
    found = [_Section(())]
    above: list[str] = []
    for part in parts:
        if level := heading_level(part.text):
            above = [heading for heading in above if heading_level(heading) < level] + [part.text]
            found.append(_Section(tuple(above), [part]))
        else:
            found[-1].parts.append(part)
    return found


_Range = tuple[int, int]


def _paired(
    mine: Sequence[tuple[str, ...]], theirs: Sequence[tuple[str, ...]]
) -> Iterator[tuple[_Range, _Range]]:
    """Stretches that stand at the same place: what only one has, or one matched pair."""
    left = right = 0
    for one, other in matches(mine, theirs):
        yield (left, one), (right, other)
        yield (one, one + 1), (other, other + 1)
        left, right = one + 1, other + 1
    yield (left, len(mine)), (right, len(theirs))


def _aligned(
    mine: Sequence[_Section], theirs: Sequence[_Section]
) -> Iterator[tuple[list[Block], list[Block]]]:
    """Sections of one path together; else all of one after all of the other, the deeper ones first."""
    if len(mine) == len(theirs) == 1 and mine[0].path == theirs[0].path:
        yield mine[0].parts, theirs[0].parts
        return
    blocks = [(mine, True), (theirs, False)]
    # A section of a lower level belongs to what stands above, so it must not follow a higher heading.
    if mine and theirs and _level(mine[0]) < _level(theirs[0]):
        blocks.reverse()
    for sections, is_first in blocks:
        for section in sections:
            yield (section.parts, []) if is_first else ([], section.parts)


def _level(section: _Section) -> int:
    return heading_level(section.path[-1]) if section.path else _NO_HEADING


def _merged(first: Sequence[Block], second: Sequence[Block]) -> list[Block]:
    """The blocks of one section from both; a block of both once, where they stand in the same order."""
    found: list[Block] = []
    left = right = 0
    for one, other in [*matches(first, second), (len(first), len(second))]:
        found += [*first[left:one], *second[right:other], *first[one : one + 1]]
        left, right = one + 1, other + 1
    return found
