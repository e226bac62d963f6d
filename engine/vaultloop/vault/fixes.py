"""Fixes made in notes: one line each, and everything else stays as it was, to the byte."""

import os
import secrets
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path

from vaultloop.model.errors import Stalled
from vaultloop.model.problem import Fix, Problem
from vaultloop.vault.files import Entry, Files
from vaultloop.vault.ignore import TEMPORARY
from vaultloop.vault.inspection import Inspection, Kinds, inspected
from vaultloop.vault.object_id import blob_id, tree_id

# What is mended may show what stood behind it; nobody piles up more mistakes than this in one note.
MOST_ROUNDS = 50

_BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True, slots=True)
class Edit:
    """A note before and after its fixes."""

    path: str
    before: bytes
    after: bytes

    def diff(self) -> str:
        """The change as `git diff` shows it and `git apply` takes it."""
        names = (f"a/{self.path}", f"b/{self.path}")
        return "".join(
            line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
            for line in unified_diff(_lines(self.before), _lines(self.after), *names)
        )


@dataclass(frozen=True, slots=True)
class Mending:
    """What making all safe fixes comes to.

    Attributes:
        fixed: the problems whose fixes were made, in the order in which they were made.
        left: what is found after that.
    """

    edits: tuple[Edit, ...]
    fixed: tuple[Problem, ...]
    left: Inspection


def mended(
    files: Files, kinds: Kinds, concerns: Callable[[str], bool], notes: Collection[str] = ()
) -> Mending:
    """Make every safe fix, look again, and so on until there is none left. Nothing is written.

    Only notes for which `concerns` is true are changed; `notes` as for `inspected`.
    """
    amended = Amended(files)
    fixed: list[Problem] = []
    left = inspected(amended, kinds, notes)
    for _ in range(MOST_ROUNDS):
        made = list(amended.fix(problem for problem in left.problems if concerns(problem.file)))
        if not made:
            break
        fixed += made
        left = inspected(amended, kinds, notes)
    return Mending(tuple(amended.edits()), tuple(fixed), left)


def applied(data: bytes, fixes: Iterable[Fix]) -> bytes:
    """A note with fixes made, each for another line; one whose line is not as it was is left out."""
    text = data.decode()
    mark = _BYTE_ORDER_MARK if text.startswith(_BYTE_ORDER_MARK) else ""
    lines = text.removeprefix(mark).split("\n")
    # From below, so that no line moves before its turn.
    for fix in sorted(fixes, key=lambda fix: fix.line, reverse=True):
        _apply(lines, fix)
    return (mark + "\n".join(lines)).encode()


def _apply(lines: list[str], fix: Fix) -> None:
    if fix.line > len(lines):
        return
    line = lines[fix.line - 1]
    end = "\r" if line.endswith("\r") else ""
    if fix.old is not None:
        if line.rstrip("\r") == fix.old:
            lines[fix.line - 1] = fix.new + line[len(fix.old) :]
    elif fix.line == len(lines) > 1 and lines[0].endswith("\r"):
        # The last line has no end yet; it gets that of the others, and the new one becomes the last.
        lines[-1:] = [line + "\r", fix.new]
    else:
        lines.insert(fix.line, fix.new + end)


class Amended:
    """Implements `Files`: some other files, with what was mended in memory."""

    def __init__(self, files: Files) -> None:
        self.revision = files.revision
        self._files = files
        self._before: dict[str, bytes] = {}
        self._after: dict[str, bytes] = {}
        # Fixes that undo each other end here.
        self._seen: set[tuple[str, bytes]] = set()

    def fix(self, problems: Iterable[Problem]) -> Iterator[Problem]:
        """Make the safe fixes of `problems`, one for each line, and tell which were made."""
        by_note: dict[str, dict[int, Problem]] = {}
        for problem in problems:
            if problem.fix is not None and problem.fix.safe:
                by_note.setdefault(problem.file, {}).setdefault(problem.fix.line, problem)
        for path, found in by_note.items():
            if self._amend(path, [problem.fix for problem in found.values() if problem.fix]):
                yield from found.values()

    def edits(self) -> Iterator[Edit]:
        """The notes that are not what they were, sorted by path."""
        for path, after in sorted(self._after.items()):
            if after != self._before[path]:
                yield Edit(path, self._before[path], after)

    def tree_id(self, folder: str) -> str | None:
        return tree_id(self.under(folder), folder)

    def under(self, folder: str) -> Iterator[Entry]:
        return (self._now(entry) for entry in self._files.under(folder))

    def entry(self, path: str) -> Entry | None:
        entry = self._files.entry(path)
        return self._now(entry) if entry else None

    def read(self, entry: Entry) -> bytes:
        return self._after[entry.path] if entry.path in self._after else self._files.read(entry)

    def _now(self, entry: Entry) -> Entry:
        if entry.path not in self._after:
            return entry
        return Entry(entry.path, blob_id(self._after[entry.path]), entry.executable)

    def _amend(self, path: str, fixes: Sequence[Fix]) -> bool:
        entry = self.entry(path)
        if entry is None:
            return False
        before = self.read(entry)
        after = applied(before, fixes)
        if after == before or (path, after) in self._seen:
            return False
        self._seen |= {(path, before), (path, after)}
        self._before.setdefault(path, before)
        self._after[path] = after
        return True


def write(vault: Path, edits: Iterable[Edit]) -> tuple[str, ...]:
    """Put edits into the folder `vault`; returns the notes that somebody changed meanwhile: they stay.

    Raises:
        Stalled: a note cannot be written.
    """
    return tuple(edit.path for edit in edits if not _put(vault / edit.path, edit))


def _put(file: Path, edit: Edit) -> bool:
    fresh = file.with_name(f"{TEMPORARY}{secrets.token_hex(6)}.tmp")
    try:
        _fill(fresh, file, edit.after)
        # As late as can be: whoever saves the note from here on has read what we are about to replace.
        if file.is_symlink() or file.read_bytes() != edit.before:
            return False
        fresh.replace(file)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise Stalled(
            f"{edit.path} cannot be written: {error}.", cure="Check the folder's permissions and free space."
        ) from error
    finally:
        fresh.unlink(missing_ok=True)
    return True


def _fill(fresh: Path, file: Path, data: bytes) -> None:
    status = file.stat()
    with fresh.open("xb") as opened:
        opened.write(data)
        opened.flush()
        os.fsync(opened.fileno())
    shutil.copymode(file, fresh)
    # Only root can give a file away, and only root has to.
    with suppress(PermissionError):
        os.chown(fresh, status.st_uid, status.st_gid)


def _lines(data: bytes) -> list[str]:
    """Lines with their ends; only a newline ends one."""
    lines = data.decode().split("\n")
    return [line + "\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
