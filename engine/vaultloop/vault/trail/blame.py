"""Who wrote each line of a note: the commit that brought it in, under whatever name the note had then.

It is git's own way, with three things more that a vault needs. A line that came through a join is its
writer's, not the join's, also where the join folded it into a callout or put two edits of it into one line. A
note that got a line below its last one did not get a new last line. And line ends alone make nobody the
writer of a line.
"""

import difflib
import heapq
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from vaultloop.vault.git.repository import Repository
from vaultloop.vault.trail.alignment import bare, lines_of, same_lines
from vaultloop.vault.trail.provenance import Provenance

# How the loser's text of a conflict stands in a note: `> [!conflict]- agent, 2026-11-22, 1a2b3c`.
_HEADER = re.compile(rb"^(?:>\s?)*> ?\[!conflict\][-+]? .*, ([0-9a-f]{4,40})\s*$")
_QUOTE = re.compile(rb"^> ?")

# A line of a join that is so much like one which it replaced is that one, worded by both sides.
WORDED_ANEW = 0.6


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a note and where it is from.

    Attributes:
        number: in the note that was asked about, from 1.
        commit: the commit that brought it in; None while it is not committed.
        path, origin: where it stood then, as a path and a number from 1.
    """

    number: int
    text: bytes
    commit: str | None
    path: str
    origin: int


# A line on its way back: its number in the note that was asked about, and in the version looked at; from 0.
_Traced = tuple[int, int]


def blame(
    repository: Repository,
    revision: str,
    path: str,
    *,
    lying: bytes | None = None,
    wanted: Collection[int] | None = None,
) -> list[Line]:
    """The lines of the file at `path` in a commit, each with the commit that brought it in.

    Args:
        lying: what lies in the folder now, instead of what the commit has; its new lines have no commit.
        wanted: the numbers of the lines that matter, from 1; None for all.

    Raises:
        KeyError: the commit has no such file, and `lying` is None.
    """
    return _Tracing(Provenance(repository), path, wanted).lines(revision, path, lying)


class _Tracing:
    """One walk back from a note."""

    def __init__(self, provenance: Provenance, path: str, wanted: Collection[int] | None) -> None:
        self._provenance, self._path, self._wanted = provenance, path, wanted
        self._waiting: dict[tuple[str, str], list[_Traced]] = {}
        self._order: list[tuple[float, str, str]] = []
        self._found: dict[int, tuple[str | None, str, int]] = {}
        self._texts: dict[str, list[bytes]] = {}

    def lines(self, revision: str, path: str, lying: bytes | None) -> list[Line]:
        leaf = self._provenance.leaf(revision, path)
        if leaf is None or not leaf.is_file:
            if lying is None:
                raise KeyError(path)
            texts: list[bytes] = lines_of(lying)
            self._settle([(number, number) for number in self._numbers(texts)], None, path)
        else:
            texts = lines_of(lying) if lying is not None else self._text(leaf.id)
            self._begin(texts, revision, path, leaf.id)
            self._walk()
        return [
            Line(number + 1, texts[number], commit, origin_path, origin + 1)
            for number, (commit, origin_path, origin) in sorted(self._found.items())
        ]

    def _begin(self, texts: list[bytes], revision: str, path: str, blob: str) -> None:
        committed = same_lines(self._text(blob), texts)
        numbers = self._numbers(texts)
        self._add(revision, path, [(number, committed[number]) for number in numbers if number in committed])
        self._settle([(number, number) for number in numbers if number not in committed], None, path)

    def _numbers(self, texts: list[bytes]) -> list[int]:
        return [number for number in range(len(texts)) if self._wanted is None or number + 1 in self._wanted]

    def _walk(self) -> None:
        while self._order:
            _, commit, path = heapq.heappop(self._order)
            # Pushed again after it was looked at, where clocks went backwards; then there is nothing left.
            if traced := self._waiting.pop((commit, path), None):
                self._pass_on(commit, path, traced)

    def _pass_on(self, commit: str, path: str, traced: list[_Traced]) -> None:
        """Hand each line to the parent that has it; what is left, this commit brought in."""
        if (same := self._provenance.same_in(commit, path)) is not None:
            self._add(same, path, traced)
            return
        here = self._version(commit, path)
        sides = list(self._sides(commit, path, here))
        for side in sides:
            self._add(
                side.parent, side.path, [(final, side.same[at]) for final, at in traced if at in side.same]
            )
            traced = [(final, at) for final, at in traced if at not in side.same]
        if len(self._provenance.parents(commit)) > 1 and traced:
            traced = self._joined(here, sides, traced)
        self._settle(traced, commit, path)

    def _sides(self, commit: str, path: str, here: list[bytes]) -> "Iterator[_Side]":
        for parent in self._provenance.parents(commit):
            source = self._provenance.source(commit, path, parent)
            leaf = source and self._provenance.leaf(parent, source)
            if source and leaf and leaf.is_file:
                there = self._text(leaf.id)
                same = same_lines(there, here)
                lost = sorted(set(range(len(there))).difference(same.values()))
                yield _Side(parent, source, leaf.id, there, same, lost)

    def _joined(self, here: list[bytes], sides: "Sequence[_Side]", traced: list[_Traced]) -> list[_Traced]:
        """Trace what a join worded or folded anew to the side that wrote it; returns what it made itself."""
        left, folded = [], None
        # From below: a callout's head, and empty lines in it and above it, are of who wrote what follows.
        for final, at in reversed(traced):
            text, is_head = here[at], _HEADER.match(here[at])
            if is_head or not _unquoted(text).strip():
                origin = folded
            else:
                origin = _origin(text, sides)
                folded = origin if _is_quote(text) else None
            if origin:
                side, line = origin
                self._add(side.parent, side.path, [(final, line)])
            elif not (is_head and self._settle_head(final, sides, is_head[1].decode())):
                left.append((final, at))
        return left

    def _settle_head(self, final: int, sides: "Sequence[_Side]", blob: str) -> bool:
        """Whether a callout's head names the version of a side; then it is of who made that version."""
        for side in sides:
            if side.blob.startswith(blob):
                newest = next(self._provenance.touching(side.parent, (side.path,)))
                self._settle([(final, 0)], newest.id, side.path)
                return True
        return False

    def _add(self, commit: str, path: str, traced: list[_Traced]) -> None:
        if not traced:
            return
        if (commit, path) not in self._waiting:
            heapq.heappush(self._order, (-self._provenance.commit(commit).at.timestamp(), commit, path))
        self._waiting.setdefault((commit, path), []).extend(traced)

    def _settle(self, traced: Sequence[_Traced], commit: str | None, path: str) -> None:
        self._found |= {final: (commit, path, at) for final, at in traced}

    def _version(self, commit: str, path: str) -> list[bytes]:
        leaf = self._provenance.leaf(commit, path)
        assert leaf is not None
        return self._text(leaf.id)

    def _text(self, blob: str) -> list[bytes]:
        if blob not in self._texts:
            self._texts[blob] = lines_of(self._provenance.repository.blob(blob))
        return self._texts[blob]


