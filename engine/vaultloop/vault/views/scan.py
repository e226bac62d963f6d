"""Looking through a folder in which a program ran that may have left anything in it.

Nothing is followed, nothing is opened but folders, and what is held in memory has a bound: a folder of a
million files takes no longer than one of some thousands.
"""

import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from vaultloop.vault.views.manifest import Row

# Control characters, and those that turn the direction of text: a name must show what it is.
_MISLEADING = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

# Nobody's notes lie deeper, or have longer paths (bytes); a program that runs wild makes both.
DEEPEST = 64
LONGEST_PATH = 1000

# So many files and folders are looked at beside those that were put in; then the scan stops.
MOST_FOUND = 10_000

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Place:
    """Which directory it is, whatever its name is by now."""

    device: int
    inode: int

    @classmethod
    def of(cls, found: os.stat_result) -> "Place":
        return cls(found.st_dev, found.st_ino)


@dataclass(slots=True)
class Found:
    """What a scan saw.

    Attributes:
        same: the files that look as they were put in.
        changed: the files that are new, or look different.
        refused: what is not even looked at: its path, and the complaint.
        folders: those in which, and below which, nothing was put; the outer ones first.
        whole: false if there was so much that it stopped.
    """

    same: set[str] = field(default_factory=set)
    changed: list[tuple[str, os.stat_result]] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    whole: bool = True


class _TooMuchError(Exception):
    """There is more in the folder than anybody wants to know."""


def scan(folder: Path, place: Place, known: Mapping[str, Row]) -> Found:
    """Compare what is in `folder` with what is `known` to have been put in.

    Raises:
        OSError: there is another directory than the one at `place`, or a link, or none.
    """
    walk = _Walk(known)
    with folder_below(folder, [], place=place) as top, suppress(_TooMuchError):
        walk.through(top, "")
    return walk.found


class _Walk:
    def __init__(self, known: Mapping[str, Row]) -> None:
        self.found = Found()
        self._known = known
        self._left = MOST_FOUND
        self._ours = _folders(known)

    def through(self, folder: int, prefix: str) -> None:
        """Look at an open folder, whose files have paths that begin with `prefix`."""
        same, known, ours = self.found.same, self._known, self._ours
        below: list[str] = []
        with os.scandir(folder) as entries:
            # The one loop that a large view spends its time in: no calls for what is as it was.
            for entry in entries:
                path = prefix + entry.name
                row = known.get(path)
                if row is None:
                    if path in ours or self._new(entry, path):
                        below.append(entry.name)
                    continue
                try:
                    now = entry.stat(follow_symlinks=False)
                except OSError:
                    # Gone meanwhile.
                    continue
                if (now.st_size, now.st_mtime_ns, now.st_ctime_ns, now.st_ino) == row:
                    same.add(path)
                else:
                    self.found.changed.append((path, now))
        for name in below:
            self._enter(folder, prefix + name, name)

    def _new(self, entry: "os.DirEntry[str]", path: str) -> bool:
        """Take note of what was not put in; whether it is a folder to be looked into."""
        self._count()
        if complaint := bad_name(entry.name) or too_deep(path):
            self.found.refused.append((path, complaint))
        elif entry.is_dir(follow_symlinks=False):
            self.found.folders.append(path)
            return True
        else:
            with suppress(OSError):
                self.found.changed.append((path, entry.stat(follow_symlinks=False)))
        return False

    def _enter(self, parent: int, path: str, name: str) -> None:
        try:
            folder = os.open(name, _FOLDER, dir_fd=parent)
        except OSError:
            self._closed(parent, path, name)
            return
        try:
            self.through(folder, path + "/")
        finally:
            os.close(folder)

    def _closed(self, parent: int, path: str, name: str) -> None:
        """Take note of what cannot be entered: a folder that is closed, or something in the place of one."""
        with suppress(FileNotFoundError):
            found = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode):
                # What is in it is out of sight, not deleted.
                self.found.refused.append((path, "a folder that cannot be read"))
            else:
                self.found.changed.append((path, found))

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            self.found.whole = False
            raise _TooMuchError


def _folders(paths: Iterable[str]) -> set[str]:
    """All folders in which they lie."""
    found: set[str] = set()
    for path in paths:
        above = path.rpartition("/")[0]
        while above and above not in found:
            found.add(above)
            above = above.rpartition("/")[0]
    return found


def too_deep(path: str) -> str:
    """The complaint about a path that nobody's notes have; empty if there is none."""
    deep = path.count("/") >= DEEPEST or len(path.encode(errors="surrogateescape")) > LONGEST_PATH
    return "it lies too deep" if deep else ""


def bad_name(name: str) -> str:
    """The complaint about the name of a file or folder that is in no view; empty if there is none."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    if name.startswith("."):
        return "its name begins with a dot"
    if _MISLEADING.search(name):
        return "its name has control characters"
    return ""


def printable(path: str) -> str:
    """A path as it may be shown: without bytes that are no text, and without what misleads."""
    text = path.encode(errors="surrogateescape").decode(errors="replace")
    return _MISLEADING.sub("\N{REPLACEMENT CHARACTER}", text)


@contextmanager
def folder_below(
    folder: Path, parents: Sequence[str], *, place: Place | None = None, make: bool = False
) -> Iterator[int]:
    """A descriptor of a folder below `folder`, opened component by component so that no link is followed.

    Raises:
        OSError: there is none, a link is in the way, or `folder` is not the directory at `place`.
    """
    current = os.open(folder, _FOLDER)
    try:
        if place is not None and Place.of(os.fstat(current)) != place:
            raise OSError(errno.ESTALE, "another folder is in its place", str(folder))
        for parent in parents:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(parent, 0o700, dir_fd=current)
            below = os.open(parent, _FOLDER, dir_fd=current)
            os.close(current)
            current = below
        yield current
    finally:
        os.close(current)
