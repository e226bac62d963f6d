"""A view: the folder a session works in, with the files of its scope at one revision and nothing else.

What a session left behind is read with suspicion: whatever is not an ordinary file is named and refused,
never followed.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vaultloop.model.errors import Stalled
from vaultloop.vault.files import Entry
from vaultloop.vault.views.manifest import Base, Look, NotOursError
from vaultloop.vault.views.scan import (
    DEEPEST,
    LONGEST_PATH,
    MOST_FOUND,
    Found,
    Place,
    bad_name,
    folder_below,
    printable,
    scan,
    too_deep,
)

__all__ = ["DEEPEST", "LONGEST_PATH", "Look", "Place", "bad_name", "folder_below", "too_deep"]

# Notes are small; this bounds what one attachment may add to a vault's history for ever.
LARGEST_FILE = 25 * 1024 * 1024

# What one session may write in all: files, and bytes. Beyond it nothing of it is published, for half of a
# change is worth less than none.
MOST_WRITTEN = 1_000
MOST_BYTES = 100 * 1024 * 1024

FOLDER = "vault"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A change that is not published, and why, as the reply says it."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class NotOrdinaryError(Exception):
    """A path of the view holds something that is never published; the text says what."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What differs between a view and its base.

    Attributes:
        written: files that are new or have other content; read them with `View.read`.
        deleted: files of the base that are gone.
        refused: what is in the view and must not be published, whatever the scope grants.
        files: how many files the base has.
    """

    written: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    refused: tuple[Refusal, ...] = ()
    files: int = field(default=0, compare=False)

    def __bool__(self) -> bool:
        return bool(self.written or self.deleted or self.refused)


@dataclass(frozen=True, slots=True)
class Leftover:
    """What has to be mended in a view before another session may have it.

    Attributes:
        files: those that are not as they were put in, be it gone or only touched.
        folders: those that are not ours, the outer ones first.
    """

    files: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()


class View:
    """One leased view.

    Attributes:
        place: the directory that was made for it; another one under its name is not the view.
        base: what was put in, by path, and how it looked then.
        leftover: what the last look at its changes saw; None before one, and where nothing can be mended.
    """

    def __init__(self, home: Path, revision: str, place: Place) -> None:
        self.home = home
        self.revision = revision
        self.place = place
        self.base: Mapping[str, tuple[Entry, Look]] = Base(home)
        self.leftover: Leftover | None = None

    @property
    def folder(self) -> Path:
        """Where the session works."""
        return self.home / FOLDER

    def changes(self) -> Changes:
        """What the session changed. Looks at every file, reads only those that look different.

        Raises:
            Stalled: the directory is gone, or there is another one, or a link, in its place.
        """
        self.leftover = None
        found = self._found()
        if not found.whole:
            return self._too_much(f"more than {MOST_FOUND:,} files and folders")
        comparison = _Comparison(self, found)
        changes = comparison.changes()
        if not changes.refused:
            gone = comparison.deleted | {path for path, _ in found.changed}
            self.leftover = Leftover(tuple(sorted(gone)), tuple(found.folders))
        if len(changes.written) > MOST_WRITTEN:
            return self._too_much(f"{len(changes.written):,} files; more than {MOST_WRITTEN:,}")
        if comparison.size > MOST_BYTES:
            return self._too_much(f"more than {MOST_BYTES // (1024 * 1024)} MB")
        return changes

    def read(self, path: str) -> bytes:
        """The content of one file of the view.

        Raises:
            NotOrdinaryError: it is a link, a special file, too large, or gone.
        """
        descriptor = _open_below(self.folder, path, self.place)
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            check_ordinary(found)
            data = file.read(found.st_size + 1)
        if len(data) != found.st_size:
            raise NotOrdinaryError("it was written to while it was read")
        return data

    def _found(self) -> Found:
        assert isinstance(self.base, Base)
        try:
            return scan(self.folder, self.place, self.base.rows)
        except (OSError, NotOursError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise Stalled(
                f"The folder in which the session worked was moved, removed or replaced ({why}); "
                "nothing of it is published.",
                cure="",
            ) from error

    def _too_much(self, how_much: str) -> Changes:
        what = Refusal("all that it wrote", f"{how_much} are too many for one session")
        return Changes(refused=(what,), files=len(self.base))


class _Comparison:
    """The files that look different, sorted into what is and what is not."""

    def __init__(self, view: View, found: Found) -> None:
        self._view = view
        self._found = found
        self.size = 0
        self.deleted: set[str] = set()

    def changes(self) -> Changes:
        written: list[str] = []
        refused = [Refusal(printable(path), complaint) for path, complaint in self._found.refused]
        hidden = {path for path, _ in self._found.refused}
        for path, found in self._found.changed:
            try:
                if self._differs(path, found):
                    written.append(path)
            except NotOrdinaryError as error:
                refused.append(Refusal(path, str(error)))
                hidden.add(path)
        base, same = self._view.base, self._found.same
        known = [path for path, _ in self._found.changed if path in base]
        if len(same) + len(known) < len(base):
            self.deleted = set(base).difference(same, known)
        # A folder that became a link, or is closed: what was in it is not deleted, it is out of sight.
        deleted = {path for path in self.deleted if hidden.isdisjoint(_and_above(path))}
        return Changes(
            tuple(sorted(written)),
            tuple(sorted(deleted)),
            tuple(sorted(refused, key=str)),
            len(self._view.base),
        )

    def _differs(self, path: str, found: os.stat_result) -> bool:
        check_ordinary(found)
        self.size += found.st_size
        if self.size > MOST_BYTES:
            # All of it is refused: there is nothing to compare any more.
            return True
        known = self._view.base.get(path)
        return known is None or blob_id(self._view.read(path)) != known[0].blob


def blob_id(data: bytes) -> str:
    """The id that git gives to this content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


_TOO_LARGE = f"larger than {LARGEST_FILE // (1024 * 1024)} MB"


def check_ordinary(found: os.stat_result) -> None:
    """Take a regular file of our own size.

    Raises:
        NotOrdinaryError: it is something else; says what.
    """
    if stat.S_ISLNK(found.st_mode):
        raise NotOrdinaryError("a symbolic link")
    if not stat.S_ISREG(found.st_mode):
        raise NotOrdinaryError("not a regular file")
    if found.st_nlink > 1:
        raise NotOrdinaryError("a hard link")
    if found.st_size > LARGEST_FILE:
        raise NotOrdinaryError(_TOO_LARGE)


def _and_above(path: str) -> Iterator[str]:
    """The path, and the folders in which it lies."""
    while path:
        yield path
        path = path.rpartition("/")[0]


def _open_below(folder: Path, path: str, place: Place) -> int:
    *parents, name = path.split("/")
    try:
        with folder_below(folder, parents, place=place) as inside:
            # NONBLOCK: opening a named pipe must not wait for somebody to write into it.
            return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=inside)
    except OSError as error:
        link = error.errno in (errno.ELOOP, errno.ENOTDIR)
        raise NotOrdinaryError("a symbolic link" if link else f"unreadable ({error.strerror})") from error
