"""Two git trees compared as the bytes that they are: only entries that differ are looked at one by one.

A vault may have thousands of files in one folder, and a push changes a few of them: the rest is compared in
large pieces. An entry is its mode in octal, a space, its name, a NUL and the 20 bytes of its id.
"""

import re
from collections.abc import Callable

Entry = tuple[bytes, bytes, bytes]

_ENTRY = re.compile(rb"([0-7]+) ([^\0]+)\0(.{20})", re.DOTALL)
# No possessive quantifiers: those of Python 3.11.2 (in Debian 12) end in the middle of an entry.
_WHOLE_ENTRIES = re.compile(rb"(?:[0-7]+ [^\0]+\0.{20})*", re.DOTALL)


class OddTreeError(ValueError):
    """Bytes that are not those of a tree."""


def unlike(old: bytes, new: bytes) -> tuple[list[Entry], list[Entry]]:
    """The entries (mode, name, id) of both sides without those at the front and the end that are the same.

    Raises:
        OddTreeError: one of them is no tree.
    """
    shorter = min(len(old), len(new))
    same = _longest(shorter, lambda low, high: old[low:high] == new[low:high])
    whole = _WHOLE_ENTRIES.match(old, 0, same)
    start = whole.end() if whole else 0
    tail = _longest(
        shorter - start,
        lambda low, high: old[len(old) - high : len(old) - low] == new[len(new) - high : len(new) - low],
    )
    return _entries(old, start, len(old) - tail), _entries(new, start, len(new) - tail)


def entries_of(tree: bytes) -> list[Entry]:
    """All entries of a tree, as they are written. Raises as `unlike`."""
    return _entries(tree, 0, len(tree))


def _longest(limit: int, alike: Callable[[int, int], bool]) -> int:
    """The largest number for which everything below it is `alike`, found by halving."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        if alike(low, middle):
            low = middle
        else:
            high = middle - 1
    return low


def _entries(tree: bytes, start: int, end: int) -> list[Entry]:
    """The entries from `start` until one ends at `end` or beyond."""
    found: list[Entry] = []
    while start < end:
        entry = _ENTRY.match(tree, start)
        if entry is None:
            raise OddTreeError(f"A git tree cannot be read at byte {start} of {len(tree)}.")
        found.append((entry[1], entry[2], entry[3]))
        start = entry.end()
    return found
