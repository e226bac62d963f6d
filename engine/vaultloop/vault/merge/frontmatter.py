"""The properties of a note, joined key by key as spans of text: what nobody changed stays byte for byte.

Also where git would call it clean: a key that both sides added in different places would stand there twice.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from vaultloop.vault.merge.lists import List, joined_list, list_in, order
from vaultloop.vault.merge.version import Rule

_FENCE = re.compile(r"---[ \t]*")
_KEY = re.compile(
    r"(?P<key>\"[^\"]+\"|'[^']+'|[^\s#\-:'\"\[\]{}>|&*!%@`,][^:#]*?|-[^\s:][^:]*?)[ \t]*:(?:[ \t].*|)"
)


@dataclass(frozen=True, slots=True)
class Block:
    """The frontmatter of one version.

    Attributes:
        lines: between the fences. None where the note has no frontmatter.
        entries: the lines of each key, in order; a comment is part of the key below it.
        readable: the entries are all there is, and each key stands once.
        size: lines of the note that it takes, fences included.
    """

    lines: tuple[str, ...] | None = None
    entries: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    readable: bool = True
    size: int = 0


@dataclass(slots=True)
class Properties:
    """The joined frontmatter.

    Attributes:
        lines: between the fences; None for a note without.
        lost: the lines of values that gave way, of the first side and of the second.
        clashes: the keys (or `---`, for the whole block) that both sides changed differently.
    """

    lines: tuple[str, ...] | None
    lost: tuple[list[str], list[str]] = field(default_factory=lambda: ([], []))
    clashes: list[str] = field(default_factory=list)
    rules: set[Rule] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Side:
    """One side's block, and the lines that its callouts keep: these have lost before."""

    block: Block
    kept: frozenset[str] = frozenset()


def block_in(lines: Sequence[str]) -> Block:
    """The frontmatter at the top of a note; a rule there, with prose below it, is none."""
    if not lines or not _FENCE.fullmatch(lines[0]):
        return Block()
    end = next((at for at in range(1, len(lines)) if _FENCE.fullmatch(lines[at])), 0)
    inner = tuple(lines[1:end])
    filled = [line for line in inner if line.strip() and not line.lstrip().startswith("#")]
    if (
        not end
        or (filled and not _KEY.fullmatch(filled[0]))
        or (inner and not filled and not _comments(inner))
    ):
        return Block()
    entries, readable = _entries(inner)
    return Block(inner, entries, readable, end + 1)


def joined(base: Block, first: Side, second: Side, *, first_wins: bool, lists: bool = True) -> Properties:
    """Both sides' changes of the properties.

    Args:
        first_wins: whose value stays where both changed one.
        lists: both sides' items of a list are kept; else a list is a value like any other.
    """
    one, other = first.block, second.block
    if other.lines in (one.lines, base.lines):
        return Properties(one.lines)
    if one.lines == base.lines:
        return Properties(other.lines)
    if not (one.readable and other.readable):
        return _whole(base, first, second, first_wins=first_wins)
    merge = _Merge(base if base.readable else Block(), first, second, first_wins=first_wins, lists=lists)
    found = merge.joined()
    if _parses(one) and _parses(other) and not parses(found.lines or ()):
        # Properties that refer to each other (anchors): they stay together.
        return _whole(base, first, second, first_wins=first_wins)
    return found


def beyond(base: Block, winner: Block, loser: Block) -> list[str]:
    """What the loser set and neither the base nor the winner has; a value is kept whole."""
    if not (winner.readable and loser.readable):
        return [line for line in _new(set(base.lines or ()), loser) if line not in (winner.lines or ())]
    known = [(base.entries.get(key), winner.entries.get(key)) for key in loser.entries]
    return [
        line
        for text, others in zip(loser.entries.values(), known, strict=True)
        for line in (() if text in others else _lost(text, others[1] or ()))
    ]


