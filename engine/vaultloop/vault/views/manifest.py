"""What lies beside a view: which files were put in and how they looked then, and what it is a view of.

The list of files (their paths, one a line; their looks, one record each) only grows at its end while a view
is moved, so moving costs what the change costs: what is said last of a path counts. The standing is one small
file: while a view is half-way there is none, and after a crash nobody takes it for whole.
"""

import json
import os
import stat
import struct
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from vaultloop.vault.files import Entry

PATHS = "paths"
LOOKS = "looks"
STANDING = "standing.json"

# Bytes; a hundred thousand files have about 15 MB. What is larger, a session put there.
_LARGEST = 100 * 1024 * 1024

# Records of the list that tell nothing any more, before it is written anew.
_SUPERSEDED = 10_000

# No name in a view begins with a dot, is empty, or has a control character.
_OUTSIDE = ("\n.", "/.", "//", "\n/", "/\n", "\n\n", "\0")


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


# Size, modification time, change time and inode.
Row = tuple[int, int, int, int]

# A row, whether the file is executable, and its blob; the two ways to read it know only of one part each.
_RECORD = struct.Struct("<qqqq?20s")
_ROW = struct.Struct("<qqqq21x")
_CONTENT = struct.Struct("<32x?20s")

# The size of a file that was taken out.
_GONE = -1


class Base(Mapping[str, tuple[Entry, Look]]):
    """What was put into a view, by path, and how it looked then; read when it is first needed."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._paths: list[str] = []
        self._looks = b""
        self._rows: dict[str, Row] | None = None
        self._contents: dict[str, tuple[bool, bytes]] | None = None

    @property
    def rows(self) -> Mapping[str, Row]:
        """How each file looked, as plain numbers.

        Raises:
            NotOursError: the list was tampered with.
            OSError: it cannot be read.
        """
        if self._rows is None:
            self._paths = _lines(self._home / PATHS)
            self._looks = _read_ordinary(self._home / LOOKS)
            if len(self._looks) != _RECORD.size * len(self._paths):
                raise NotOursError("it has more paths than files, or fewer")
            rows = dict(zip(self._paths, _ROW.iter_unpack(self._looks), strict=True))
            self._rows = {path: row for path, row in rows.items() if row[0] != _GONE}
        return self._rows

    def __getitem__(self, path: str) -> tuple[Entry, Look]:
        row = self.rows[path]
        if self._contents is None:
            self._contents = dict(zip(self._paths, _CONTENT.iter_unpack(self._looks), strict=True))
        executable, blob = self._contents[path]
        return Entry(path, blob.hex(), executable=executable), Look(*row)

    def __contains__(self, path: object) -> bool:
        return path in self.rows

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def tidy(self) -> None:
        """Write the list anew if most of it tells nothing any more."""
        if self._rows is None or len(self._paths) <= 2 * len(self._rows) + _SUPERSEDED:
            return
        held = dict(self)
        # After a crash in between there is no view here: its paths and looks do not fit together.
        for name in (PATHS, LOOKS):
            (self._home / name).unlink()
        append(self._home, (), held)


def append(home: Path, gone: Collection[str], put_in: Mapping[str, tuple[Entry, Look]]) -> None:
    """Put down what was taken out of the view in `home`, and then what was put in."""
    records = [_RECORD.pack(_GONE, 0, 0, 0, False, b"")] * len(gone)
    for entry, look in put_in.values():
        row = look.size, look.modified, look.changed, look.inode
        records.append(_RECORD.pack(*row, entry.executable, bytes.fromhex(entry.blob)))
    with (home / PATHS).open("a", newline="") as paths, (home / LOOKS).open("ab") as looks:
        paths.write("".join(f"{path}\n" for path in (*gone, *put_in)))
        looks.write(b"".join(records))


def _lines(file: Path) -> list[str]:
    """The paths in a list; none of them leads out of the view."""
    try:
        text = _read_ordinary(file).decode()
    except UnicodeDecodeError as error:
        raise NotOursError("it is no text") from error
    if any(mark in f"\n{text}" for mark in _OUTSIDE) or not (text.endswith("\n") or not text):
        raise NotOursError("it names what is not in the view")
    return text.split("\n")[:-1]


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


def _read_ordinary(path: Path) -> bytes:
    """The content of a regular file; a pipe in its place is not waited for, nor a link followed."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > _LARGEST:
            raise NotOursError(f"{path} is no file of ours")
        return file.read(found.st_size)
