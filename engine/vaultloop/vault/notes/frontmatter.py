"""A note taken apart: its properties, each with its line and column, and its body.

Strict where strictness protects (duplicate keys, anchors, tags), lenient about what people type
(`leniency.py`). Every value stays the text that was typed: `on`, `no`, `1:30`, `012` and `1e3` mean what the
field that reads them says, not what YAML 1.1 would make of them. Notes are only read here: whoever changes
one edits spans of its text.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Any, TypeAlias, cast

import frontmatter
import yaml
from frontmatter.default_handlers import BaseHandler

from vaultloop.model.problem import Fix, Problem, Severity
from vaultloop.vault.notes.keys import GRANTING_KINDS
from vaultloop.vault.notes.leniency import ODD_BREAKS, Mistake, Readable, looks_like_key, quoted, readable

Value: TypeAlias = "str | list[Value] | dict[str, Value] | None"

# Obsidian writes one level; plugins write a few. What is deeper was not made by a person.
DEEPEST = 12

# Characters; properties that people write take a few hundred.
LONGEST_FRONTMATTER = 64 * 1024

# Lines at the top of a note in which a frontmatter that is not one is looked for.
_HEAD = 12

# The last code point in planes for private use, whose neighbours below have no meaning either.
_LAST_UNASSIGNED = 0x10FFFD

_FENCE = re.compile(r"---[ \t]*\r?")
# What autocorrection on phones makes of three hyphens.
_FENCE_LOOK_ALIKE = re.compile(r"\s*[-\u2010-\u2015\u2212]{1,6}\s*")
# What a line of a frontmatter may look like, and prose seldom does.
_LIKE_A_PROPERTY = re.compile(r"\s*(?:-\s|[#\[{]|[\"']?[\w-]+[\"']?\s*[:=]|-{2,})")
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_NOT_YAML = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_KIND = re.compile(
    r"[^\S\n]*(?:(?i:kind)[^\S\n]*[:=][^\S\n]*|kind[ \t]+(?=[a-z-]+\s*\Z))[\"']?(?P<kind>[^\s\"'#]+)"
)


@dataclass(frozen=True, slots=True)
class Span:
    """Part of one line, counted from 1; `end` is the column after it, None where it goes on below."""

    line: int
    column: int
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Property:
    """One key of the frontmatter.

    Attributes:
        value: text as typed, None for an empty one, a list (without its empty items), or nested keys.
        place: of the key. `span`: of the value. `items`: of each item of a list.
    """

    key: str
    value: Value
    place: Span
    span: Span
    items: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class Note:
    """A note as values.

    Attributes:
        properties: empty without frontmatter, and where it could not be read.
        body: the text below the frontmatter, exactly; all of the note where there is no frontmatter.
        body_line: the line on which `body` begins, from 1.
        end_line: the line of the closing fence; 0 without frontmatter.
        problems: what is wrong with the frontmatter as such.
        kind_typed: what stands after `kind:`, also where the frontmatter could not be read.
    """

    properties: Mapping[str, Property]
    body: str
    body_line: int = 1
    end_line: int = 0
    problems: tuple[Problem, ...] = ()
    kind_typed: str | None = None


def parse(path: str, text: str) -> Note:
    """Take the note at `path` apart. Never raises: what is wrong is in the result."""
    text = text.removeprefix("\ufeff")
    fences = _fences(text)
    if fences is None:
        told, kind = _look_alike(path, text)
        return Note({}, text, problems=told, kind_typed=kind)
    handler = _Handler(path, fences)
    properties, _ = frontmatter.parse(text, handler=handler)
    return Note(
        properties=cast("dict[str, Property]", properties),
        body=fences.body,
        body_line=fences.closing + 2,
        end_line=fences.closing + 1,
        problems=tuple(handler.problems),
        kind_typed=_kind_typed(fences.lines),
    )


@dataclass(frozen=True, slots=True)
class _Fences:
    # Lines between the fences, the index of the closing one, and whether it is really there.
    lines: Sequence[str]
    closing: int
    closed: bool
    body: str


def _fences(text: str) -> _Fences | None:
    """Where the frontmatter is; None for a note that has none, or begins with a rule."""
    if not text.startswith("---"):
        return None
    lines = text.split("\n")
    if not _FENCE.fullmatch(lines[0]):
        return None
    for at, line in enumerate(lines[1:], start=1):
        if _FENCE.fullmatch(line):
            found = _Fences(lines[1:at], at, True, "\n".join(lines[at + 1 :]))
            return found if _is_frontmatter(found.lines) else None
    end = _end_of_properties(lines)
    if end == 1:
        return None
    return _Fences(lines[1:end], end - 1, False, "\n".join(lines[end:]))


def _is_frontmatter(lines: Sequence[str]) -> bool:
    """Properties stand between the fences, rather than prose between two rules."""
    filled = [line for line in lines if line.strip()]
    first = next((line for line in filled if not line.lstrip().startswith("#")), None)
    if first is None:
        return not filled
    return looks_like_key(first.lstrip()) or _kind_typed(lines) is not None


def _end_of_properties(lines: Sequence[str]) -> int:
    """Without a closing fence: the index of the first line that cannot be a property any more."""
    if len(lines) < 2 or not re.match(r"[\w-]+:(\s|$)", lines[1]):
        return 1
    for at, line in enumerate(lines[1:], start=1):
        if not (looks_like_key(line) or re.match(r"\s*-\s|\s+\S|#\s", line)):
            return at
    return len(lines)


def _kind_typed(lines: Sequence[str]) -> str | None:
    return next((found["kind"] for line in lines if (found := _KIND.match(line))), None)


def _look_alike(path: str, text: str) -> tuple[tuple[Problem, ...], str | None]:
    """What a note without frontmatter probably should have: told, with the kind that it names there."""
    lines = text.split("\n", _HEAD)[:_HEAD]
    first = lines[0]
    fix = None
    if _FENCE.fullmatch(first) and (kind := _kind_typed(lines[1:2])):
        return (_unfinished(path, lines[1].rstrip("\r")),), kind
    if _FENCE_LOOK_ALIKE.fullmatch(first) and (kind := _kind_typed(lines[1:2])):
        message = f"`{first.strip()}` does not begin a frontmatter, so this note declares nothing."
        fix = Fix(1, first.rstrip("\r"), "---")
        cure = fix.cure
    elif (at := _first_fence(lines)) and (kind := _kind_typed(lines[at + 1 : at + 2])):
        message = "There is something before the frontmatter, so this note declares nothing."
        above = "".join(lines[:at]).strip()
        cure = (
            "Move what stands above `---` below the frontmatter."
            if above
            else "Delete the empty lines above `---`."
        )
    elif kind := _kind_typed(list(takewhile(looks_like_key, lines))):
        message = "The line `---` above these properties is missing, so this note declares nothing."
        cure = "Put the line `---` above this line, and one below the last property."
    else:
        return (), None
    return (Problem(path, 1, 1, Severity.WARNING, "no-frontmatter", message, cure, fix),), kind


def _unfinished(path: str, line: str) -> Problem:
    """A frontmatter that is not closed, and whose first line is no property."""
    message = "No line `---` closes this frontmatter, and this line is not `key: value`: it declares nothing."
    key, kind = line.strip()[:4].lower(), _KIND.match(line)
    fix = Fix(2, line, f"{key}: {kind['kind']}") if kind else None
    cure = fix.cure if fix else "Write `key: value`."
    return Problem(path, 2, 1, Severity.WARNING, "no-frontmatter", message, cure, fix)


def _first_fence(lines: Sequence[str]) -> int:
    return next((at for at, line in enumerate(lines) if _FENCE.fullmatch(line)), 0)


class _Handler(BaseHandler):
    """python-frontmatter's way in: splits where we found the fences, loads without losing a line number."""

    FM_BOUNDARY = re.compile(r"^---[ \t]*$", re.MULTILINE)

    def __init__(self, path: str, fences: _Fences) -> None:
        super().__init__()
        self._path = path
        self._fences = fences
        self.problems: list[Problem] = []

    def split(self, text: str) -> tuple[str, str]:
        del text  # stripped by the library; the exact one was split already
        return "\n".join(self._fences.lines), self._fences.body

    def load(self, fm: str) -> dict[str, Any]:
        if len(fm) > LONGEST_FRONTMATTER:
            message = f"The frontmatter is longer than {LONGEST_FRONTMATTER // 1024} KiB and was not read."
            self._problem(1, 1, "too-large", message, "Move text below the closing `---`.")
            return {}
        if not self._fences.closed:
            self._unclosed()
        if found := _NOT_YAML.search(fm):
            self._unprintable(fm, found)
            return {}
        prepared = readable(fm.split("\n"))
        self.problems += [self._told(mistake) for mistake in prepared.mistakes]
        tree = _Tree(prepared)
        try:
            properties = tree.properties()
        except yaml.MarkedYAMLError as error:
            if not prepared.mistakes:
                self._not_yaml(error, fm.split("\n"), prepared)
            return {}
        self.problems += [self._told(mistake) for mistake in tree.mistakes]
        return properties

    def _problem(
        self, line: int, column: int, code: str, message: str, cure: str = "", *, fix: Fix | None = None
    ) -> None:
        cure = cure or (fix.cure if fix else "")
        self.problems.append(Problem(self._path, line, column, Severity.ERROR, code, message, cure, fix))

    def _told(self, mistake: Mistake) -> Problem:
        line, column = mistake.line + 2, mistake.column + 1
        fix = None
        if mistake.instead is not None:
            fix = Fix(line, self._typed(mistake.line), mistake.instead, mistake.safe)
        cure = fix.cure if fix else mistake.cure
        place = (self._path, line, column)
        return Problem(*place, Severity.ERROR, mistake.code, mistake.message, cure, fix)

    def _typed(self, line: int) -> str:
        """A line between the fences, from 0, as it stands in the note."""
        return self._fences.lines[line].rstrip("\r")

    def _unclosed(self) -> None:
        line = self._fences.closing + 1
        fix = Fix(line, None, "---", safe=self._ends_beyond_doubt())
        message, cure = "The frontmatter is not closed.", "Add the line `---` below this line."
        self._problem(line, 1, "unclosed-frontmatter", message, cure, fix=fix)

    def _ends_beyond_doubt(self) -> bool:
        """Whether the properties end where they seem to: nothing below could be one that is left out then."""
        below = self._fences.body.split("\n")
        if below[0].strip() or any(_LIKE_A_PROPERTY.match(line) for line in below):
            return False
        kind = _kind_typed(self._fences.lines)
        return kind is not None and kind.lower() not in GRANTING_KINDS

    def _unprintable(self, fm: str, found: re.Match[str]) -> None:
        before = fm[: found.start()]
        line, column = before.count("\n") + 2, found.start() - (before.rfind("\n") + 1) + 1
        message = f"There is an invisible control character (U+{ord(found[0]):04X}) in this line."
        typed = self._typed(line - 2)
        fix = Fix(line, typed, _NOT_YAML.sub("", typed), safe=True)
        self._problem(line, column, "control-character", message, fix=fix)

    def _not_yaml(self, error: yaml.MarkedYAMLError, raw: Sequence[str], prepared: Readable) -> None:
        mark = error.problem_mark or error.context_mark
        line = min(mark.line, len(raw) - 1) if mark else 0
        column = prepared.column(line, mark.column) if mark and mark.line == line else 0
        message = f"This is not valid YAML: {error.problem or error.context}."
        if fix := self._in_quotes(line):
            self._problem(line + 2, column + 1, "bad-yaml", message, fix=fix)
            return
        cure = "Check the spaces before this line and the one above:"
        cure += " items of a list stand exactly below each other."
        self._problem(line + 2, column + 1, "bad-yaml", message, cure)

    def _in_quotes(self, line: int) -> Fix | None:
        """The line at index `line` with its value in quotes, if it is a key with a value."""
        typed = self._typed(line)
        key, colon, value = typed.partition(": ")
        if not (colon and value.strip() and looks_like_key(typed)):
            return None
        text = value.strip().strip("\"'")
        fixed = f"{key}: {quoted(text)}"
        return None if fixed == typed else Fix(line + 2, typed, fixed)


