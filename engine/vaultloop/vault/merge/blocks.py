"""A note's body as blocks: single lines, and what a line put between its lines would break.

As a string, a block with a newline in it is a code fence, a table, a quote or callout, a comment or a
formula, whole. Joining the strings with newlines gives the body again.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

_FENCE = re.compile(r"[ \t]*(?:(?:[-*+]|\d+[.)])[ \t]+)?(?P<mark>`{3,}|~{3,})(?P<info>.*)")
_QUOTE = re.compile(r" {0,3}>")
_RULER = re.compile(r"\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*")
_ITEM = re.compile(r"\s*(?:[-*+]|\d+[.)])\s")
# What any block of several lines has in its first line.
_MAY_REACH = re.compile(r"[`~>|$%]|<!")
_HEADING = re.compile(r"(?P<marks>#{1,6})(?:[ \t]|$)")


@dataclass(frozen=True, slots=True)
class Block:
    """A block that is not blank, with the blank lines above it; two are equal if their text is.

    Attributes:
        gap: the blank lines above, as they stand there.
        above: the text of the block above; None for the first one.
        apart: blank lines stand below it too, and a block below them.
    """

    text: str
    gap: tuple[str, ...] = field(default=(), compare=False)
    above: str | None = field(default=None, compare=False)
    apart: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        return self.text


def filled(lines: Sequence[str]) -> tuple[list[Block], tuple[str, ...]]:
    """The blocks of a body that are not blank, and the blank lines below the last of them."""
    found: list[Block] = []
    gap: list[str] = []
    for text in blocks(lines):
        if is_blank(text):
            gap.append(text)
        else:
            if found and gap:
                found[-1] = replace(found[-1], apart=True)
            found.append(Block(text, tuple(gap), found[-1].text if found else None))
            gap = []
    return found, tuple(gap)


def blocks(lines: Sequence[str]) -> list[str]:
    """The body's lines, those that belong together in one string."""
    found = []
    at = 0
    while at < len(lines):
        if not _MAY_REACH.search(lines[at]):
            found.append(lines[at])
            at += 1
            continue
        end = next((end for reach in _REACHES if (end := reach(lines, at)) > at), at + 1)
        found.append("\n".join(lines[at:end]))
        at = end
    return found


def lines_of(parts: Sequence[str]) -> list[str]:
    """The lines of some blocks."""
    return [line for part in parts for line in part.split("\n")]


def is_blank(block: str) -> bool:
    """Nothing but spaces."""
    return not block.strip()


def heading_level(block: str) -> int:
    """1 to 6 for a heading, else 0."""
    found = _HEADING.match(block) if block.startswith("#") else None
    return len(found["marks"]) if found else 0


def is_item(block: str) -> bool:
    """A line of a list."""
    return _ITEM.match(block) is not None


def is_open(block: str) -> bool:
    """A code fence that nothing closes: whatever stands below it is code too."""
    opening = _opening(block.split("\n", 1)[0])
    return opening is not None and not _closes(block.rsplit("\n", 1)[-1], opening) and not _QUOTE.match(block)


def is_atomic(block: str) -> bool:
    """More than one line, or the beginning of such a block."""
    return "\n" in block or _QUOTE.match(block) is not None


def kind(block: str) -> str:
    """What sort of block this is, in one word; blocks of one kind can be merged line by line."""
    if _opening(block.split("\n", 1)[0]):
        return "fence"
    if _QUOTE.match(block):
        return "quote"
    if "\n" in block:
        return "table" if "|" in block.split("\n", 1)[0] else "other"
    return "heading" if heading_level(block) else "line"


def _opening(line: str) -> str | None:
    found = _FENCE.fullmatch(line)
    # Backticks after backticks are a piece of code within a line.
    return None if not found or (found["mark"][0] == "`" and "`" in found["info"]) else found["mark"]


def _closes(line: str, mark: str) -> bool:
    stripped = line.strip()
    return len(stripped) >= len(mark) and set(stripped) == {mark[0]}


def _fence(lines: Sequence[str], at: int) -> int:
    if (mark := _opening(lines[at])) is None:
        return at
    closing = (end for end in range(at + 1, len(lines)) if _closes(lines[end], mark))
    return next(closing, len(lines) - 1) + 1


def _quote(lines: Sequence[str], at: int) -> int:
    end = at
    while end < len(lines) and _QUOTE.match(lines[end]):
        end += 1
    return end


def _table(lines: Sequence[str], at: int) -> int:
    if "|" not in lines[at] or at + 1 == len(lines) or "|" not in lines[at + 1]:
        return at
    if not _RULER.fullmatch(lines[at + 1]):
        return at
    end = at
    while end < len(lines) and "|" in lines[end]:
        end += 1
    return end


def _between(opening: str, closing: str) -> Callable[[Sequence[str], int], int]:
    """What begins with a line that begins with `opening` and does not close it."""

    def reach(lines: Sequence[str], at: int) -> int:
        first = lines[at].strip()
        if not first.startswith(opening) or closing in first[len(opening) :]:
            return at
        ends = (end for end in range(at + 1, len(lines)) if closing in lines[end])
        # Not closed: most likely no such thing at all.
        return next(ends, at - 1) + 1

    return reach


_REACHES = (_fence, _quote, _table, _between("$$", "$$"), _between("%%", "%%"), _between("<!--", "-->"))
