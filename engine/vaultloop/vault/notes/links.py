"""What only all notes together show: names, references, inherited fields, and who is in whose way."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from pydantic.fields import FieldInfo

from vaultloop.model.entry import Entry
from vaultloop.model.fields import is_id
from vaultloop.model.finding import Finding
from vaultloop.model.problem import Problem, Severity
from vaultloop.model.resource import AnyResource, Inherited, Kind, Ref, Reference, Resource, Spec
from vaultloop.vault.notes.declaration import Declaration
from vaultloop.vault.notes.flows import Flows
from vaultloop.vault.notes.keys import near_miss
from vaultloop.vault.notes.within import beyond


@dataclass(slots=True)
class Linked:
    """All declarations of one state of the vault, bound to each other."""

    resources: dict[Ref, AnyResource] = field(default_factory=dict)
    broken: dict[Ref, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def link(
    declarations: Sequence[Declaration], kinds: Mapping[str, Kind[Any]], defaults: Spec | None
) -> Linked:
    """Bind `declarations` to each other; `defaults` is what they inherit from."""
    return _Binding(declarations, kinds, defaults).linked


def recall(
    kept: Sequence[Declaration],
    around: Iterable[Declaration],
    kinds: Mapping[str, Kind[Any]],
    defaults: Spec | None,
) -> Linked:
    """Bind kept versions of notes; the name of what is gone since stands as it was written."""
    return _Binding(kept, kinds, defaults, forgiving=True, around=tuple(around)).linked


def defaults_of(declarations: Iterable[Declaration]) -> tuple[Spec | None, bool]:
    """The valid note of the kind that others inherit from, and whether there is any such note at all."""
    found = [
        declaration for declaration in declarations if declaration.ref and declaration.ref.kind == "defaults"
    ]
    valid = found[0].spec if len(found) == 1 else None
    return valid, bool(found)


class _Binding:
    def __init__(
        self,
        declarations: Sequence[Declaration],
        kinds: Mapping[str, Kind[Any]],
        defaults: Spec | None,
        *,
        forgiving: bool = False,
        around: Sequence[Declaration] = (),
    ) -> None:
        self.linked = Linked()
        self._kinds = kinds
        self._forgiving = forgiving
        self._defaults = None if defaults is None or defaults.paused else defaults
        named = [declaration for declaration in declarations if declaration.ref is not None]
        self._names = _names([note for note in around if note.ref is not None]) | _names(named)
        ambiguous = set() if forgiving else self._ambiguous(named)
        valid = [self._bound(note) for note in named if note.spec and note.path not in ambiguous]
        for note in named:
            self._looked_at(note)
        self._together([pair for pair in valid if pair is not None])
        for declaration in named:
            assert declaration.ref is not None
            if declaration.ref not in self.linked.resources:
                self.linked.broken.setdefault(declaration.ref, declaration.path)

    def _tell(self, declaration: Declaration, finding: Finding) -> None:
        self.linked.problems.append(declaration.problem(finding))

    # Names.

    def _ambiguous(self, named: Sequence[Declaration]) -> set[str]:
        """Paths of notes that stand in each other's place: none of them can be chosen."""
        paths: set[str] = set()
        for group in _groups(named, lambda note: note.ref and (note.ref.kind, note.ref.name.casefold())):
            paths |= self._clash(
                group,
                "duplicate-name",
                "declares a {kind} of the same name",
                "Rename or delete one of the notes.",
            )
        for group in _groups(named, lambda note: note.spec and note.spec.id):
            paths |= self._clash(group, "duplicate-id", "has the same `id`", "Delete this line.", at="id")
        single = [note for note in named if note.kind and note.kind.single and note.path not in paths]
        for group in _groups(single, lambda note: note.kind and note.kind.name):
            paths |= self._clash(
                group, "too-many", "is a {kind} note too; a vault has one", "Delete one of the notes."
            )
        return paths

    def _clash(
        self, group: Sequence[Declaration], code: str, what: str, cure: str, at: str = "kind"
    ) -> set[str]:
        for note in group:
            assert note.ref is not None
            others = " and ".join(f"`{other.path}`" for other in group if other is not note)
            self._tell(note, Finding(at, code, f"{others} {what.format(kind=note.ref.kind)}.", cure))
        return {note.path for note in group}

    # Fields.

    def _bound(self, declaration: Declaration) -> tuple[Declaration, AnyResource] | None:
        """The resource, with references resolved and inherited fields filled; None if a reference fails."""
        spec, ref = declaration.spec, declaration.ref
        assert spec is not None
        assert ref is not None
        before = len(self.linked.problems)
        spec = self._filled(declaration, spec, (self._defaults,))
        if spec.entries_in is not None:
            spec = spec.model_copy(update={spec.entries_in: self._filled_parts(declaration, spec)})
        if any(problem.is_error for problem in self.linked.problems[before:]):
            return None
        resource = Resource(ref, spec, declaration.source, spec.id or "")
        self.linked.resources[ref] = resource
        return declaration, resource

    def _looked_at(self, declaration: Declaration) -> None:
        """Tell what is wrong with the references of an invalid note, so that all is mended at once."""
        draft = declaration.draft
        if draft is not None and not self._forgiving:
            self._filled(declaration, draft, ())
            if draft.entries_in is not None:
                self._filled_parts(declaration, draft)

    def _filled_parts(self, note: Declaration, spec: Spec) -> tuple[Spec, ...]:
        above = (spec, self._defaults)
        parts = zip(spec.parts(), note.entries, strict=True)
        return tuple(self._filled(note, part, above, entry) for part, entry in parts)

    def _filled(
        self, note: Declaration, spec: Spec, above: Sequence[Spec | None], entry: Entry | None = None
    ) -> Spec:
        """`spec` with its references resolved, and what it leaves out taken from those `above` it."""
        update: dict[str, Any] = {}
        for name, info, mark in _marks(type(spec)):
            if isinstance(mark, Inherited) and name not in spec.model_fields_set:
                update |= _inherited(name, info, above)
            elif isinstance(mark, Reference) and getattr(spec, name):
                update[name] = self._resolved(note, getattr(spec, name), info.alias or name, mark, entry)
        return spec.model_copy(update=update) if update else spec

    def _resolved(self, note: Declaration, value: Any, key: str, mark: Reference, entry: Entry | None) -> Any:
        several = isinstance(value, tuple)
        names = []
        for item, text in enumerate(value if several else (value,)):
            if text in mark.words or (mark.ids and is_id(text)):
                names.append(text)
            elif (found := self._names.get((mark.kind, text.casefold()))) is not None:
                names.append(found)
            elif self._forgiving:
                names.append(text)
            else:
                finding = self._missing(key, item if several else None, text, mark)
                self._tell(note, entry.located(finding) if entry else finding)
        return tuple(names) if several else next(iter(names), None)

    def _missing(self, key: str, item: int | None, text: str, mark: Reference) -> Finding:
        known = sorted({name for (kind, _), name in self._names.items() if kind == mark.kind} | mark.words)
        elsewhere = sorted({kind for kind, name in self._names if name == text.casefold()})
        message = f"There is no {mark.kind} `{text}`."
        if elsewhere:
            message = f"`{text}` is a {elsewhere[0]}, not a {mark.kind}."
        choice = ", ".join(f"`{name}`" for name in known)
        folder = self._kinds[mark.kind].folder if mark.kind in self._kinds else ""
        cure = f"Write a note `agent/{folder}/{text}.md` with `kind: {mark.kind}`"
        cure += f", or name one of {choice}." if choice else "."
        meant = near_miss(text, known)
        written = None if meant is None else meant if meant in mark.words else f'"[[{meant}]]"'
        severity = Severity.ERROR if mark.needed else Severity.WARNING
        return Finding(key, "missing-reference", message, cure, write=written, item=item, severity=severity)

    # All of one kind.

    def _together(self, valid: Sequence[tuple[Declaration, AnyResource]]) -> None:
        for kind in self._kinds.values():
            notes = {r.ref.name: (note, r.spec) for note, r in valid if r.ref.kind == kind.name}
            specs = {name: spec for name, (_, spec) in notes.items()}
            for name, finding in kind.spec.findings_together(specs):
                self._tell(notes[name][0], finding)
        resources = {resource.ref: resource for _, resource in valid}
        for note, resource in valid:
            for finding in _all_beyond(note, resource.spec, resources):
                self._tell(note, finding)
        notes_of = {resource.ref: note for note, resource in valid}
        for ref, finding in Flows(resources).findings():
            self._tell(notes_of[ref], finding)


