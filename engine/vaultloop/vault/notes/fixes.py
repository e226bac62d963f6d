"""Fixes made in notes: one line each, and everything else stays as it was, to the byte."""

import os
import re
import secrets
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from difflib import unified_diff
from pathlib import Path
from typing import TYPE_CHECKING

from vaultloop.model.errors import Stalled
from vaultloop.model.problem import Fix, Problem
from vaultloop.vault.files import Entry, Files
from vaultloop.vault.git.effort import Effort
from vaultloop.vault.git.object_id import blob_id, tree_id
from vaultloop.vault.ignore import TEMPORARY
from vaultloop.vault.notes.inspection import Inspection, Kinds, inspected

if TYPE_CHECKING:  # understanding notes is loaded once there are any
    from vaultloop.model.resource import Ref, Spec

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
        """The change with the vault's paths: in its folder, `git apply` and `patch -p1` take it."""
        names = (_quoted(f"a/{self.path}"), _quoted(f"b/{self.path}"))
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

    Each note as a whole: where that would harm another note, or show more errors in its own, the note stays
    as it is. Only notes for which `concerns` is true are changed; `notes` as for `inspected`.
    """
    amended = Amended(files)
    fixed: list[Problem] = []
    left = inspected(amended, kinds, notes)
    wanted = {problem.file for problem in left.problems if _is_safe(problem) and concerns(problem.file)}
    if wanted:
        fixed = _mend(amended, sorted(wanted), _Sight(kinds))
        left = inspected(amended, kinds, notes)
    refused = wanted - {problem.file for problem in fixed}
    return Mending(tuple(amended.edits()), tuple(fixed), _without_safe_fixes(left, refused))


def _is_safe(problem: Problem) -> bool:
    return problem.fix is not None and problem.fix.safe


def _mend(amended: "Amended", paths: Sequence[str], sight: "_Sight") -> list[Problem]:
    """Make the safe fixes of some notes; where they do harm, take back those of the notes that do it."""
    before = found = sight.of(amended)
    were = {path: amended.now(path) for path in paths}
    made: list[Problem] = []
    for _ in range(MOST_ROUNDS):
        newly = list(amended.fix(problem for problem in found.problems if problem.file in were))
        if not newly:
            break
        made += newly
        found = sight.of(amended)
    if not before.harmed_by(found):
        return made
    for path, was in were.items():
        amended.put(path, was)
    half = len(paths) // 2
    return (
        [fix for part in (paths[:half], paths[half:]) for fix in _mend(amended, part, sight)] if half else []
    )


def _without_safe_fixes(found: Inspection, notes: Collection[str]) -> Inspection:
    problems = (
        replace(problem, fix=replace(problem.fix, safe=False))
        if problem.fix is not None and problem.file in notes
        else problem
        for problem in found.problems
    )
    return replace(found, problems=tuple(problems)) if notes else found


@dataclass(frozen=True, slots=True)
class _State:
    """What the vault's notes mean at one time."""

    problems: Sequence[Problem]
    valid: "Mapping[Ref, Spec]"
    known: "frozenset[Ref]"

    def harmed_by(self, after: "_State") -> bool:
        """Whether any note has more errors afterwards, something is new, or something valid changed."""
        before, now = (
            Counter(problem.file for problem in state.problems if problem.is_error) for state in (self, after)
        )
        return (
            any(now[path] > before[path] for path in now)
            or not after.known <= self.known
            or any(after.valid.get(ref) != spec for ref, spec in self.valid.items())
        )


class _Sight:
    """Looks at a vault again and again, and reads only what has changed."""

    def __init__(self, kinds: Kinds) -> None:
        from vaultloop.vault.notes.loader import Loader  # noqa: PLC0415 - see above

        self._loader = Loader(kinds(), Effort())

    def of(self, files: Files) -> _State:
        from vaultloop.vault.notes import context  # noqa: PLC0415 - see above

        snapshot = self._loader.load(files)
        problems = (*snapshot.problems, *context.problems(files, snapshot.resources))
        valid = {ref: resource.spec for ref, resource in snapshot.resources.items()}
        return _State(problems, valid, frozenset(valid) | frozenset(snapshot.broken))


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

    def now(self, path: str) -> bytes:
        """A note as it is by now."""
        entry = self.entry(path)
        return b"" if entry is None else self.read(entry)

    def put(self, path: str, data: bytes) -> None:
        """Give a note the text that it had earlier; the same fixes may then be made once more."""
        self._after[path] = data
        self._before.setdefault(path, data)
        self._seen = {(note, text) for note, text in self._seen if note != path}

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
        Stalled: notes cannot be written; it names them, and those that were. All others are written first.
    """
    kept: list[str] = []
    written: list[str] = []
    failed: list[str] = []
    for edit in edits:
        try:
            (written if _put(vault / edit.path, edit) else kept).append(edit.path)
        except OSError as error:
            failed.append(f"{edit.path} cannot be written: {error.strerror or error}.")
    if failed:
        told = [f"Fixed: {', '.join(written)}."] if written else []
        told += [*(f"{path} was changed meanwhile and stays as it is." for path in kept), *failed]
        raise Stalled(" ".join(told), cure="Check the folder's permissions and free space.")
    return tuple(kept)


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
    finally:
        # In a folder that may not be changed, nothing was put that could be taken away.
        with suppress(PermissionError):
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


def _quoted(name: str) -> str:
    """A file name as `git diff` writes it: odd ones in quotes, a tab behind one with spaces."""
    if not re.search(r'["\\\x00-\x1f\x7f]', name):
        return f"{name}\t" if " " in name else name
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda found: f"\\{ord(found[0]):03o}", escaped) + '"'


def _lines(data: bytes) -> list[str]:
    """Lines with their ends; only a newline ends one."""
    lines = data.decode().split("\n")
    return [line + "\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
