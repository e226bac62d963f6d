"""The disk: whether it has room, whether what was written is on it, what lies there.

Room is asked for before anything is written, so that a full disk refuses a change as a whole.
"""

import hashlib
import os
import stat
from collections.abc import Collection
from pathlib import Path

from vaultloop.model.errors import Retry

# Bytes that are left to others, and to what git and the database write meanwhile; on a small disk this part.
RESERVE = 32 * 1024 * 1024
PART = 50

# From so many files on, one `sync` of the whole disk is quicker than one for each.
MANY = 50

# Bytes that are read at a time.
CHUNK = 1 << 20


def insist_on_room(place: Path, wanted: int) -> None:
    """Before `wanted` bytes are written below `place`, which exists.

    Raises:
        Retry: they would fill the disk; it goes on by itself once there is room.
    """
    disk = os.statvfs(place)
    free = disk.f_bavail * disk.f_frsize
    reserve = min(RESERVE, disk.f_blocks * disk.f_frsize // PART)
    if free >= wanted + reserve and (disk.f_favail > 0 or disk.f_files == 0):
        return
    raise Retry(
        f"The disk of {place} is full: {_shown(wanted)} are to be written, {_shown(free)} are free, and"
        f" {_shown(reserve)} are kept. Nothing was changed. Free some space; then it goes on by itself."
    )


def bring_to_disk(files: Collection[Path]) -> None:
    """Return once a power cut cannot take the content of these files any more; links are passed over."""
    if len(files) > MANY:
        os.sync()
        return
    for file in files:
        if not file.is_symlink():
            descriptor = os.open(file, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def ignores_case(folder: Path) -> bool:
    """Whether the disk takes `Note.md` and `note.md` for one, as those of macOS and Windows do."""
    other = folder.with_name(folder.name.swapcase())
    try:
        return other.name != folder.name and folder.samefile(other)
    except OSError:
        return False


def raw_blob_of(file: Path) -> str | None:
    """The id of a file's bytes; None for what is unreadable, or no regular file (a pipe makes one wait)."""
    try:
        if not stat.S_ISREG(os.lstat(file).st_mode):
            return None
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        with os.fdopen(descriptor, "rb") as content:
            info = os.fstat(descriptor)
            if not stat.S_ISREG(info.st_mode):
                return None
            digest = hashlib.sha1(b"blob %d\0" % info.st_size, usedforsecurity=False)
            while chunk := content.read(CHUNK):
                digest.update(chunk)
    except OSError:
        return None
    return digest.hexdigest()


def hand_over(path: Path, owner: os.stat_result) -> None:
    """An engine that runs as root, in a container, must not leave files that their human cannot edit."""
    if os.geteuid() == 0:
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _shown(size: int) -> str:
    return f"{size / 1024 / 1024:.1f} MiB"
