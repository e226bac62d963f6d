"""Two versions of one file, joined; the result is proven before anybody gets it."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import yaml

from vaultloop.vault.merge import frontmatter, ordinary
from vaultloop.vault.merge.audit import AuditError, audit
from vaultloop.vault.merge.blocks import blocks
from vaultloop.vault.merge.callout import SHORT, is_folded, title
from vaultloop.vault.merge.lines import changes, woven
from vaultloop.vault.merge.markers import mended
from vaultloop.vault.merge.text import Text, form, is_text, read
from vaultloop.vault.merge.version import Merged, Rule, Version


def merge_note(base: bytes | None, one: Version, other: Version, *, declaration: bool) -> Merged:
    """Join two versions of a note that parted at `base` (None: both made it).

    The order of the two does not matter: the result has the same bytes.

    Args:
        declaration: it lies under `agent/`, so nothing is unioned and nothing is folded into it.

    Returns:
        A result that the audit has accepted; where none is, the winner's version, with the loser's as `lost`.
    """
    if not declaration:
        return _without_markers(base, one, other)
    data = _unchanged(base, one, other)
    return Merged(data) if data is not None else _declared(_Pair.of(base, one, other))


def merge_text(base: bytes | None, one: Version, other: Version, path: str) -> Merged:
    """Join two versions of a file that is no note: all lines of both where no changes meet.

    Else, and where JSON or YAML could not be read any more, the winner stays and the loser is `lost`.
    """
    if (data := _unchanged(base, one, other)) is not None:
        return Merged(data)
    pair = _Pair.of(base, one, other)
    if base is None or any(_is_binary(data) for data in (base, one.data, other.data)):
        return _beside(pair)
    texts = [read(data) for data in (base, one.data, other.data)]
    lines = _clean(*texts)
    if lines is None:
        return _beside(pair)
    result = form(*texts).with_lines(lines).data
    reads = _READERS.get(PurePosixPath(path).suffix.lower(), _reads_anything)
    if (reads(one.data) and reads(other.data) and not reads(result)) or not _is_proven(pair, result):
        return _beside(pair)
    return Merged(result, _line_ends(*texts))


def _unchanged(base: bytes | None, one: Version, other: Version) -> bytes | None:
    """What there is nothing to join about."""
    if one.data in (base, other.data):
        return other.data
    return one.data if other.data == base else None


def _without_markers(base: bytes | None, one: Version, other: Version) -> Merged:
    """An ordinary note; markers that a version came with are gone before it is looked at."""
    clean = [mended(data) if data else None for data in (base, one.data, other.data)]
    if clean[0] is not None:
        base = clean[0]
    one, other = (
        side if data is None else replace(side, data=data)
        for side, data in zip((one, other), clean[1:], strict=True)
    )
    rules = frozenset({Rule.MARKERS} if clean[1] is not None or clean[2] is not None else ())
    if (data := _unchanged(base, one, other)) is not None:
        return Merged(data, rules)
    pair = _Pair.of(base, one, other)
    if not all(is_text(data) for data in (base or b"", one.data, other.data)):
        return _beside(pair)
    merged = _ordinary(pair)
    return replace(merged, rules=merged.rules | rules)


@dataclass(frozen=True, slots=True)
class _Pair:
    # Two versions, the earlier first: whatever both wrote stands in this order.
    base: bytes | None
    first: Version
    second: Version

    @classmethod
    def of(cls, base: bytes | None, one: Version, other: Version) -> "_Pair":
        first, second = sorted((one, other), key=lambda side: (side.writer.at.timestamp(), side.blob))
        return cls(base, first, second)

    @property
    def first_wins(self) -> bool:
        return self.first.wins_over(self.second)

    @property
    def is_firm(self) -> bool:
        """A human against an agent: whatever the agent's version says of what lost before, the human wins."""
        return self.first.writer.author_class is not self.second.writer.author_class

    @property
    def winner(self) -> Version:
        return self.first if self.first_wins else self.second

    @property
    def loser(self) -> Version:
        return self.second if self.first_wins else self.first


def _beside(pair: _Pair) -> Merged:
    return Merged(pair.winner.data, frozenset({Rule.COPY}), lost=pair.loser.data)


def _line_ends(base: Text | None, one: Text, other: Text) -> frozenset[Rule]:
    return frozenset({Rule.LINE_ENDS} if one.ends != other.ends else ())


