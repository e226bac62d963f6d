"""Removing what a session left behind, whatever it is: very deep, closed to us, or not even a folder."""

import logging
import os
import secrets
import stat
from pathlib import Path

log = logging.getLogger(__name__)

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def clear_away(path: Path) -> None:
    """Remove what is at `path`, following no link. What resists is logged: the next sweep tries again."""
    try:
        _remove(path)
    except FileNotFoundError:
        return
    except OSError as error:
        log.warning("%s cannot be removed: %s", path, error)


def _remove(path: Path) -> None:
    if not stat.S_ISDIR(path.lstat().st_mode):
        path.unlink()
        return
    path.chmod(0o700)
    top = os.open(path, _FOLDER)
    try:
        while names := os.listdir(top):  # noqa: PTH208 - of a descriptor
            for name in names:
                _take_apart(top, name)
    finally:
        os.close(top)
    path.rmdir()


def _take_apart(top: int, name: str) -> None:
    """Remove an entry of `top`. The folders in it come up into `top`: so no depth is too much."""
    if not _is_folder(top, name):
        os.unlink(name, dir_fd=top)
        return
    folder = os.open(name, _FOLDER, dir_fd=top)
    try:
        for inner in os.listdir(folder):  # noqa: PTH208 - of a descriptor
            if _is_folder(folder, inner):
                os.rename(inner, secrets.token_hex(16), src_dir_fd=folder, dst_dir_fd=top)
            else:
                os.unlink(inner, dir_fd=folder)
    finally:
        os.close(folder)
    os.rmdir(name, dir_fd=top)


def _is_folder(parent: int, name: str) -> bool:
    """Whether it is one; then it is also opened to us: a session may have taken its own permissions away."""
    found = os.stat(name, dir_fd=parent, follow_symlinks=False)
    if not stat.S_ISDIR(found.st_mode):
        return False
    if found.st_mode & stat.S_IRWXU != stat.S_IRWXU:
        os.chmod(name, 0o700, dir_fd=parent)
    return True
