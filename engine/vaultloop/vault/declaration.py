"""One note understood by itself: which kind, which fields, and everything that is wrong with it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import PurePosixPath
from typing import Any, get_args, get_origin

from pydantic import ValidationError

from vaultloop.model.finding import Finding
from vaultloop.model.glob import normalised
from vaultloop.model.problem import Problem, Severity
from vaultloop.model.resource import Kind, Ref, Source, Spec
from vaultloop.vault import keys, secret
from vaultloop.vault.findings import findings
from vaultloop.vault.frontmatter import Note, Property, Span, Value, parse

# Nobody reads more about one note; the rest shows once these are mended.
MOST_PROBLEMS = 50
# A declaration is a page of text. What is larger is a mistake, and reading it would stop everything else.
LARGEST_NOTE = 1024 * 1024

_MERGE_MARKS = tuple(re.compile(mark, re.MULTILINE) for mark in (r"^<{7} ", r"^={7}\r?$", r"^>{7} "))
_KIND_LINE = re.compile(r"^kind:[ \t]*[\"']?([a-z-]+)", re.MULTILINE)


@dataclass(frozen=True)
class Declaration:
    """One note under `agent/`, as it is by itself.

    Attributes:
        ref: kind and name, as far as they can be told; None for a note that declares nothing.
        spec: what it says, references and inherited fields still open; None where that is invalid.
        problems: without those that only other notes reveal.
    """

    path: str
    blob: str
    text: str
    note: Note
    kind: Kind[Any] | None = None
    ref: Ref | None = None
    spec: Spec | None = None
    problems: tuple[Problem, ...] = ()

    @cached_property
    def source(self) -> Source:
        """Where it was read."""
        lines = {key: found.place.line for key, found in self.note.properties.items()}
        return Source(self.path, self.blob, {**lines, "body": self.note.body_line}, self.text)

    def problem(self, finding: Finding) -> Problem:
        """A finding with its place in this note, and the corrected line where one can be written."""
        return self.places.problem(finding)

    @cached_property
    def places(self) -> "_Places":
        """Its lines, and where in them each field stands."""
        return _Places(self.path, tuple(self.text.removeprefix("\ufeff").split("\n")), self.note)


def declared(path: str, blob: str, data: bytes, kinds: Mapping[str, Kind[Any]]) -> Declaration:
    """Understand the note at `path`. Never raises: what is wrong is in the result."""
    unreadable = _unreadable(path, data)
    text = data.decode("utf-8", errors="replace")
    if unreadable is not None:
        blank = Declaration(path, blob, text, Note({}, ""), problems=(unreadable,))
        return _recognised(blank, kinds)
    note = parse(path, text)
    plain = Declaration(path, blob, text, note)
    read = _without_secrets(_Reading(plain, kinds).result())
    # Errors first: a note is not valid because its errors are many.
    told = sorted(read.problems, key=lambda problem: (not problem.is_error, problem))[:MOST_PROBLEMS]
    return replace(read, problems=tuple(sorted(told)))


def name_of(path: str) -> str:
    """The name of what a note declares: its file name without the ending."""
    return normalised(PurePosixPath(path).stem)


def _unreadable(path: str, data: bytes) -> Problem | None:
    def problem(at: int, code: str, message: str, cure: str) -> Problem:
        line = data.count(b"\n", 0, at) + 1
        column = len(data[data.rfind(b"\n", 0, at) + 1 : at].decode("utf-8", errors="replace")) + 1
        return Problem(path, line, column, Severity.ERROR, code, message, cure)

    if len(data) > LARGEST_NOTE:
        message = f"This note is larger than {LARGEST_NOTE // 1024} KiB and was not read."
        return problem(
            0, "too-large", message, "Move what does not belong to the declaration out of `agent/`."
        )
    if (at := data.find(b"\0")) >= 0:
        return problem(
            at, "nul-byte", "This note contains a NUL byte; it is damaged or not a text.", "Restore it."
        )
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        return problem(
            error.start, "not-utf-8", "This note is not UTF-8 text.", "Save it with the encoding UTF-8."
        )
    if (marks := _unfinished_merge(text)) is not None:
        message = "This note contains the marks of an unfinished merge."
        at = len(text[:marks].encode())
        return problem(at, "conflict-markers", message, "Keep one of the two versions and delete the marks.")
    return None


def _unfinished_merge(text: str) -> int | None:
    """Where the marks that git leaves begin, if all three follow each other."""
    first = None
    at = 0
    for mark in _MERGE_MARKS:
        found = mark.search(text, at)
        if found is None:
            return None
        first = found.start() if first is None else first
        at = found.end()
    return first


def _recognised(blank: Declaration, kinds: Mapping[str, Kind[Any]]) -> Declaration:
    """Give an unreadable note its name, so that its last good version is kept."""
    found = _KIND_LINE.search(blank.text[:4096])
    if found is None or found[1] not in kinds:
        return blank
    return replace(blank, kind=kinds[found[1]], ref=Ref(found[1], name_of(blank.path)))


def _without_secrets(read: Declaration) -> Declaration:
    seen = tuple(islice(secret.sightings(read.text), MOST_PROBLEMS))
    if not seen:
        return read
    told = tuple(
        replace(problem, message=secret.scrubbed(problem.message), cure=secret.scrubbed(problem.cure))
        for problem in read.problems
    )
    cure = (
        "Delete it here, keep it in the operator's settings and write only its name; "
        "then revoke it: it stays in the vault's history."
    )
    found = tuple(
        Problem(read.path, at.line, at.column, Severity.ERROR, "secret", f"This looks like {at.what}.", cure)
        for at in seen
    )
    return replace(read, spec=None, problems=(*found, *told))


@dataclass(slots=True)
class _Reading:
    """The way from a note's properties to a spec."""

    blank: Declaration
    kinds: Mapping[str, Kind[Any]]
    problems: list[Problem] = field(default_factory=list)

    def result(self) -> Declaration:
        note = self.blank.note
        self.problems = [p for p in note.problems if note.kind_typed or p.code in _ALWAYS_TOLD]
        kind, guessed = self._kind()
        if kind is None:
            return replace(self.blank, problems=tuple(self.problems))
        ref = Ref(kind.name, name_of(self.blank.path))
        spec = None if guessed else self._spec(kind)
        if any(problem.is_error for problem in self.problems):
            spec = None
        return replace(self.blank, kind=kind, ref=ref, spec=spec, problems=tuple(self.problems))

    # Which kind.

    def _kind(self) -> tuple[Kind[Any] | None, bool]:
        """The kind, and whether it is only what was probably meant."""
        typed = self.blank.note.properties.get("kind")
        if typed is None:
            return self._kind_without_key()
        values = typed.value if isinstance(typed.value, list) else [typed.value]
        value = values[0] if len(values) == 1 else None
        if isinstance(value, str) and value in self.kinds:
            return self.kinds[value], False
        meant = self._meant(value if isinstance(value, str) else None)
        one_of = ", ".join(f"`{name}`" for name in self.kinds)
        if value is None:
            message, code = "`kind` is empty.", "missing-field"
        else:
            message, code = f"There is no kind `{value}`.", "unknown-kind"
        cure = f"Write one of {one_of}."
        self._found(Finding("kind", code, message, cure, write=meant.name if meant else None))
        return meant, True

    def _kind_without_key(self) -> tuple[Kind[Any] | None, bool]:
        properties = self.blank.note.properties
        if (near := keys.near_kind_key(properties)) is not None:
            value = properties[near].value
            meant = self._meant(value) if isinstance(value, str) else None
            instead = f"kind: {meant.name}" if meant else "kind: ..."
            message = f"`{near}` is not `kind`, so this note declares nothing."
            place = properties[near].place
            self._problem(place, "near-kind", message, f"Write `{instead}`.", Severity.WARNING)
            return meant, True
        if any(problem.is_error for problem in self.problems):
            return self.kinds.get(self.blank.note.kind_typed or ""), True
        return None, True

    def _meant(self, value: str | None) -> Kind[Any] | None:
        if value is not None:
            return self.kinds.get(keys.near_miss(value, self.kinds) or "")
        folder = PurePosixPath(self.blank.path).parent.name
        return next((kind for kind in self.kinds.values() if kind.folder == folder), None)

    # Which fields.

    def _spec(self, kind: Kind[Any]) -> Spec | None:
        fields = {info.alias or name: info for name, info in kind.spec.model_fields.items() if name != "body"}
        values: dict[str, Any] = {}
        # What is reported already, and whose further findings would only repeat it.
        told = {problem.line for problem in self.problems}
        unusable = {key for key, found in self.blank.note.properties.items() if found.place.line in told}
        for key, found in self.blank.note.properties.items():
            if key not in fields:
                unusable.add(self._unknown(key, found, kind, fields))
                continue
            try:
                value = _fitting(found.value, takes_list=_is_list(fields[key].annotation))
            except _MisshapenError as error:
                self._found(Finding(key, "wrong-type", f"`{key}` {error}", error.cure))
                unusable.add(key)
                continue
            if value is None:
                self._comment(key, found)
            else:
                values[key] = value
        if kind.spec.uses_body:
            values["body"] = self.blank.note.body.replace("\r\n", "\n").strip()
        return self._validated(kind, values, unusable)

    def _validated(self, kind: Kind[Any], values: dict[str, Any], unusable: set[str]) -> Spec | None:
        try:
            spec: Spec = kind.spec.model_validate(values)
        except ValidationError as error:
            for finding in findings(error, kind):
                if finding.field not in unusable:
                    self._found(finding)
            return None
        for finding in spec.findings():
            self._found(finding)
        return spec

    def _unknown(self, key: str, found: Property, kind: Kind[Any], fields: Mapping[str, Any]) -> str:
        """Report a key that the kind lacks; returns the key that was probably meant."""
        if key == "kind" or keys.is_of_others(key):
            return key
        if (meant := keys.near_miss(key, fields)) is not None:
            there = meant in self.blank.note.properties
            cure = "Delete this line." if there else f"Write `{self._renamed(found, meant)}`."
            message = f"There is no key `{key}`; `{meant}` is what {_an(kind.name)} has."
            self._problem(found.place, "unknown-key", message, cure, Severity.ERROR)
            return meant
        owners = [other.name for other in self.kinds.values() if _has(other, key)]
        of = f"`{key}` is a key of {_an(owners[0])}" if owners else f"`{key}` means nothing here"
        cure = f"Write `{self._renamed(found, 'x-' + key)}` if it is a note to yourself, or delete this line."
        message = f"{of}; {_an(kind.name)} has no such key."
        self._problem(found.place, "unknown-key", message, cure, Severity.WARNING)
        return key

    def _renamed(self, found: Property, key: str) -> str:
        line = self.blank.places.line(found.place.line)
        end = found.place.end or found.place.column + len(found.key)
        return line[: found.place.column - 1] + key + line[end - 1 :]

    def _comment(self, key: str, found: Property) -> None:
        line = self.blank.places.line(found.place.line)
        rest = line[found.span.column - 1 :].strip()
        if re.match(r"#\S", rest):
            message = f"What follows `#` is a comment, so `{key}` is empty."
            instead = line[: found.span.column - 1].rstrip() + f' "{rest}"'
            self._problem(found.place, "comment", message, f"Write `{instead}`.", Severity.WARNING)

    def _found(self, finding: Finding) -> None:
        self.problems.append(self.blank.problem(finding))

    def _problem(self, place: Span, code: str, message: str, cure: str, severity: Severity) -> None:
        self.problems.append(
            Problem(self.blank.path, place.line, place.column, severity, code, message, cure)
        )