def parses(lines: Sequence[str]) -> bool:
    """Whether YAML reads these properties, each key once."""
    try:
        node = yaml.compose("\n".join(lines), Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return False
    if node is None:
        return True
    return isinstance(node, yaml.MappingNode) and _is_once([key.value for key, _ in node.value])


def _parses(block: Block) -> bool:
    return parses(block.lines or ())


def _is_once(keys: Sequence[Any]) -> bool:
    return len({str(key) for key in keys}) == len(keys)


def _comments(lines: Sequence[str]) -> bool:
    return all(not line.strip() or line.lstrip().startswith("#") for line in lines)


def _entries(lines: Sequence[str]) -> tuple[dict[str, tuple[str, ...]], bool]:
    found: dict[str, list[str]] = {}
    waiting: list[str] = []
    key, readable = "", True
    for line in lines:
        match = _KEY.fullmatch(line)
        if match:
            key = match["key"].strip("\"'")
            readable &= key not in found
            found[key] = [*waiting, line]
            waiting = []
        elif not line.strip() or line.startswith("#"):
            waiting.append(line)
        else:
            readable &= bool(key) and line.startswith((" ", "\t", "-"))
            found.setdefault(key, []).extend([*waiting, line])
            waiting = []
    if waiting:
        # What stands below the last key belongs to none.
        found[""] = waiting
    return {name: tuple(text) for name, text in found.items()}, readable and _as_yaml_reads(lines, found)


def _as_yaml_reads(lines: Sequence[str], found: Mapping[str, Sequence[str]]) -> bool:
    """The keys are those that YAML finds, wherever it reads the block at all."""
    try:
        node = yaml.compose("\n".join(lines), Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return True
    if node is None:
        return not [key for key in found if key]
    if not isinstance(node, yaml.MappingNode):
        return False
    return sorted(str(key.value) for key, _ in node.value) == sorted(key for key in found if key)


def _whole(base: Block, first: Side, second: Side, *, first_wins: bool) -> Properties:
    """The winner's block as it stands; every line that the loser wrote is lost."""
    before = set(base.lines or ())
    lost = [_new(before, side.block) for side in (first, second)]
    if first_wins and lost[0] and set(lost[0]) <= second.kept:
        first_wins = False
    elif not first_wins and lost[1] and set(lost[1]) <= first.kept:
        first_wins = True
    winner = first.block if first_wins else second.block
    found = Properties(winner.lines, clashes=["---"])
    there = set(winner.lines or ())
    found.lost[first_wins].extend(line for line in lost[first_wins] if line not in there)
    return found


def _new(before: set[str], block: Block) -> list[str]:
    return [line for line in block.lines or () if line.strip() and line not in before]


class _Merge:
    def __init__(self, base: Block, first: Side, second: Side, *, first_wins: bool, lists: bool) -> None:
        self._base = base.entries
        self._first, self._second = first, second
        self._first_wins, self._lists = first_wins, lists
        self._found = Properties(None)

    def joined(self) -> Properties:
        one, other = self._first.block.entries, self._second.block.entries
        texts = {key: self._text(key) for key in order(list(self._base), list(one), list(other))}
        tail = texts.pop("", None)
        lines = [line for text in texts.values() for line in text or ()] + list(tail or ())
        lines = _comments_once(lines, self._first.block, self._second.block)
        stays = all(side.block.lines is not None for side in (self._first, self._second))
        self._found.lines = tuple(lines) if lines or stays else None
        return self._found

    def _text(self, key: str) -> tuple[str, ...] | None:
        base = self._base.get(key)
        one, other = self._first.block.entries.get(key), self._second.block.entries.get(key)
        if other in (one, base):
            return one
        if one == base:
            return other
        if one is None or other is None:
            return _surviving(one or other or (), base or ())
        return self._joined_text(key, base, one, other)

    def _joined_text(
        self, key: str, base: tuple[str, ...] | None, one: tuple[str, ...], other: tuple[str, ...]
    ) -> tuple[str, ...]:
        if not key or _same_value(one, other):
            # Comments, quotes, spaces: which of them stays must not depend on who merges.
            return _with_comments(base or (), one, other)
        if self._lists and (items := self._items(base, one, other)) is not None:
            self._found.rules.add(Rule.LIST)
            return items
        return self._winner(key, one, other)

    def _items(
        self, base: tuple[str, ...] | None, one: tuple[str, ...], other: tuple[str, ...]
    ) -> tuple[str, ...] | None:
        lists = [list_in(text) if text else List() for text in (base, one, other)]
        before, mine, theirs = lists
        if mine is None or theirs is None or not (mine.listed or theirs.listed or (before and before.listed)):
            return None
        return joined_list(before or List(), mine, theirs)

    def _winner(self, key: str, one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
        wins = self._first_wins
        if set(_filled(one)) <= self._second.kept:
            wins = False
        elif set(_filled(other)) <= self._first.kept:
            wins = True
        winner, loser = (one, other) if wins else (other, one)
        self._found.clashes.append(key)
        self._found.lost[wins].extend(_lost(loser, winner))
        return winner


def _comments_once(lines: Sequence[str], one: Block, other: Block) -> list[str]:
    """Without comments that stand above two keys because each side put another key below them."""
    mine, theirs = Counter(one.lines or ()), Counter(other.lines or ())
    left = mine | theirs
    found = []
    for line in lines:
        left[line] -= 1
        if left[line] >= 0 or not line.startswith("#"):
            found.append(line)
    return found


def _with_comments(base: tuple[str, ...], one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    """One value with the comments of both, but for those that one of them took out."""
    shorter, longer = sorted((one, other), key=lambda text: (len(text), text))
    missing = [line for line in shorter if _is_comment(line) and line not in longer and line not in base]
    stays = [line for line in longer if not (_is_comment(line) and line in base and line not in shorter)]
    return (*missing, *stays)


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")


def _surviving(text: tuple[str, ...], base: Sequence[str]) -> tuple[str, ...]:
    """An edit that the other side deleted: it stays, without comments that nobody wrote anew."""
    return tuple(line for line in text if not (line.startswith("#") and line in base))


def _lost(text: Sequence[str], winner: Sequence[str]) -> list[str]:
    """A value that gave way, whole, as it was typed; without blank lines around it and comments that stay."""
    lines = [line for line in text if not (line.startswith("#") and line in winner)]
    filled = [at for at, line in enumerate(lines) if line.strip()]
    return lines[filled[0] : filled[-1] + 1] if filled else []


def _filled(text: Sequence[str]) -> list[str]:
    return [line for line in text if line.strip()]


def _same_value(one: Sequence[str], other: Sequence[str]) -> bool:
    """Equal but for quotes, spaces and comments in lines of their own."""
    if [line for line in one if not line.startswith("#")] == [
        line for line in other if not line.startswith("#")
    ]:
        return True
    if any(" #" in line for line in (*one, *other)):
        return False
    try:
        return bool(
            yaml.load("\n".join(one), Loader=yaml.CBaseLoader)  # noqa: S506  # builds text only
            == yaml.load("\n".join(other), Loader=yaml.CBaseLoader)  # noqa: S506
        )
    except (yaml.YAMLError, ValueError, RecursionError):
        return False