@dataclass(slots=True)
class _Tree:
    """The parser's events made into properties, with the places they came from."""

    prepared: Readable
    mistakes: list[Mistake] = field(default_factory=list)
    _events: Iterator[Any] = field(init=False)
    # What stands for the odd breaks, and back.
    _typed: Mapping[int, str] = field(default_factory=dict)
    # Where the newest list ended.
    _ended: Any = None

    def properties(self) -> dict[str, Property]:
        """The keys of the top level.

        Raises:
            yaml.MarkedYAMLError: it is not YAML.
        """
        self._events = yaml.parse(self._text(), Loader=yaml.CSafeLoader)
        found: dict[str, Property] = {}
        for event in self._events:
            if isinstance(event, yaml.MappingStartEvent):
                self._level(found)
                break
        # To the end: a second document or trailing junk is an error too.
        for _ in self._events:
            pass
        return found

    def _text(self) -> str:
        """What YAML is given: in it, as in the note, only a newline ends a line."""
        text = "\n".join(self.prepared.lines) + "\n"
        odd = [mark for mark in ODD_BREAKS if mark in text]
        if not odd:
            return text
        # Characters that nobody has assigned, and that this note does not hold.
        free = (code for code in range(_LAST_UNASSIGNED, 0, -1) if chr(code) not in text)
        stand_ins = dict(zip(odd, free, strict=False))
        self._typed = {code: mark for mark, code in stand_ins.items()}
        return text.translate({ord(mark): code for mark, code in stand_ins.items()})

    def _as_typed(self, value: Any) -> str:
        return str(value).translate(self._typed)

    def _level(self, found: dict[str, Property]) -> None:
        for key in self._events:
            if isinstance(key, yaml.MappingEndEvent):
                return
            name = self._key(key)
            event = next(self._events)
            items: list[Span] = []
            value = self._value(event, 1, items)
            place, span = self._span(key), self._span(event)
            if getattr(event, "flow_style", False) and self._ended.line == event.start_mark.line:
                span = replace(span, end=self.prepared.column(self._ended.line, self._ended.column) + 1)
            if name in found:
                message = (
                    f"`{name}` stands twice in this frontmatter (first in line {found[name].place.line})."
                )
                cure = "Delete one of the two lines."
                self.mistakes.append(
                    Mistake(place.line - 2, place.column - 1, "duplicate-key", message, None, cure)
                )
            elif name is not None:
                found[name] = Property(name, value, place, span, tuple(items))

    def _key(self, event: Any) -> str | None:
        if isinstance(event, yaml.ScalarEvent):
            return self._as_typed(event.value)
        self._value(event, 1, [])
        self._mistake(event, "bad-key", "A key must be a word.", "Write `key: value`.")
        return None

    def _value(self, event: Any, depth: int, places: list[Span]) -> Value:
        self._check(event, depth)
        if isinstance(event, yaml.ScalarEvent):
            return None if event.implicit[0] and event.value in _NULLS else self._as_typed(event.value)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(depth, places)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(depth)
        return None

    def _list(self, depth: int, places: list[Span]) -> Value:
        values: list[Value] = []
        for event in self._events:
            if isinstance(event, yaml.SequenceEndEvent):
                self._ended = event.end_mark
                break
            value = self._value(event, depth + 1, [])
            if value is not None:
                values.append(value)
                places.append(self._span(event))
        return values

    def _mapping(self, depth: int) -> Value:
        values: dict[str, Value] = {}
        for event in self._events:
            if isinstance(event, yaml.MappingEndEvent):
                self._ended = event.end_mark
                break
            key = self._value(event, depth + 1, [])
            values[str(key)] = self._value(next(self._events), depth + 1, [])
        return values

    def _check(self, event: Any, depth: int) -> None:
        if depth > DEEPEST:
            raise yaml.MarkedYAMLError(problem="the nesting is too deep", problem_mark=event.start_mark)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            self._mistake(event, "yaml-anchor", "YAML anchors are not allowed here.", "Write the value out.")
        elif getattr(event, "tag", None):
            self._mistake(event, "yaml-tag", "YAML tags are not allowed here.", "Put the value in quotes.")

    def _mistake(self, event: Any, code: str, message: str, cure: str) -> None:
        span = self._span(event)
        self.mistakes.append(Mistake(span.line - 2, span.column - 1, code, message, None, cure))

    def _span(self, event: Any) -> Span:
        start, end = event.start_mark, event.end_mark
        column = self.prepared.column(start.line, start.column)
        # A list or mapping names the place of its first token only.
        ends_here = isinstance(event, yaml.ScalarEvent) and end.line == start.line
        last = self.prepared.column(end.line, end.column) + 1 if ends_here else None
        return Span(start.line + 2, column + 1, last)
