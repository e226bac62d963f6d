"""What lies beside a view: which files were put in and how they looked then, and what it is a view of.

The list of files only grows at its end while a view is moved, so moving costs what the change costs. The
standing is one small file: while a view is half-way there is none, and after a crash nobody takes it for
whole.
"""

import json
import os
import stat
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from vaultloop.vault.files import Entry

FILES = "files"
STANDING = "standing.json"

# Bytes; a hundred thousand files have about 15 MB. What is larger, a session put there.
_LARGEST = 100 * 1024 * 1024

# Lines of the list that tell nothing any more, before it is written anew.
_SUPERSEDED = 10_000

# No name in a view begins with a dot, is empty, or has a control character.
_OUTSIDE = ("\t.", "/.", "//", "\t/", "/\n", "\t\n", "\0")


class NotOursError(ValueError):
    """What lies beside a view is not what we put there."""


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


# Size, modification and change time, inode, whether it is executable, blob.
Row = tuple[int, int, int, int, bool, str]


class Base(Mapping[str, tuple[Entry, Look]]):
    """What was put into a view, by path, and how it looked then; read when it is first needed."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._rows: dict[str, Row] | None = None
        self._lines = 0

    @property
    def rows(self) -> Mapping[str, Row]:
        """The same, as plain numbers: one object a file instead of three.

        Raises:
            NotOursError: the list was tampered with.
            OSError: it cannot be read.
        """
        if self._rows is None:
            text = _read_ordinary(self._home / FILES)
            self._lines = text.count("\n")
            self._rows = _parsed(text)
        return self._rows

    def __getitem__(self, path: str) -> tuple[Entry, Look]:
        size, modified, changed, inode, executable, blob = self.rows[path]
        return Entry(path, blob, executable=executable), Look(size, modified, changed, inode)

    def __contains__(self, path: object) -> bool:
        return path in self.rows

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def tidy(self) -> None:
        """Write the list anew if most of it tells nothing any more."""
        if self._rows is None or self._lines <= 2 * len(self._rows) + _SUPERSEDED:
            return
        new = self._home / f"{FILES}.new"
        new.write_text("".join(f"{_line(path, *self[path])}\n" for path in self), newline="")
        new.replace(self._home / FILES)


def append(home: Path, gone: Collection[str], put_in: Mapping[str, tuple[Entry, Look]]) -> None:
    """Put down what was taken out of the view in `home`, and then what was put in."""
    lines = [f"-\t{path}\n" for path in gone]
    lines += [f"{_line(path, entry, look)}\n" for path, (entry, look) in put_in.items()]
    with (home / FILES).open("a", newline="") as file:
        file.write("".join(lines))


def _line(path: str, entry: Entry, look: Look) -> str:
    mode = "x" if entry.executable else "f"
    return f"{look.size}\t{look.modified}\t{look.changed}\t{look.inode}\t{mode}\t{entry.blob}\t{path}"


def _parsed(text: str) -> dict[str, Row]:
    if any(mark in text for mark in _OUTSIDE):
        raise NotOursError("it names what is not in the view")
    rows: dict[str, Row] = {}
    lines = text.split("\n")
    if lines.pop():
        raise NotOursError("its last line has no end")
    try:
        for line in lines:
            size, *rest = line.split("\t")
            if size == "-":
                (path,) = rest
                rows.pop(path, None)
            else:
                modified, changed, inode, mode, blob, path = rest
                rows[path] = int(size), int(modified), int(changed), int(inode), mode == "x", blob
    except ValueError as error:
        raise NotOursError("one of its lines is not of ours") from error
    return rows


class Standing(BaseModel):
    """What a view is a view of.

    Attributes:
        tree: of the revision.
        place: device and inode of the directory that was made for it.
        reading: which files of a revision are in it; equal values, equal choice.
        asked: the attachments that are in it because somebody asked for them.
        boot: since when the machine runs: what was not written to the disk before a power cut is not there.
        left: what its last session changed, and the folders that it made, if nothing of it can be anywhere
            else; None while that is not known, so that all of it has to be looked at.
    """

    model_config = ConfigDict(strict=True, extra="forbid")

    revision: str
    tree: str
    place: tuple[int, int]
    reading: str
    asked: list[str]
    boot: str
    left: tuple[list[str], list[str]] | None = None

    @classmethod
    def beside(cls, home: Path) -> "Standing | None":
        """That of the view in `home`; None if it has none, or it is not ours."""
        try:
            found = cls.model_validate_json(_read_ordinary(home / STANDING), strict=True)
        except (OSError, ValidationError, NotOursError):
            return None
        names = [*found.asked, *(path for paths in found.left or () for path in paths)]
        return found if all(map(_stays_inside, names)) else None

    def write(self, home: Path) -> None:
        """Put it beside the view, whole or not at all."""
        new = home / f"{STANDING}.new"
        new.write_text(json.dumps(self.model_dump()))
        new.replace(home / STANDING)


def boot() -> str:
    """An identity of the time since the machine was started; a new one each time if it has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return os.urandom(16).hex()


def _stays_inside(path: str) -> bool:
    return not any(part in ("", ".", "..") or "\0" in part for part in path.split("/"))


def _read_ordinary(path: Path) -> str:
    """The content of a regular file; a pipe in its place is not waited for, nor a link followed."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > _LARGEST:
            raise NotOursError(f"{path} is no file of ours")
        try:
            return file.read(_LARGEST).decode()
        except UnicodeDecodeError as error:
            raise NotOursError(f"{path} is no text of ours") from error
