"""Conflict markers that somebody's git left in a note: gone, and both parts kept.

The two parts are joined as two versions of the note; where git wrote down what stood there before both, that
is the base.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vaultloop.vault.merge import ordinary
from vaultloop.vault.merge.audit import AuditError, audit
from vaultloop.vault.merge.text import Text, is_text, read

_OURS = re.compile(r"<{7}(?: .*)?")
_BASE = re.compile(r"\|{7}(?: .*)?")
_PARTED = re.compile(r"={7}")
_THEIRS = re.compile(r">{7}(?: (?P<label>.*))?")
# Markers within the part of another conflict: a merge of a merge.
_DEEPEST = 8
_LONGEST_LABEL = 60


def mended(data: bytes) -> bytes | None:
    """The note without conflict markers; None where it has none.

    Only whole conflicts count: `<<<<<<<`, `=======` and `>>>>>>>` in this order, each at the start of a line.
    Anything less is somebody writing about git.
    """
    found: bytes | None = None
    for _ in range(_DEEPEST):
        once = _mended(found if found is not None else data)
        if once is None:
            break
        found = once
    return found


@dataclass(frozen=True, slots=True)
class _Conflict:
    # Places of the four markers; where git did not write down the base, it is where the parts part.
    ours: int
    base: int
    parted: int
    theirs: int
    label: str

    @property
    def told(self) -> bool:
        return self.base < self.parted


def _mended(data: bytes) -> bytes | None:
    if b"<<<<<<<" not in data or not is_text(data):
        return None
    text = read(data)
    conflicts = list(_conflicts(text.lines))
    if not conflicts:
        return None
    base, ours, theirs = (_version(text, conflicts, part) for part in range(3))
    label = " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\[\],<>]", " ", conflicts[0].label).split())
    sides = ordinary.Side(ours, "ours"), ordinary.Side(theirs, label[:_LONGEST_LABEL] or "theirs")
    result, _ = ordinary.joined(base, *sides, first_wins=True)
    try:
        audit(base, ours, theirs, result)
    except AuditError:
        # Both parts as they stand, one after the other.
        return _version(text, conflicts, 3)
    return result


def _conflicts(lines: Sequence[str]) -> Iterator[_Conflict]:
    """Whole conflicts; of one within another the inner one, which has to go first."""
    ours = base = parted = -1
    for at, line in enumerate(lines):
        if _OURS.fullmatch(line):
            ours, base, parted = at, -1, -1
        elif ours >= 0 and parted < 0 and base < 0 and _BASE.fullmatch(line):
            base = at
        elif ours >= 0 and parted < 0 and _PARTED.fullmatch(line):
            parted = at
        elif parted >= 0 and (found := _THEIRS.fullmatch(line)):
            yield _Conflict(ours, base if base >= 0 else parted, parted, at, found["label"] or "")
            ours = base = parted = -1


def _version(text: Text, conflicts: Sequence[_Conflict], part: int) -> bytes:
    """The note with one part of each conflict: 0 the base, 1 ours, 2 theirs, 3 ours and theirs."""
    lines: list[str] = []
    at = 0
    for conflict in conflicts:
        ours = text.lines[conflict.ours + 1 : conflict.base]
        base = text.lines[conflict.base + 1 : conflict.parted] if conflict.told else ()
        theirs = text.lines[conflict.parted + 1 : conflict.theirs]
        lines += [*text.lines[at : conflict.ours], *(base, ours, theirs, (*ours, *theirs))[part]]
        at = conflict.theirs + 1
    return text.with_lines([*lines, *text.lines[at:]]).data
