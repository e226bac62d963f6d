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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vaultloop.model.errors import Stalled
from vaultloop.vault.files import Entry

# Notes are small; this bounds what one attachment may add to a vault's history for ever.
LARGEST_FILE = 25 * 1024 * 1024

# Control characters, and those that turn the direction of text: a name must show what it is.
_MISLEADING = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

# Nobody's notes lie deeper, or have longer paths (bytes); a program that runs wild makes both.
DEEPEST = 64
LONGEST_PATH = 1000

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
class Place:
    """Which directory it is, whatever its name is by now."""

    device: int
    inode: int

    @classmethod
    def of(cls, found: os.stat_result) -> "Place":
        return cls(found.st_dev, found.st_ino)


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


class View:
    """One leased view.

    Attributes:
        place: the directory that was made for it; another one under its name is not the view.
    """

    def __init__(
        self, home: Path, revision: str, base: Mapping[str, tuple[Entry, Look]], place: Place
    ) -> None:
        self.home = home
        self.revision = revision
        self.place = place
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
        """What the session changed. Looks at every file, reads only those that look different.

        Raises:
            Stalled: the directory is gone, or there is another one, or a link, in its place.
        """
        written: list[str] = []
        refused: list[Refusal] = []
        seen: set[str] = set()
        for path, found in self._found():
            if isinstance(found, str):
                refused.append(Refusal(path, found))
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
        return Changes(
            tuple(sorted(written)), tuple(sorted(deleted)), tuple(sorted(refused, key=str)), len(self._base)
        )

    def read(self, path: str) -> bytes:
        """The content of one file of the view.

        Raises:
            NotOrdinaryError: it is a link, a special file, too large, or gone.
        """
        descriptor = _open_below(self.folder, path, self.place)
        with os.fdopen(descriptor, "rb") as file:
            _check_ordinary(os.fstat(descriptor))
            data = file.read(LARGEST_FILE + 1)
        if len(data) > LARGEST_FILE:
            raise NotOrdinaryError(_TOO_LARGE)
        return data

    def _found(self) -> "Iterator[tuple[str, os.stat_result | str]]":
        try:
            yield from _scan(self.folder, self.place)
        except OSError as error:
            raise Stalled(
                f"The folder in which the session worked was moved, removed or replaced ({error.strerror}); "
                "nothing of it is published.",
                cure="",
            ) from error

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


def _scan(folder: Path, place: Place) -> "Iterator[tuple[str, os.stat_result | str]]":
    """Each file below `folder` with its status, or with a complaint where it is not even looked at."""
    waiting: list[list[str]] = [[]]
    while waiting:
        parents = waiting.pop()
        try:
            with folder_below(folder, parents, place=place) as inside:
                names = sorted(os.listdir(inside))  # noqa: PTH208 - of a descriptor
                found = [(name, _status(inside, name)) for name in names]
        except OSError:
            if not parents:
                raise
            # What is in it is out of sight, not deleted.
            yield "/".join(parents), "a folder that cannot be read"
            continue
        for name, status in found:
            path = "/".join((*parents, name))
            if complaint := bad_name(name) or too_deep(path):
                yield _printable(path), complaint
            elif status and stat.S_ISDIR(status.st_mode):
                waiting.append([*parents, name])
            elif status:
                yield path, status


def _status(folder: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def too_deep(path: str) -> str:
    deep = path.count("/") >= DEEPEST or len(path.encode(errors="surrogateescape")) > LONGEST_PATH
    return "it lies too deep" if deep else ""


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
def folder_below(
    folder: Path, parents: Sequence[str], *, place: Place | None = None, make: bool = False
) -> Iterator[int]:
    """A descriptor of a folder below `folder`, opened component by component so that no link is followed.

    Raises:
        OSError: there is none, a link is in the way, or `folder` is not the directory at `place`.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    current = os.open(folder, flags)
    try:
        if place is not None and Place.of(os.fstat(current)) != place:
            raise OSError(errno.ESTALE, "another folder is in its place", str(folder))
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


def _open_below(folder: Path, path: str, place: Place) -> int:
    *parents, name = path.split("/")
    try:
        with folder_below(folder, parents, place=place) as inside:
            # NONBLOCK: opening a named pipe must not wait for somebody to write into it.
            return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=inside)
    except OSError as error:
        link = error.errno in (errno.ELOOP, errno.ENOTDIR)
        raise NotOrdinaryError("a symbolic link" if link else f"unreadable ({error.strerror})") from error
