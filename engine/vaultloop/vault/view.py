"""A view: the folder a session works in, with the files of its scope at one revision and nothing else.

What a session left behind is read with suspicion: whatever is not an ordinary file is named and refused,
never followed.
"""

import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vaultloop.vault.files import Entry

# Notes are small; this bounds what one attachment may add to a vault's history for ever.
LARGEST_FILE = 25 * 1024 * 1024

# Control characters, and those that turn the direction of text: a name must show what it is.
_MISLEADING = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

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
class Look:
    """How a file looked when it was put into a view: equal looks, equal content.

    The change time is part of it: a program can set back the modification time, but not this one.
    """

    size: int
    modified: int
    changed: int
    inode: int

    @classmethod
    def of(cls, found: os.stat_result) -> "Look":
        return cls(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


@dataclass(frozen=True, slots=True)
class Changes:
    """What differs between a view and its base.

    Attributes:
        written: files that are new or have other content; read them with `View.read`.
        deleted: files of the base that are gone.
        refused: what is in the view and must not be published, whatever the scope grants.
    """

    written: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    refused: tuple[Refusal, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.written or self.deleted or self.refused)


class View:
    """One leased view."""

    def __init__(self, home: Path, revision: str, base: Mapping[str, tuple[Entry, Look]]) -> None:
        self.home = home
        self.revision = revision
        self._base = base

    @property
    def folder(self) -> Path:
        """Where the session works."""
        return self.home / FOLDER

    @property
    def base(self) -> Mapping[str, tuple[Entry, Look]]:
        """What was put in, by path, and how it looked then."""
        return self._base

    def changes(self) -> Changes:
        """What the session changed. Looks at every file, reads only those that look different."""
        written: list[str] = []
        refused: list[Refusal] = []
        seen: set[str] = set()
        for path, found, complaint in _scan(self.folder):
            if complaint:
                refused.append(Refusal(path, complaint))
                seen.update(_within(path, self._base))
                continue
            seen.add(path)
            try:
                if self._differs(path, found):
                    written.append(path)
            except NotOrdinaryError as error:
                refused.append(Refusal(path, str(error)))
                # A folder that became a link: what was in it is not deleted, it is out of sight.
                seen.update(_within(path, self._base))
        deleted = self._base.keys() - seen
        return Changes(tuple(sorted(written)), tuple(sorted(deleted)), tuple(sorted(refused, key=str)))

    def read(self, path: str) -> bytes:
        """The content of one file of the view.

        Raises:
            NotOrdinaryError: it is a link, a special file, too large, or gone.
        """
        descriptor = _open_below(self.folder, path)
        with os.fdopen(descriptor, "rb") as file:
            _check_ordinary(os.fstat(descriptor))
            data = file.read(LARGEST_FILE + 1)
        if len(data) > LARGEST_FILE:
            raise NotOrdinaryError(_TOO_LARGE)
        return data

    def _differs(self, path: str, found: os.stat_result) -> bool:
        known = self._base.get(path)
        if known is None:
            _check_ordinary(found)
            return True
        entry, look = known
        if Look.of(found) == look:
            return False
        _check_ordinary(found)
        return blob_id(self.read(path)) != entry.blob


def blob_id(data: bytes) -> str:
    """The id that git gives to this content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


_TOO_LARGE = f"larger than {LARGEST_FILE // (1024 * 1024)} MB"


def _check_ordinary(found: os.stat_result) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise NotOrdinaryError("a symbolic link")
    if not stat.S_ISREG(found.st_mode):
        raise NotOrdinaryError("not a regular file")
    if found.st_nlink > 1:
        raise NotOrdinaryError("a hard link")
    if found.st_size > LARGEST_FILE:
        raise NotOrdinaryError(_TOO_LARGE)


def _scan(folder: Path) -> Iterator[tuple[str, os.stat_result, str]]:
    """Each file below `folder` with its status, and a complaint where not even its name is acceptable."""
    # fwalk holds a descriptor of each directory: none can be swapped for a link while we look.
    for root, directories, names, descriptor in os.fwalk(folder, follow_symlinks=False):
        inside = os.path.relpath(root, folder)
        for name in sorted(directories + names):
            path = name if inside == "." else f"{inside}/{name}"
            try:
                found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            except FileNotFoundError:
                continue
            complaint = bad_name(name)
            if stat.S_ISDIR(found.st_mode):
                if not os.access(name, os.R_OK | os.X_OK, dir_fd=descriptor):
                    # What is in it is out of sight, not deleted.
                    complaint = complaint or "a folder that cannot be read"
                if not complaint:
                    continue
                directories.remove(name)
            yield _printable(path) if complaint else path, found, complaint


def bad_name(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    if name.startswith("."):
        return "its name begins with a dot"
    if _MISLEADING.search(name):
        return "its name has control characters"
    return ""


def _printable(path: str) -> str:
    text = path.encode(errors="surrogateescape").decode(errors="replace")
    return _MISLEADING.sub("\N{REPLACEMENT CHARACTER}", text)


def _within(path: str, known: Mapping[str, Any]) -> Iterator[str]:
    return (other for other in known if other == path or other.startswith(path + "/"))


@contextmanager
def folder_below(folder: Path, parents: Sequence[str], *, make: bool = False) -> Iterator[int]:
    """A descriptor of a folder below `folder`, opened component by component so that no link is followed.

    Raises:
        OSError: there is none, or a link is in the way.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    current = os.open(folder, flags)
    try:
        for parent in parents:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(parent, 0o700, dir_fd=current)
            below = os.open(parent, flags, dir_fd=current)
            os.close(current)
            current = below
        yield current
    finally:
        os.close(current)


def _open_below(folder: Path, path: str) -> int:
    *parents, name = path.split("/")
    try:
        with folder_below(folder, parents) as inside:
            # NONBLOCK: opening a named pipe must not wait for somebody to write into it.
            return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=inside)
    except OSError as error:
        link = error.errno in (errno.ELOOP, errno.ENOTDIR)
        raise NotOrdinaryError("a symbolic link" if link else f"unreadable ({error.strerror})") from error
