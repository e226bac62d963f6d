"""From files to a snapshot: every declaration under `agent/`, and every problem, at one state of the vault.

Incremental by content: a note is parsed once for each of its versions, and a state whose `agent/` tree is
known is not looked at again. What notes mean to each other is worked out anew each time, without parsing.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from vaultloop.model.problem import Problem, Severity
from vaultloop.model.resource import AnyResource, Kind, Ref, Spec
from vaultloop.model.snapshot import Snapshot
from vaultloop.vault.files import Entry, Files
from vaultloop.vault.git.effort import Effort
from vaultloop.vault.notes.declaration import Declaration, declared
from vaultloop.vault.notes.links import defaults_of, link, recall
from vaultloop.vault.notes.location import FOLDER, LOOK_ALIKES
from vaultloop.vault.plain_folder import FolderFiles

__all__ = ["FOLDER", "FolderFiles", "KnownNote", "Loader"]

_COPIES = re.compile(
    r"""\.sync-conflict-\d{8}-\d{6}        # Syncthing
      | \(.*conflict(?:ed)?\ copy.*\)      # Dropbox, Nextcloud, Obsidian Sync
      | \(sfconflict\ .*\)                 # Seafile
      | _conflict-\d{8}-\d{6}              # ownCloud
      | \[conflict(?:ed)?(?:\ \d+)?\]      # Google Drive
    """,
    re.IGNORECASE | re.VERBOSE,
)
_ICLOUD_COPY = re.compile(r"(?P<stem>.+) [2-9]\Z")


@dataclass(frozen=True, slots=True)
class KnownNote:
    """A version of a note that somebody kept."""

    path: str
    blob: str
    text: str


class Loader:
    """Understands declarations; remembers what it understood."""

    def __init__(self, kinds: Sequence[Kind[Any]], effort: Effort) -> None:
        self._kinds = {kind.name: kind for kind in kinds}
        self._effort = effort
        self._declarations: dict[tuple[str, str], Declaration] = {}
        self._trees: tuple[str | None, ...] = ()
        self._snapshot: Snapshot | None = None
        self._last_defaults: Spec | None = None

    def load(self, files: Files) -> Snapshot:
        """All that the vault declares in this state. Never raises for what stands in a note."""
        trees = tuple(files.tree_id(folder) for folder in (FOLDER, *LOOK_ALIKES))
        if self._snapshot is not None and trees[0] is not None and trees == self._trees:
            return replace(self._snapshot, revision=files.revision)
        problems = [_look_alike(folder) for folder, tree in zip(LOOK_ALIKES, trees[1:], strict=True) if tree]
        notes = [entry for entry in files.under(FOLDER) if _is_note(entry.path)]
        copies = dict(_copies(entry.path for entry in notes))
        problems += [_copy(path, original) for path, original in copies.items()]
        declarations = [self._declared(files, entry) for entry in notes if entry.path not in copies]
        self._declarations = {(note.path, note.blob): note for note in declarations}
        self._trees, self._snapshot = trees, self._linked(files.revision, declarations, problems)
        return self._snapshot

    def parse(self, path: str, blob: str, text: str) -> AnyResource | None:
        """One kept version of a note by itself; None if it is invalid now.

        Its references are taken as they stand, and it inherits from the defaults that were loaded last.
        """
        return next(iter(self.recall([KnownNote(path, blob, text)]).values()), None)

    def recall(self, notes: Iterable[KnownNote]) -> dict[Ref, AnyResource]:
        """Kept versions of notes, bound to each other; those that are invalid now are left out.

        A `defaults` note among them is what the others inherit from, here and, while the vault's own is
        invalid, in later loads.
        """
        read = [self._read(note) for note in notes]
        found, _ = defaults_of(read)
        defaults = self._last_defaults = found or self._last_defaults
        return recall(read, self._declarations.values(), self._kinds, defaults).resources

    def _read(self, note: KnownNote) -> Declaration:
        known = self._declarations.get((note.path, note.blob))
        if known is not None:
            return known
        self._effort.parsed += 1
        return declared(note.path, note.blob, note.text.encode(), self._kinds)

    def _declared(self, files: Files, entry: Entry) -> Declaration:
        known = self._declarations.get((entry.path, entry.blob))
        if known is not None:
            return known
        self._effort.parsed += 1
        return declared(entry.path, entry.blob, files.read(entry), self._kinds)

    def _linked(self, revision: str, declarations: list[Declaration], problems: list[Problem]) -> Snapshot:
        defaults, present = defaults_of(declarations)
        if defaults is None and present:
            # An invalid note keeps its last good version, also for those who inherit from it.
            defaults = self._last_defaults
        self._last_defaults = defaults
        linked = link(declarations, self._kinds, defaults)
        for declaration in declarations:
            problems.extend(declaration.problems)
        return Snapshot(
            revision=revision,
            resources=linked.resources,
            problems=tuple(sorted([*problems, *linked.problems])),
            broken=linked.broken,
        )


def _is_note(path: str) -> bool:
    # Obsidian does not show what begins with a dot, so nobody would see such a declaration.
    return path.lower().endswith(".md") and not any(part.startswith(".") for part in path.split("/"))


def _copies(paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Notes that a sync service made of a conflict, each with what it is a copy of."""
    all_paths = frozenset(paths)
    for path in sorted(all_paths):
        pure = PurePosixPath(path)
        if found := _COPIES.search(pure.name):
            yield path, pure.name[: found.start()].strip() + pure.suffix
        elif (found := _ICLOUD_COPY.fullmatch(pure.stem)) and str(pure.with_stem(found["stem"])) in all_paths:
            yield path, found["stem"] + pure.suffix


def _copy(path: str, original: str) -> Problem:
    message = f"This is a copy that a sync service made of `{original}`; it declares nothing."
    cure = f"Take over into `{original}` what you want to keep and delete this note, or rename it."
    return Problem(path, 1, 1, Severity.ERROR, "sync-conflict", message, cure)


def _look_alike(folder: str) -> Problem:
    message = f"The folder `{folder}` declares nothing: declarations lie in `{FOLDER}`, in small letters."
    return Problem(folder, 1, 1, Severity.WARNING, "folder-look-alike", message, f"Rename it to `{FOLDER}`.")
