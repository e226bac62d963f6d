"""What lost stays in the note: folded beneath the winner, and only once.

    > [!conflict]- agent, 2026-11-22, 1a2b3c
    > the losing lines

A quote closes whatever is opened inside it, so any text may stand in one, callouts and code included.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC

from vaultloop.vault.git.signing import AuthorClass
from vaultloop.vault.merge.blocks import blocks, is_blank, is_open
from vaultloop.vault.merge.lines import is_within
from vaultloop.vault.merge.version import Version

_HEAD = re.compile(r"> \[!conflict\]- (?P<title>.*)")
# Hexadecimal digits of a blob's id.
SHORT = 6
_LONGEST_NAME = 60
# Callouts within callouts that are looked into; a merge makes no such thing.
DEEPEST = 20


def title(version: Version) -> str:
    """Whose text was folded, when it was written, and which version of the note it comes from."""
    writer = version.writer
    name = " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\[\],<>]", " ", writer.name).split())[:_LONGEST_NAME]
    who = "agent" if writer.author_class is AuthorClass.AGENT or not name else name
    return f"{who}, {writer.at.astimezone(UTC).date().isoformat()}, {version.blob[:SHORT]}"


def folded(heading: str, lines: Sequence[str]) -> str:
    """A callout with these lines, as one block."""
    return "\n".join([f"> [!conflict]- {heading}", *(f"> {line}" if line else ">" for line in lines)])


def is_folded(block: str) -> bool:
    """Whether a block is such a callout."""
    return _HEAD.match(block) is not None


def content(block: str) -> tuple[str, ...]:
    """The lines that a callout keeps."""
    return tuple(line[2:] if line.startswith("> ") else line[1:] for line in block.split("\n")[1:])


def kept(lines: Sequence[str]) -> frozenset[str]:
    """Every line that the callouts of a body keep, those in callouts within callouts too."""
    if not any(_HEAD.match(line) for line in lines):
        return frozenset()
    return frozenset(line for text in _contents(blocks(lines)) for line in text)


def _contents(parts: Iterable[str], depth: int = 0) -> Iterator[Sequence[str]]:
    for part in parts:
        if is_folded(part) and depth < DEEPEST:
            lines = content(part)
            yield lines
            yield from _contents(blocks(lines), depth + 1)


class _Known:
    """The callouts that a note has, found by their lines."""

    def __init__(self, parts: Iterable[str]) -> None:
        self._by_line: dict[str, list[Sequence[str]]] = {}
        for lines in _contents(parts):
            self.add(lines)

    def add(self, lines: Sequence[str]) -> None:
        for line in set(lines):
            self._by_line.setdefault(line, []).append(lines)

    def keeps(self, lines: Sequence[str]) -> bool:
        """Whether one of them has all these lines, in this order."""
        candidates = (self._by_line.get(line, []) for line in lines)
        return any(is_within(lines, there) for there in min(candidates, key=len, default=[]))


def with_folds(parts: Sequence[str], folds: Iterable[tuple[int, str]]) -> list[str]:
    """The blocks with callouts put in, each after the paragraph, list or table of the block at its index.

    A callout whose lines are all kept somewhere already is left out.
    """
    waiting = list(folds)
    if not waiting:
        return list(parts)
    known, gaps = _Known(parts), _gaps(parts)
    due: dict[int, list[str]] = {}
    for index, fold in waiting:
        lines = [line for line in content(fold) if line.strip()]
        if known.keeps(lines):
            continue
        known.add(lines)
        due.setdefault(gaps[min(index + 1, len(parts))], []).append(fold)
    found: list[str] = []
    for at in range(len(parts) + 1):
        for fold in due.get(at, ()):
            _set_apart(found, fold)
        if at < len(parts):
            if due.get(at) and not is_blank(parts[at]):
                found.append("")
            found.append(parts[at])
    return found


def _gaps(parts: Sequence[str]) -> list[int]:
    """For each place among the blocks, the next gap between paragraphs, where a callout can stand."""
    found = [len(parts)] * (len(parts) + 1)
    for at in range(len(parts) - 1, -1, -1):
        found[at] = at if is_blank(parts[at]) or _begins(parts[at]) else found[at + 1]
    # Below a fence that is not closed it would be code.
    opened = next((at for at, part in enumerate(parts) if is_open(part)), len(parts))
    return [min(at, opened) for at in found]


def _begins(block: str) -> bool:
    return block.startswith("#") or is_folded(block) or is_open(block)


def _set_apart(found: list[str], fold: str) -> None:
    if found and not is_blank(found[-1]):
        found.append("")
    found.append(fold)
