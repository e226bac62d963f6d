"""One note understood by itself: which kind, which fields, and everything that is wrong with it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import PurePosixPath
from typing import Any, get_args, get_origin

from pydantic import ValidationError

from vaultloop.model.entry import Entry
from vaultloop.model.finding import Finding
from vaultloop.model.glob import normalised
from vaultloop.model.problem import Fix, Problem, Severity
from vaultloop.model.resource import Kind, Ref, Source, Spec
from vaultloop.model.words import shape, unmistakable
from vaultloop.vault.notes import damage, entries, keys, secret
from vaultloop.vault.notes.draft import draft
from vaultloop.vault.notes.findings import findings
from vaultloop.vault.notes.frontmatter import Note, Property, Span, Value, parse
from vaultloop.vault.notes.places import Places

# Nobody reads more about one note; the rest shows once these are mended.
MOST_PROBLEMS = 50
# A declaration is a page of text. What is larger is a mistake, and reading it would stop everything else.
LARGEST_NOTE = 1024 * 1024

_KIND_LINE = re.compile(r"^kind:[ \t]*[\"']?([a-z-]+)", re.MULTILINE)


@dataclass(frozen=True)
class Declaration:
    """One note under `agent/`, as it is by itself.

    Attributes:
        ref: kind and name, as far as they can be told; None for a note that declares nothing.
        spec: what it says, references and inherited fields still open; None where that is invalid.
        draft: as much of an invalid note as was understood, so that its references can be looked at.
        entries: what it declares in its text, as it is written there.
        problems: without those that only other notes reveal.
    """

    path: str
    blob: str
    text: str
    note: Note
    kind: Kind[Any] | None = None
    ref: Ref | None = None
    spec: Spec | None = None
    draft: Spec | None = None
    problems: tuple[Problem, ...] = ()
    entries: tuple[Entry, ...] = ()

    @cached_property
    def source(self) -> Source:
        """Where it was read."""
        lines = {key: found.place.line for key, found in self.note.properties.items()}
        return Source(self.path, self.blob, {**lines, "body": self.note.body_line}, self.text)

    @property
    def text_below(self) -> str:
        """What stands below the frontmatter, as kinds are given it."""
        return self.note.body.replace("\r\n", "\n").strip()

    def problem(self, finding: Finding) -> Problem:
        """A finding with its place in this note, and the corrected line where one can be written."""
        return self.places.problem(finding)

    @cached_property
    def places(self) -> Places:
        """Its lines, and where in them each field stands."""
        return Places(self.path, tuple(self.text.removeprefix("\ufeff").split("\n")), self.note)


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
    kind = read.kind.name if read.kind else (note.kind_typed or "").lower()
    grants = kind in keys.GRANTING_KINDS
    return replace(
        read, problems=tuple(_cautious(problem, plain.places, grants=grants) for problem in sorted(told))
    )


def name_of(path: str) -> str:
    """The name of what a note declares: its file name without the ending."""
    return normalised(PurePosixPath(path).stem)


def _unreadable(path: str, data: bytes) -> Problem | None:
    if len(data) > LARGEST_NOTE:
        message = f"This note is larger than {LARGEST_NOTE // 1024} KiB and was not read."
        cure = "Move what does not belong to the declaration out of `agent/`."
        return Problem(path, 1, 1, Severity.ERROR, "too-large", message, cure)
    return damage.nul_byte(path, data) or damage.not_utf8(path, data) or damage.unfinished_merge(path, data)


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
        replace(
            problem, message=secret.scrubbed(problem.message), cure=secret.scrubbed(problem.cure), fix=None
        )
        for problem in read.problems
    )
    error = Severity.ERROR
    found = tuple(
        Problem(read.path, at.line, at.column, error, "secret", f"This looks like {at.what}.", secret.CURE)
        for at in seen
    )
    return replace(read, spec=None, draft=None, problems=(*found, *told))


def _cautious(problem: Problem, places: Places, *, grants: bool) -> Problem:
    """The problem, its fix not safe where it might grant what was not granted before.

    Layout is no exception: an indented line that becomes a key of its own grants like any other. `grants` is
    whether all of the note does.
    """
    fix = problem.fix
    if fix is None or not fix.safe:
        return problem
    concerned = {shape(key) for key in _concerned(problem.code, fix, places) if key}
    if not grants and concerned.isdisjoint(keys.GRANTS | {"kind"}):
        return problem
    return replace(problem, fix=replace(fix, safe=False))


def _concerned(code: str, fix: Fix, places: Places) -> Iterator[str | None]:
    """The keys that a fix may be about: in its line, before and after, and the one it belongs to."""
    if fix.old is None:
        return
    yield from (keys.key_of(line.lstrip().lstrip("- ")) for line in (fix.old, fix.new))
    if code != "indented" and fix.old.startswith((" ", "\t", "-")):
        above = (keys.key_of(places.line(number)) for number in range(fix.line, 0, -1))
        yield next((key for key in above if key), None)


@dataclass(slots=True)
class _Reading:
    """The way from a note's properties to a spec."""

    blank: Declaration
    kinds: Mapping[str, Kind[Any]]
    problems: list[Problem] = field(default_factory=list)
    entries: tuple[Entry, ...] = ()

    def result(self) -> Declaration:
        note = self.blank.note
        self.problems = [p for p in note.problems if note.kind_typed or p.code in _ALWAYS_TOLD]
        kind, guessed = self._kind()
        if kind is None:
            return replace(self.blank, problems=tuple(self.problems))
        ref = Ref(kind.name, name_of(self.blank.path))
        draft, spec = (None, None) if guessed else self._spec(kind)
        if any(problem.is_error for problem in self.problems):
            spec = None
        read = replace(self.blank, kind=kind, ref=ref, spec=spec, problems=tuple(self.problems))
        return replace(read, draft=draft if spec is None else None, entries=self.entries)

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
        # Where the line itself is told to be wrong, what stands behind it is not what was typed.
        if typed.place.line not in {problem.line for problem in self.problems}:
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
            # A note that declared nothing so far begins to when its owner says so.
            self._instead(place, "near-kind", message, instead, Severity.WARNING, safe=False)
            return meant, True
        if self.problems:
            return self.kinds.get(self.blank.note.kind_typed or ""), True
        return self._kind_forgotten(), True

    def _kind_forgotten(self) -> Kind[Any] | None:
        """The kind of a note that looks like one of ours, and does not say so."""
        pure, note = PurePosixPath(self.blank.path), self.blank.note
        here = {kind.name for kind in self.kinds.values() if kind.folder == pure.parent.name} - {""}
        if not note.end_line:
            if here and pure.stem.casefold() not in {"readme", "index", pure.parent.name.casefold()}:
                self._unsaid(min(here), f"`---`, `kind: {min(here)}` and `---` above its text")
            return None
        own = keys.own_keys(note.properties, self.kinds.values())
        # In its folder one key is enough; elsewhere `url` or `order` alone may be anybody's.
        found = {name: count for name, count in own.items() if name in here} or {
            name: count for name, count in own.items() if count > 1
        }
        if not found:
            return None
        meant = max(found, key=lambda name: found[name])
        self._unsaid(meant)
        return self.kinds[meant]

    def _unsaid(self, kind: str, instead: str = "") -> None:
        message = f"This note does not say its kind, so it declares nothing; it looks like {_an(kind)}."
        place = (self.blank.path, 1, 1, Severity.WARNING, "no-kind", message)
        fix = None if instead else Fix(1, None, f"kind: {kind}")
        cure = fix.cure if fix else f"Write {instead}, or move the note out of this folder."
        self.problems.append(Problem(*place, cure, fix))

    def _meant(self, value: str | None) -> Kind[Any] | None:
        if value is not None:
            return self.kinds.get(keys.near_miss(value, self.kinds) or "")
        folder = PurePosixPath(self.blank.path).parent.name
        return next((kind for kind in self.kinds.values() if kind.folder == folder), None)

    # Which fields.

    def _spec(self, kind: Kind[Any]) -> tuple[Spec | None, Spec | None]:
        """What was understood, and the spec if that is all of it."""
        fields = kind.spec.frontmatter()
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
            values["body"] = self.blank.text_below
        if kind.spec.entries_in is not None:
            values[kind.spec.entries_in] = self._specs_below(kind)
        return self._validated(kind, values, unusable)

    def _validated(
        self, kind: Kind[Any], values: dict[str, Any], unusable: set[str]
    ) -> tuple[Spec | None, Spec | None]:
        try:
            spec: Spec = kind.spec.model_validate(values)
        except ValidationError as error:
            for finding in findings(error, kind):
                if finding.field not in unusable:
                    self._found(finding)
            return draft(kind.spec, values), None
        for finding in spec.findings():
            self._found(finding)
        return spec, spec

    def _specs_below(self, kind: Kind[Any]) -> tuple[Spec, ...]:
        """What the text below the frontmatter declares."""
        read = entries.read(kind, self.blank.text_below)
        for finding in read.findings:
            self._found(finding)
        self.entries = read.entries
        return read.specs

    def _unknown(self, key: str, found: Property, kind: Kind[Any], fields: Mapping[str, Any]) -> str:
        """Report a key that the kind lacks; returns the key that was probably meant."""
        if key == "kind" or keys.is_of_others(key):
            return key
        if (meant := keys.near_miss(key, fields)) is not None:
            self._misspelt(key, found, meant, kind, fields)
            return meant
        owners = [other.name for other in self.kinds.values() if _has(other, key)]
        of = f"`{key}` is a key of {_an(owners[0])}" if owners else f"`{key}` means nothing here"
        own = self._renamed(found, f"x-{key}") or f"x-{key}: value"
        cure = f"Write `{own}` if it is a note to yourself, or delete this line."
        message = f"{of}; {_an(kind.name)} has no such key."
        self._problem(found.place, "unknown-key", message, cure, Severity.WARNING)
        return key

    def _misspelt(
        self, key: str, found: Property, meant: str, kind: Kind[Any], fields: Mapping[str, Any]
    ) -> None:
        """Report a key that was probably meant to be another one, which may be there only once."""
        message = f"There is no key `{key}`; `{meant}` is what {_an(kind.name)} has."
        others = {name: other for name, other in self.blank.note.properties.items() if name != key}
        rivals = [
            other.place.line
            for name, other in others.items()
            if name not in fields and keys.near_miss(name, fields) == meant
        ]
        if meant in others:
            self._problem(found.place, "unknown-key", message, "Delete this line.", Severity.ERROR)
        elif rivals:
            cure = f"Line {rivals[0]} may mean it too: write `{meant}` in one of them and delete the other."
            self._problem(found.place, "unknown-key", message, cure, Severity.ERROR)
        elif (renamed := self._renamed(found, meant)) is None:
            self._problem(found.place, "unknown-key", message, f"Write `{meant}: value`.", Severity.ERROR)
        else:
            safe = unmistakable(key, fields) is not None
            self._instead(found.place, "unknown-key", message, renamed, Severity.ERROR, safe=safe)

    def _renamed(self, found: Property, key: str) -> str | None:
        """The key's line with another key; None where the line holds something else than was understood."""
        line = self.blank.places.line(found.place.line)
        end = found.place.end or found.place.column + len(found.key)
        if line[found.place.column - 1 : end - 1].strip("\"' ") != found.key:
            return None
        return line[: found.place.column - 1] + key + line[end - 1 :]

    def _comment(self, key: str, found: Property) -> None:
        line = self.blank.places.line(found.place.line)
        rest = line[found.span.column - 1 :].strip()
        if re.match(r"#\S", rest):
            message = f"What follows `#` is a comment, so `{key}` is empty."
            instead = line[: found.span.column - 1].rstrip() + f' "{rest}"'
            # Somebody may have taken the value out on purpose.
            self._instead(found.place, "comment", message, instead, Severity.WARNING, safe=False)

    def _found(self, finding: Finding) -> None:
        self.problems.append(self.blank.problem(finding))

    def _instead(
        self, place: Span, code: str, message: str, line: str, severity: Severity, *, safe: bool
    ) -> None:
        """Report what the whole line at `place` should be."""
        fix = Fix(place.line, self.blank.places.line(place.line), line, safe)
        where = (self.blank.path, place.line, place.column)
        self.problems.append(Problem(*where, severity, code, message, fix.cure, fix))

    def _problem(self, place: Span, code: str, message: str, cure: str, severity: Severity) -> None:
        self.problems.append(
            Problem(self.blank.path, place.line, place.column, severity, code, message, cure)
        )


# Worth saying also in a note that names no kind: it was probably meant to.
_ALWAYS_TOLD = frozenset({"unclosed-frontmatter", "no-frontmatter"})


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
    return key in kind.spec.frontmatter()


def _an(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeioum' and kind != 'memory' else 'a'} `{kind}` note"
