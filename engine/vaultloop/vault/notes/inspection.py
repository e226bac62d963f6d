"""Everything that is wrong in one state of a vault, or with one change of it."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from vaultloop.model.problem import Problem
from vaultloop.vault.files import Files
from vaultloop.vault.git.effort import Effort
from vaultloop.vault.notes.damage import damage
from vaultloop.vault.notes.glance import is_note
from vaultloop.vault.notes.location import CONTEXT_FILES, FOLDER, LOOK_ALIKES

if TYPE_CHECKING:  # a commit of an ordinary note waits for nothing that understands declarations
    from vaultloop.model.resource import Kind
    from vaultloop.model.snapshot import Snapshot

# Bytes of a text that is no note; what is larger was hardly written by hand. A NUL byte so far to the front
# tells, as for git itself, that a file is none.
LARGEST_TEXT = 1024 * 1024
BEGINNING = 8000

Kinds: TypeAlias = "Callable[[], Sequence[Kind[Any]]]"


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found.

    Attributes:
        declarations: paths of the notes that were understood.
        problems: sorted by file and line.
    """

    declarations: tuple[str, ...]
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> int:
        return sum(problem.is_error for problem in self.problems)

    @property
    def warnings(self) -> int:
        return len(self.problems) - self.errors


def inspected(files: Files, kinds: Kinds, notes: Collection[str] = ()) -> Inspection:
    """Look at all declarations, at the standing texts, and at `notes` wherever they lie.

    `kinds` is asked for the kinds that a note may declare, once they are needed.
    """
    snapshot = _snapshot(files, kinds)
    ordinary = [path for path in notes if is_note(path)]
    found = [*snapshot.problems, *_told(files, snapshot), *_damages(files, ordinary)]
    return Inspection(_declarations(snapshot), _in_order(found))


def inspected_change(
    before: Files | None, after: Files, changed: Collection[str], kinds: Kinds
) -> Inspection:
    """Look at a change: what is wrong in the files that it touches, and what it breaks elsewhere.

    Nothing is read but the changed files and, where one of them is such a note, the declarations and the
    standing texts.

    Args:
        before: None where there is no earlier state.
        changed: the paths that differ between the two, also of files that are gone.
    """
    declarations, found = _bound(after, changed, kinds)
    if before is not None and any(problem.file not in changed for problem in found):
        known = {_sense(problem) for problem in _bound(before, changed, kinds)[1]}
        found = [problem for problem in found if problem.file in changed or _sense(problem) not in known]
    return Inspection(declarations, _in_order([*found, *_damages(after, changed)]))


def _bound(files: Files, changed: Collection[str], kinds: Kinds) -> tuple[tuple[str, ...], list[Problem]]:
    """What is wrong in the notes that depend on each other, as far as the change may matter to them."""
    declared = any(path.partition("/")[0] in (FOLDER, *LOOK_ALIKES) for path in changed)
    told = not set(CONTEXT_FILES).isdisjoint(changed)
    if not declared and not told:
        return (), []
    snapshot = _snapshot(files, kinds)
    found = list(snapshot.problems) if declared else []
    if told:
        found += _told(files, snapshot)
    return _declarations(snapshot), found


def _damages(files: Files, paths: Collection[str]) -> Iterator[Problem]:
    """What is wrong in ordinary notes and other texts; declarations are told about by the loader."""
    for path in paths:
        declared = is_note(path) and path.startswith(f"{FOLDER}/")
        if not declared and (entry := files.entry(path)) and _is_text(path, data := files.read(entry)):
            yield from damage(path, data)


def _is_text(path: str, data: bytes) -> bool:
    """Whether a file is to be looked at: every note, and of other files the texts."""
    return is_note(path) or (len(data) <= LARGEST_TEXT and b"\0" not in data[:BEGINNING])


def _snapshot(files: Files, kinds: Kinds) -> "Snapshot":
    from vaultloop.vault.notes.loader import Loader  # noqa: PLC0415 - see above

    return Loader(kinds(), Effort()).load(files)


def _told(files: Files, snapshot: "Snapshot") -> tuple[Problem, ...]:
    """What is wrong in the texts that every session is told."""
    from vaultloop.vault.notes import context  # noqa: PLC0415 - see above

    return context.problems(files, snapshot.resources)


def _declarations(snapshot: "Snapshot") -> tuple[str, ...]:
    return tuple(resource.source.path for resource in snapshot.resources.values())


def _sense(problem: Problem) -> tuple[str, str, str]:
    return problem.file, problem.code, problem.message


def _in_order(found: Iterable[Problem]) -> tuple[Problem, ...]:
    """Sorted, and one thing in one place told once."""
    told = {
        (problem.file, problem.line, problem.column, problem.code, problem.message): problem
        for problem in found
    }
    return tuple(sorted(told.values()))