def _all_beyond(note: Declaration, spec: Spec, resources: Mapping[Ref, AnyResource]) -> Iterator[Finding]:
    """What the note, or what it declares in its text, names beyond what it may."""
    yield from beyond(spec, resources)
    for part, entry in zip(spec.parts(), note.entries, strict=True):
        yield from map(entry.located, beyond(part, resources))


def _inherited(name: str, info: FieldInfo, above: Iterable[Spec | None]) -> dict[str, Any]:
    source = next((spec for spec in above if spec is not None and name in type(spec).model_fields), None)
    value = info.default if source is None else getattr(source, name)
    return {} if value == info.default else {name: value}


@lru_cache
def _marks(spec: type[Spec]) -> tuple[tuple[str, FieldInfo, Reference | Inherited], ...]:
    """The fields of a kind that depend on other notes."""
    return tuple(
        (name, info, mark)
        for name, info in spec.model_fields.items()
        for mark in info.metadata
        if isinstance(mark, Reference | Inherited)
    )


def _names(named: Iterable[Declaration]) -> dict[tuple[str, str], str]:
    """Every way to name a note, to its name: as Obsidian does, without regard to case; or by its id."""
    names: dict[tuple[str, str], str] = {}
    for note in named:
        assert note.ref is not None
        if note.spec is not None and note.spec.id:
            names.setdefault((note.ref.kind, note.spec.id.casefold()), note.ref.name)
    for note in named:
        assert note.ref is not None
        names[note.ref.kind, note.ref.name.casefold()] = note.ref.name
    return names


def _groups(notes: Iterable[Declaration], key: Any) -> Iterator[list[Declaration]]:
    groups: dict[Any, list[Declaration]] = {}
    for note in notes:
        if identity := key(note):
            groups.setdefault(identity, []).append(note)
    return (group for group in groups.values() if len(group) > 1)