def _ordinary(pair: _Pair) -> Merged:
    """The finest merge that the audit accepts; the last of them keeps all of the loser's new lines folded."""
    for side, against in ((pair.first, pair.second), (pair.second, pair.first)):
        sees = not pair.is_firm or side is pair.winner
        if sees and _has_seen(side, against) and _is_proven(pair, side.data):
            return Merged(side.data)
    first, second = (ordinary.Side(side.data, title(side)) for side in (pair.first, pair.second))
    data, rules = ordinary.joined(pair.base, first, second, first_wins=pair.first_wins, firmly=pair.is_firm)
    if not _is_proven(pair, data):
        sides = (first, second) if pair.first_wins else (second, first)
        data, rules = ordinary.set_beneath(pair.base, *sides)
        if not _is_proven(pair, data, whole=True):
            return _beside(pair)
    return Merged(data, frozenset(rules))


def _is_proven(pair: _Pair, data: bytes, *, whole: bool = False) -> bool:
    try:
        audit(pair.base, pair.first.data, pair.second.data, data, whole=whole)
    except AuditError:
        return False
    return True


def _has_seen(side: Version, against: Version) -> bool:
    """Whether a callout of this version names the other one: it is the result of joining just these."""
    mark = f", {against.blob[:SHORT]}".encode()
    if mark not in side.data:
        return False
    heads = (part.split("\n", 1)[0].encode() for part in blocks(read(side.data).lines) if is_folded(part))
    return any(head.endswith(mark) for head in heads)


def _declared(pair: _Pair) -> Merged:
    """A declaration: changes of different properties, or here of properties and there of text."""
    found = _declaration(pair)
    if found is not None:
        return Merged(found)
    if pair.is_firm:
        # Nobody has to be asked whether the human's version stays.
        return Merged(pair.winner.data, frozenset({Rule.HELD}))
    data = pair.winner.data if pair.base is None else pair.base
    return Merged(data, frozenset({Rule.HELD}), held=True)


def _declaration(pair: _Pair) -> bytes | None:
    versions = (pair.base, pair.first.data, pair.second.data)
    if pair.base is None or not all(is_text(data) for data in versions if data is not None):
        return None
    texts = [read(data or b"") for data in versions]
    heads = [frontmatter.block_in(text.lines) for text in texts]
    sides = (frontmatter.Side(block) for block in heads[1:])
    properties = frontmatter.joined(heads[0], *sides, first_wins=pair.first_wins, lists=False)
    if properties.clashes:
        return None
    bodies = [text.lines[block.size :] for text, block in zip(texts, heads, strict=True)]
    if bodies[1] != bodies[2] and bodies[0] not in bodies[1:]:
        return None
    lines = bodies[1] if bodies[2] == bodies[0] else bodies[2]
    if properties.lines is not None:
        lines = ("---", *properties.lines, "---", *lines)
    return form(texts[0], texts[1], texts[2]).with_lines(lines).data


def _clean(base: Text, one: Text, other: Text) -> list[str] | None:
    """The lines of both, if no change of one is next to a change of the other."""
    mine, theirs = changes(base.lines, one.lines), changes(base.lines, other.lines)
    for change in mine:
        for against in theirs:
            if change != against and change.start <= against.end and against.start <= change.end:
                return None
    return woven(base.lines, one.lines, other.lines)


def _is_binary(data: bytes) -> bool:
    return b"\0" in data or not is_text(data)


def _reads_json(data: bytes) -> bool:
    try:
        json.loads(data.decode("utf-8-sig"), object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return False
    return True


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found


def _reads_yaml(data: bytes) -> bool:
    try:
        node = yaml.compose(data.decode("utf-8-sig"), Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return False
    return _keys_stand_once(node)


def _keys_stand_once(node: yaml.Node | None) -> bool:
    if isinstance(node, yaml.MappingNode):
        keys = [str(key.value) for key, _ in node.value]
        return len(set(keys)) == len(keys) and all(_keys_stand_once(value) for _, value in node.value)
    if isinstance(node, yaml.SequenceNode):
        return all(_keys_stand_once(item) for item in node.value)
    return True


def _reads_anything(data: bytes) -> bool:
    del data
    return True


_READERS: dict[str, Callable[[bytes], bool]] = {
    ".json": _reads_json,
    ".canvas": _reads_json,
    ".base": _reads_yaml,
    ".yaml": _reads_yaml,
    ".yml": _reads_yaml,
}