@dataclass(frozen=True, slots=True)
class _Side:
    """One parent's version of a note.

    Attributes:
        same: for each line of the join that stood here too, its number here; the others here are `lost`.
    """

    parent: str
    path: str
    blob: str
    lines: list[bytes]
    same: dict[int, int]
    lost: list[int]


def _origin(text: bytes, sides: Sequence[_Side]) -> tuple[_Side, int] | None:
    """The line of a side that a join made `text` of."""
    wanted = bare([text, _unquoted(text)])
    for side in sides:
        for number in side.lost:
            if side.lines[number].strip() and side.lines[number].removesuffix(b"\r") in wanted:
                return side, number
    likest = max(
        (
            (_likeness(_unquoted(text), side.lines[number]), -place, number)
            for place, side in enumerate(sides)
            for number in side.lost
        ),
        default=(0.0, 0, 0),
    )
    return (sides[-likest[1]], likest[2]) if likest[0] >= WORDED_ANEW else None


def _likeness(one: bytes, other: bytes) -> float:
    matcher = difflib.SequenceMatcher(None, one, other, autojunk=False)
    return matcher.ratio() if matcher.quick_ratio() >= WORDED_ANEW else 0.0


def _is_quote(text: bytes) -> bool:
    return text.startswith(b">")


def _unquoted(text: bytes) -> bytes:
    return _QUOTE.sub(b"", text).strip(b"\r") if _is_quote(text) else text
