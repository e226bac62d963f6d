"""Two versions of one file, joined; the result is proven before anybody gets it."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import yaml

from vaultloop.vault.merge import body, frontmatter
from vaultloop.vault.merge.audit import AuditError, audit
from vaultloop.vault.merge.blocks import blocks, is_blank, lines_of
from vaultloop.vault.merge.callout import folded, is_folded, kept, title, with_folds
from vaultloop.vault.merge.lines import changes, woven
from vaultloop.vault.merge.text import Text, form, is_text, read
from vaultloop.vault.merge.version import Merged, Rule, Version
from vaultloop.vault.signing import AuthorClass


def merge_note(base: bytes | None, one: Version, other: Version, *, declaration: bool) -> Merged:
    """Join two versions of a note that parted at `base` (None: both made it).

    The order of the two does not matter: the result has the same bytes.

    Args:
        declaration: it lies under `agent/`, so nothing is unioned and nothing is folded into it.

    Raises:
        AuditError: a line would be lost: a fault of ours.
    """
    if (data := _unchanged(base, one, other)) is not None:
        return Merged(data)
    pair = _Pair.of(base, one, other)
    if declaration:
        return _declared(pair)
    if not all(is_text(data) for data in (base or b"", one.data, other.data)):
        return _beside(pair)
    return _proven(pair)


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
    if reads(one.data) and reads(other.data) and not reads(result):
        return _beside(pair)
    return Merged(result, _line_ends(*texts))


def _unchanged(base: bytes | None, one: Version, other: Version) -> bytes | None:
    """What there is nothing to join about."""
    if one.data in (base, other.data):
        return other.data
    return one.data if other.data == base else None


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
    def winner(self) -> Version:
        return self.first if self.first_wins else self.second

    @property
    def loser(self) -> Version:
        return self.second if self.first_wins else self.first


def _beside(pair: _Pair) -> Merged:
    return Merged(pair.winner.data, frozenset({Rule.COPY}), lost=pair.loser.data)


def _line_ends(base: Text | None, one: Text, other: Text) -> frozenset[Rule]:
    return frozenset({Rule.LINE_ENDS} if one.ends != other.ends else ())


def _proven(pair: _Pair) -> Merged:
    """The finest merge that the audit accepts; the last of them keeps all of the loser's new lines folded."""
    for merge in _merges(pair):
        found = merge()
        try:
            audit(pair.base, pair.first.data, pair.second.data, found.data)
        except AuditError:
            continue
        return found
    found = _set_beneath(pair)
    audit(pair.base, pair.first.data, pair.second.data, found.data, whole=True)
    return found


def _merges(pair: _Pair) -> Iterator[Callable[[], Merged]]:
    for side, against in ((pair.first, pair.second), (pair.second, pair.first)):
        if _has_seen(side, against):
            yield lambda side=side: Merged(side.data)  # type: ignore[misc]
    yield lambda: _joined(pair)


def _has_seen(side: Version, against: Version) -> bool:
    """Whether a callout of this version names the other one: it is the result of joining just these."""
    mark = f", {against.blob[:6]}"
    return any(
        is_folded(part) and part.split("\n", 1)[0].endswith(mark) for part in blocks(read(side.data).lines)
    )


@dataclass(frozen=True, slots=True)
class _Note:
    text: Text
    block: frontmatter.Block
    lines: Sequence[str]
    kept: frozenset[str]

    @classmethod
    def of(cls, data: bytes) -> "_Note":
        text = read(data)
        block = frontmatter.block_in(text.lines)
        lines = text.lines[block.size :]
        return cls(text, block, lines, kept(blocks(lines)))


def _joined(pair: _Pair) -> Merged:
    """Properties key by key, the body by sections and lines, what lost beneath what won."""
    base = _Note.of(pair.base or b"")
    first, second = _Note.of(pair.first.data), _Note.of(pair.second.data)
    properties = frontmatter.joined(
        base.block,
        frontmatter.Side(first.block, first.kept),
        frontmatter.Side(second.block, second.kept),
        first_wins=pair.first_wins,
    )
    text = body.joined(
        base.lines,
        body.Side(first.lines, title(pair.first), first.kept),
        body.Side(second.lines, title(pair.second), second.kept),
        first_wins=pair.first_wins,
    )
    parts = with_folds(text.parts, text.folds)
    rules = properties.rules | text.rules
    if properties.lost:
        fold = folded(title(pair.loser), properties.lost)
        parts = with_folds(parts, [(_last(parts), fold)])
        rules |= {Rule.CALLOUT}
    lines = _whole(properties.lines, lines_of(parts))
    texts = (base.text if pair.base is not None else None, first.text, second.text)
    return Merged(form(*texts).with_lines(lines).data, frozenset(rules | _line_ends(*texts)))


def _last(parts: Sequence[str]) -> int:
    """The index of the last block that is not blank; -1 for none."""
    return next((at for at in range(len(parts) - 1, -1, -1) if not is_blank(parts[at])), -1)


def _whole(properties: Sequence[str] | None, lines: Sequence[str]) -> list[str]:
    return list(lines) if properties is None else ["---", *properties, "---", *lines]


def _set_beneath(pair: _Pair) -> Merged:
    """The winner's note, and beneath it every line that only the loser has: no line can get lost in this."""
    winner, loser = read(pair.winner.data), read(pair.loser.data)
    before, there = Counter(read(pair.base or b"").lines), Counter(winner.lines)
    lost = []
    for line in loser.lines:
        before[line] -= 1
        there[line] -= 1
        if line.strip() and before[line] < 0 and there[line] < 0:
            lost.append(line)
    block = frontmatter.block_in(winner.lines)
    parts = blocks(winner.lines[block.size :])
    parts = with_folds(parts, [(_last(parts), folded(title(pair.loser), lost))] if lost else [])
    lines = [*winner.lines[: block.size], *lines_of(parts)]
    texts = (read(pair.base) if pair.base is not None else None, read(pair.first.data), read(pair.second.data))
    return Merged(form(*texts).with_lines(lines).data, frozenset({Rule.CALLOUT}))


def _declared(pair: _Pair) -> Merged:
    """A declaration: changes of different properties, or of properties here and text there; else its owner decides."""
    found = _declaration(pair)
    if found is not None:
        return Merged(found)
    writers = (pair.first.writer.author_class, pair.second.writer.author_class)
    if writers[0] is not writers[1]:
        # Nobody has to be asked whether the human's version stays.
        return Merged(pair.winner.data, frozenset({Rule.HELD}))
    data = pair.winner.data if pair.base is None else pair.base
    return Merged(data, frozenset({Rule.HELD}), held=True)


def _declaration(pair: _Pair) -> bytes | None:
    versions = (pair.base, pair.first.data, pair.second.data)
    if pair.base is None or not all(is_text(data) for data in versions if data is not None):
        return None
    base, first, second = (_Note.of(data or b"") for data in versions)
    properties = frontmatter.joined(
        base.block,
        frontmatter.Side(first.block),
        frontmatter.Side(second.block),
        first_wins=pair.first_wins,
        lists=False,
    )
    if properties.clashes or properties.lost:
        return None
    if first.lines == second.lines or second.lines == base.lines:
        lines = first.lines
    elif first.lines == base.lines:
        lines = second.lines
    else:
        return None
    return form(base.text, first.text, second.text).with_lines(_whole(properties.lines, lines)).data


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
