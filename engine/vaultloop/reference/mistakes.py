"""Real mistakes with what is said about them, out of the small vaults that the tests hold."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vaultloop.model.problem import Problem, Severity
from vaultloop.model.resource import Kind
from vaultloop.vault.notes.declaration import declared
from vaultloop.vault.notes.secret import scrubbed

# Problems of a note as such, whatever it declares. What is not named here belongs to the kinds that show it.
OF_ANY_NOTE = frozenset(
    {
        *("bad-yaml", "comment", "conflict-markers", "control-character", "duplicate-id", "duplicate-key"),
        *("duplicate-name", "folder-look-alike", "indented", "near-kind", "no-colon", "no-frontmatter"),
        *("no-kind", "no-space", "not-utf-8", "nul-byte", "secret", "sync-conflict", "tab", "too-large"),
        *("unclosed-bracket", "unclosed-frontmatter", "unclosed-quote", "unknown-key", "unknown-kind"),
        *("wrong-type", "yaml-anchor", "yaml-tag"),
    }
)


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake of one vault.

    Attributes:
        case: the name of the vault.
        kind: of the note in which it stands, as far as that can be told.
        typed: the line as it was written, perhaps empty; the path where the whole note or folder is meant.
        alone: whether the vault has no other problem.
    """

    case: str
    kind: str | None
    problem: Problem
    typed: str
    alone: bool


def mistakes(vaults: Path, kinds: Sequence[Kind[Any]]) -> list[Mistake]:
    """Every mistake of the vaults in a folder, each with its `problems.json`."""
    return [
        mistake
        for expected in sorted(vaults.glob("*/problems.json"))
        for mistake in _of_case(expected, {kind.name: kind for kind in kinds})
    ]


def chosen(found: Iterable[Mistake]) -> list[Mistake]:
    """The plainest mistake for each code, by code."""
    best: dict[str, Mistake] = {}
    for mistake in found:
        code = mistake.problem.code
        if code not in best or _plainness(mistake) < _plainness(best[code]):
            best[code] = mistake
    return [best[code] for code in sorted(best)]


def _plainness(mistake: Mistake) -> tuple[bool, bool, bool, str]:
    problem = mistake.problem
    return mistake.case != problem.code, not problem.is_error, not mistake.alone, mistake.case


def _of_case(expected: Path, kinds: Mapping[str, Kind[Any]]) -> Iterable[Mistake]:
    found = json.loads(expected.read_text(encoding="utf-8"))
    for fields in found:
        problem = Problem(**{**fields, "severity": Severity(fields["severity"])})
        file = expected.parent / "vault" / problem.file
        data = file.read_bytes() if file.is_file() else b""
        note = declared(problem.file, "", data, kinds)
        kind = note.kind.name if note.kind else None
        yield Mistake(expected.parent.name, kind, problem, _typed(problem, data), len(found) == 1)


def _typed(problem: Problem, data: bytes) -> str:
    lines = data.decode("utf-8", errors="replace").splitlines()
    line = scrubbed(lines[problem.line - 1]) if 0 < problem.line <= len(lines) else ""
    if line.startswith("---") or not line:
        return problem.file if problem.line == 1 else ""
    is_whole_note = line.startswith("kind:") and not problem.cure.startswith(("Write", "Add"))
    # A tab stays: it may be what is wrong.
    return problem.file if is_whole_note else line.strip(" ")