# Worth saying also in a note that names no kind: it was probably meant to.
_ALWAYS_TOLD = frozenset({"unclosed-frontmatter", "no-frontmatter"})


@dataclass(frozen=True, slots=True)
class _Places:
    path: str
    lines: Sequence[str]
    note: Note

    def line(self, number: int) -> str:
        """One line of the note, from 1."""
        return self.lines[number - 1].rstrip("\r") if number <= len(self.lines) else ""

    def problem(self, finding: Finding) -> Problem:
        span = self._span(finding)
        return Problem(
            self.path,
            span.line,
            span.column,
            finding.severity,
            finding.code,
            finding.message,
            self._cure(finding, span),
        )

    def _span(self, finding: Finding) -> Span:
        if finding.field == "body":
            return Span(self.note.body_line if self.note.body else self.note.end_line or 1, 1)
        found = self.note.properties.get(finding.field)
        if found is None or finding.add is not None:
            kind = self.note.properties.get("kind")
            return kind.place if kind else Span(1, 1)
        if finding.item is not None and finding.item < len(found.items):
            return found.items[finding.item]
        return found.span

    def _cure(self, finding: Finding, span: Span) -> str:
        if finding.add is not None:
            return f"Add the line `{finding.add}`."
        if finding.write is None:
            return finding.cure
        if span.end is None:
            return f"Write `{finding.field}: {finding.write}` in place of this value."
        line = self.line(span.line)
        before = line[: span.column - 1]
        gap = "" if not before or before.endswith((" ", "[", ",")) else " "
        return f"Write `{before}{gap}{finding.write}{line[span.end - 1 :]}`."


class _MisshapenError(ValueError):
    def __init__(self, message: str, cure: str) -> None:
        super().__init__(message)
        self.cure = cure


def _fitting(value: Value, *, takes_list: bool) -> str | list[str] | None:
    """A value as text or a list of texts: what the field takes, or None for nothing.

    Raises:
        _MisshapenError: it is nested, or more than one where one is wanted.
    """
    if isinstance(value, dict):
        raise _MisshapenError("has keys below it; a frontmatter is flat.", "Write one value after the colon.")
    if value is None or isinstance(value, str):
        return value
    texts = [item for item in value if isinstance(item, str)]
    if len(texts) < len(value):
        raise _MisshapenError("has a list inside of its list.", "Write one item a line.")
    if takes_list:
        return texts
    if len(texts) > 1:
        raise _MisshapenError("takes one value, not several.", "Write one value after the colon.")
    return texts[0] if texts else None


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) is tuple or any(_is_list(part) for part in get_args(annotation))


def _has(kind: Kind[Any], key: str) -> bool:
    return any(key == (info.alias or name) for name, info in kind.spec.model_fields.items() if name != "body")


def _an(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeioum' and kind != 'memory' else 'a'} `{kind}` note"
