"""The proof of a merge, in its own words: it counts lines and knows nothing of how they were joined.

Every line that either side wrote, and every line that both left alone, is in the result, in a callout of it,
or in what is put beside it; a line that one side took out and the other left alone is not there any more;
and there is no line that nobody wrote. Blank lines are not counted.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from vaultloop.vault.merge.text import read

_FENCE = re.compile(r"---[ \t]*")
_FOLD = re.compile(r"(?:> ?)+\[!conflict\]- .*")
_TASK = re.compile(r"\s*(?:>\s*)*(?:[-*+]|\d+[.)])\s+\[.\](?:\s.*)?")
_MARKER = re.compile(r"(?:<{7}|>{7}|\|{7})(?: .*)?")
# Signs of quotation that are looked behind.
_DEEPEST = 40
# Tasks compared with one that is missing.
_MOST_TASKS = 40


class AuditError(Exception):
    """A merge would lose a line, or bring one back: a fault of ours, and nothing was moved."""


@dataclass(frozen=True, slots=True)
class _Note:
    # The lines of one version, counted; apart from them what callouts of conflicts keep, and properties.
    lines: Counter[str]
    properties: Mapping[str, Any] | None
    kept: Counter[str]
    # What the callouts keep of values of properties, as YAML reads them.
    values: frozenset[str]
    folds: int
    # The lines of each table, quote and fence.
    wholes: Sequence[frozenset[str]]


def audit(
    base: bytes | None,
    one: bytes,
    other: bytes,
    result: bytes,
    *,
    lost: bytes | None = None,
    whole: bool = False,
) -> None:
    """Prove that `result`, with `lost` beside it, is a merge of `one` and `other` that loses nothing.

    Args:
        whole: one version stands whole in the result, also what the other side took out of it.

    Raises:
        AuditError: with the first line that is missing, came back, or was made up.
    """
    texts = [read(data).lines for data in (base or b"", one, other, result)]
    sides = [_split(lines) for lines in texts]
    # Where YAML cannot read the properties of one of them, they are lines like others.
    apart = all(properties is not None for properties, _ in sides)
    if not apart:
        sides = [((), lines) for lines in texts]
    before, mine, theirs, joined = (_noted(properties, lines, apart=apart) for properties, lines in sides)
    beside = Counter(_filled(read(lost or b"").lines))
    _Lines(before, mine, theirs, joined, beside).check(whole=whole)
    if apart:
        _Properties(before, mine, theirs, joined, beside).check(whole=whole)


def _noted(properties: Sequence[str] | None, lines: Sequence[str], *, apart: bool) -> _Note:
    block = properties or ()
    values = _values(block) if apart else None
    body, folds = _taken_apart(lines)
    counted = [*_comments(block, values), *body] if apart else [*block, *body]
    kept = Counter(_filled(_unquoted(folds)))
    heads = sum(1 for line in folds if _FOLD.fullmatch(line))
    told = frozenset(leaf for text in _contents(folds) for leaf in _leaves(_values(text)))
    return _Note(Counter(_filled(counted)), values, kept, told, heads, list(_wholes(body)))


def _comments(lines: Sequence[str], values: Mapping[str, Any] | None) -> list[str]:
    """Comments among properties; a line of a text of several lines is none, whatever it begins with."""
    found = [line for line in lines if line.lstrip().startswith("#")]
    text = "\n".join(_leaves(values)) if found else ""
    return [line for line in found if line.startswith("#") or line.strip() not in text]


def _filled(lines: Iterable[str]) -> list[str]:
    return [line for line in lines if line.strip()]


def _split(lines: Sequence[str]) -> tuple[Sequence[str] | None, Sequence[str]]:
    """Properties and body; no properties at all (None) where YAML does not read them as such."""
    if not lines or not _FENCE.fullmatch(lines[0]):
        return (), lines
    end = next((at for at in range(1, len(lines)) if _FENCE.fullmatch(lines[at])), 0)
    if not end:
        return (), lines
    values = _values(lines[1:end])
    return (None, lines) if values is None else (lines[1:end], lines[end + 1 :])


def _values(lines: Sequence[str]) -> Mapping[str, Any] | None:
    try:
        # The last line is ended like the others: a text of several lines is the same wherever it stands.
        values = yaml.load("\n".join([*lines, ""]), Loader=yaml.CBaseLoader)  # noqa: S506  # builds text only
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    if values is None or values == "":
        return {}
    return values if isinstance(values, dict) else None


def _taken_apart(lines: Sequence[str]) -> tuple[list[str], list[str]]:
    """The lines of a body, those in callouts of conflicts apart."""
    body: list[str] = []
    folds: list[str] = []
    inside = False
    for line in lines:
        inside = line.startswith(">") and (inside or _FOLD.fullmatch(line) is not None)
        (folds if inside else body).append(line)
    return body, folds


def _contents(lines: Sequence[str]) -> Iterable[Sequence[str]]:
    """What each callout of a conflict keeps, without the signs of quotation."""
    found: list[str] = []
    for line in lines:
        if _FOLD.fullmatch(line):
            yield found
            found = []
        else:
            found.append(line[2:] if line.startswith("> ") else line[1:])
    yield found


def _unquoted(lines: Sequence[str]) -> Iterable[str]:
    """What stands in callouts of conflicts: without the signs of quotation, at each depth, and no titles."""
    for line in lines:
        text = line
        for _ in range(0 if _FOLD.fullmatch(line) else _DEEPEST):
            if not text.startswith(">"):
                break
            text = text[2:] if text.startswith("> ") else text[1:]
            yield text


def _wholes(lines: Sequence[str]) -> Iterable[frozenset[str]]:
    """Lines that make no sense without each other: of a table, a quote, a fence."""
    found: set[str] = set()
    mark = ""
    for line in lines:
        stripped = line.strip()
        closes = bool(mark) and stripped.startswith(mark) and set(stripped) == {mark[0]}
        opens = "" if mark else next((sign for sign in ("```", "~~~") if stripped.startswith(sign)), "")
        if mark or opens or stripped.startswith((">", "|")):
            found.add(line)
        if (closes or not (mark or opens or stripped.startswith((">", "|")))) and found:
            yield frozenset(found)
            found = set()
        mark = "" if closes else mark or opens
    yield frozenset(found)


class _Lines:
    def __init__(self, base: _Note, one: _Note, other: _Note, result: _Note, beside: Counter[str]) -> None:
        self._base, self._one, self._other = base.lines, one.lines, other.lines
        self._result = result.lines
        self._kept = result.kept + beside
        self._folded = (one.kept - base.kept) | (other.kept - base.kept)
        written = {**self._base, **self._one, **self._other}
        self._made = [line for line in self._result if line not in written]
        self._words = {word for line in written for word in line.split()} if self._made else set()
        # Tasks that the base has not, and lines of the base that are gone from both.
        self._tasks = _Index(
            line for line in self._result if line not in self._base and _TASK.fullmatch(line)
        )
        self._gone = _Index(line for line in self._base if line not in self._one and line not in self._other)
        self._folds = result.folds > base.folds or bool(beside)
        # A table, quote or fence with a line that somebody wrote stands there whole.
        news = {line for line in self._result if self._result[line] and line not in self._base}
        self._whole = frozenset(line for lines in result.wholes if lines & news for line in lines)

    def check(self, *, whole: bool) -> None:
        for line in self._folded:
            if not self._kept[line] and not self._result[line]:
                raise AuditError(f"The merge would lose the line `{line}` of a callout.")
        for line in {**self._base, **self._one, **self._other}:
            self._is_there(line)
            if not whole:
                self._stays_out(line)
        for line in self._made:
            self._was_written(line)

    def _is_there(self, line: str) -> None:
        base = self._base[line]
        added = max(self._one[line], self._other[line]) - base
        removed = max(0, base - self._one[line]) + max(0, base - self._other[line])
        # A line that both wrote may stand there once for both. Of a line that the base has too, nobody can
        # say whether the other side took out a copy and put in another.
        wanted = added if added > 0 else max(0, base - removed)
        if self._result[line] >= wanted:
            return
        if self._result[line] + self._kept[line] >= wanted or self._is_joined(line):
            return
        raise AuditError(f"The merge would lose the line `{line}`.")

    def _stays_out(self, line: str) -> None:
        if line in self._whole:
            return
        base, mine, theirs = self._base[line], self._one[line], self._other[line]
        if self._result[line] > base + max(0, mine - base) + max(0, theirs - base):
            raise AuditError(f"The merge would double the line `{line}`.")
        if mine > base or theirs > base or (mine == base == theirs):
            return
        # Where text was folded, the winner's paragraph stands as it was; and of a line that stood there
        # more than once, nobody can say which one was taken out.
        most = max(mine, theirs) if self._folds or base > 1 else min(mine, theirs)
        if self._result[line] > most:
            raise AuditError(f"The merge would bring back the deleted line `{line}`.")

    def _was_written(self, line: str) -> None:
        if _MARKER.fullmatch(line):
            raise AuditError(f"The merge would leave the conflict marker `{line}`.")
        if line.startswith(">") or self._is_made_of(line):
            return
        raise AuditError(f"The merge would make up the line `{line}`.")

    def _is_made_of(self, line: str) -> bool:
        """A task with words and ticks of the three versions, and no others."""
        return _TASK.fullmatch(line) is not None and set(line.split()) <= self._words

    def _is_joined(self, line: str) -> bool:
        """A task whose new words all stand in a joined task, the rest having been the base's."""
        if not _TASK.fullmatch(line):
            return False
        words = Counter(line.split())
        for made in self._tasks.like(words):
            missing = words - made
            for old in self._gone.like(words) if missing != words else ():
                if missing <= old and (words - old) <= made:
                    return True
        return False


