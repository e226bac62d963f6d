"""From a finding to a problem: where in the note it stands, and the line as it should be."""

from collections.abc import Sequence
from dataclasses import dataclass

from vaultloop.model.finding import Finding, Place
from vaultloop.model.problem import Fix, Problem
from vaultloop.vault.notes.frontmatter import Note, Span
from vaultloop.vault.notes.keys import GRANTS


@dataclass(frozen=True, slots=True)
class Places:
    """The lines of a note, and where in them each field stands."""

    path: str
    lines: Sequence[str]
    note: Note

    def line(self, number: int) -> str:
        """One line of the note, from 1."""
        return self.lines[number - 1].rstrip("\r") if number <= len(self.lines) else ""

    def problem(self, finding: Finding) -> Problem:
        """A finding with its place, and the corrected line where one can be written."""
        span = self._span(finding)
        fix = self._fix(finding, span)
        cure = fix.cure if fix else self._cure(finding)
        place = (self.path, span.line, span.column)
        return Problem(*place, finding.severity, finding.code, finding.message, cure, fix)

    def _span(self, finding: Finding) -> Span:
        if finding.place is not None:
            return self._below(finding.place)
        if finding.field == "body":
            return Span(self.note.body_line if self.note.body else self.note.end_line or 1, 1)
        found = self.note.properties.get(finding.field)
        if found is None or finding.add is not None:
            kind = self.note.properties.get("kind")
            return kind.place if kind else Span(1, 1)
        if finding.item is not None and finding.item < len(found.items):
            return found.items[finding.item]
        return found.span

    def _below(self, place: Place) -> Span:
        """A place in the text below the frontmatter, which begins where the first letter stands."""
        head = self.note.body[: len(self.note.body) - len(self.note.body.lstrip())]
        indent = len(head.rpartition("\n")[2]) if place.line == 1 else 0
        line = self.note.body_line + head.count("\n") + place.line - 1
        return Span(line, place.column + indent, place.end + indent)

    def _cure(self, finding: Finding) -> str:
        if finding.write is None:
            return finding.cure
        return f"Write `{finding.field}: {finding.write}` in place of this value."

    def _fix(self, finding: Finding, span: Span) -> Fix | None:
        if finding.add is not None:
            return Fix(span.line, None, finding.add)
        if finding.write is None or span.end is None:
            return None
        line = self.line(span.line)
        before = line[: span.column - 1]
        if finding.place is None and not self._holds(finding, line[span.column - 1 : span.end - 1]):
            return None
        tight = finding.place is not None or not before or before.endswith((" ", "[", ","))
        gap = "" if tight else " "
        new = f"{before}{gap}{finding.write}{line[span.end - 1 :]}"
        # In a table the key stands elsewhere than in the line.
        safe = finding.safe and finding.field not in GRANTS
        return None if new == line else Fix(span.line, line, new, safe)

    def _holds(self, finding: Finding, written: str) -> bool:
        """Whether a part of a line is really what the finding is about, and not what was made of it."""
        value = self.note.properties[finding.field].value
        if isinstance(value, list) and finding.item is None:
            return written.startswith("[") and written.endswith("]")
        if isinstance(value, list):
            value = value[finding.item] if finding.item is not None and finding.item < len(value) else None
        if written[:1] in {'"', "'"}:
            return len(written) > 1 and written[0] == written[-1]
        return written == (value or "")
