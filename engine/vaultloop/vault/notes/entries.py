"""What a note declares within its text, understood as the frontmatter is: by the same fields and words."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from vaultloop.model.entry import Entry
from vaultloop.model.finding import Finding
from vaultloop.model.resource import Kind, Spec
from vaultloop.vault.notes.findings import findings


@dataclass(frozen=True, slots=True)
class EntriesRead:
    """The entries of one note.

    Attributes:
        entries, specs: each entry as it is written, and as it is understood; only those without an error in
            their own fields.
        findings: everything that is wrong with any of them.
    """

    entries: tuple[Entry, ...]
    specs: tuple[Spec, ...]
    findings: tuple[Finding, ...]


def read(kind: Kind[Any], text: str) -> EntriesRead:
    """Understand what `text`, the text below the frontmatter of a note of `kind`, declares."""
    written = kind.spec.entries(text)
    told = list(written.findings)
    understood: list[tuple[Entry, Spec]] = []
    for entry in written.found:
        try:
            spec = kind.spec.entry_spec().model_validate(entry.values)
        except ValidationError as error:
            told += _wrong(kind, entry, error)
            continue
        told += [entry.located(finding) for finding in spec.findings()]
        understood.append((entry, spec))
    entries = tuple(entry for entry, _ in understood)
    return EntriesRead(entries, tuple(spec for _, spec in understood), tuple(told))


def _wrong(kind: Kind[Any], entry: Entry, error: ValidationError) -> Iterator[Finding]:
    part = Kind(kind.name, kind.spec.entry_spec(), kind.stage, kind.folder)
    for finding in findings(error, part):
        # What lacks is told by the kind, which knows whether it is a cell, a column or a line.
        if finding.code != "missing-field":
            yield entry.located(finding)