class _Index:
    """Lines found by their words, the rarest first."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._by_word: dict[str, list[str]] = {}
        for line in lines:
            for word in set(line.split()):
                self._by_word.setdefault(word, []).append(line)

    def like(self, words: Iterable[str]) -> Iterator[Counter[str]]:
        seen: set[str] = set()
        for lines in sorted((self._by_word.get(word, []) for word in words), key=len):
            for line in lines[:_MOST_TASKS]:
                if line not in seen and len(seen) < _MOST_TASKS:
                    seen.add(line)
                    yield Counter(line.split())


class _Properties:
    def __init__(self, base: _Note, one: _Note, other: _Note, result: _Note, beside: Counter[str]) -> None:
        self._base, self._result = base.properties or {}, result.properties or {}
        self._one, self._other = one.properties or {}, other.properties or {}
        self._kept = "\n".join([*result.kept, *beside])
        self._values = result.values
        self._folds = result.folds > base.folds or bool(beside)

    def check(self, *, whole: bool) -> None:
        for key in {**self._base, **self._one, **self._other}:
            base, mine, theirs = self._base.get(key), self._one.get(key), self._other.get(key)
            self._is_there(key, base, mine)
            self._is_there(key, base, theirs)
            if not whole:
                self._stays(key, base, mine, theirs)
        for key in self._result:
            if key not in self._one and key not in self._other:
                raise AuditError(f"The merge would bring back the property `{key}`.")

    def _is_there(self, key: str, base: Any, side: Any) -> None:
        """What one side set stands there or in a callout."""
        result = self._result.get(key)
        if side is None or side in (base, result):
            return
        there, before = _leaves(result), _leaves(base)
        for leaf in _leaves(side):
            kept = leaf in self._kept or leaf in self._values
            if leaf not in there and leaf not in before and not kept:
                raise AuditError(f"The merge would lose `{leaf}` of the property `{key}`.")
        if not isinstance(side, list) and not isinstance(result, list) and key not in self._kept:
            raise AuditError(f"The merge would lose the property `{key}`.")

    def _stays(self, key: str, base: Any, mine: Any, theirs: Any) -> None:
        """What one side changed and the other left alone is as it was changed; so is what both left alone."""
        result = self._result.get(key)
        expected = theirs if mine == base else mine
        if base in (mine, theirs) and result != expected:
            raise AuditError(f"The merge would not take the change of the property `{key}`.")
        if self._folds and result in (mine, theirs):
            # A list with comments in it, say: the winner's stands as it was, the other is folded.
            return
        if isinstance(result, list) and all(isinstance(value, list) for value in (base, mine, theirs)):
            back = [item for item in result if item in base and not (item in mine and item in theirs)]
            if back:
                raise AuditError(f"The merge would bring `{back[0]}` back into the property `{key}`.")


def _leaves(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [leaf for item in value.items() for part in item for leaf in _leaves(part)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in _leaves(item)]
    return [str(value)] if value not in (None, "") else []
