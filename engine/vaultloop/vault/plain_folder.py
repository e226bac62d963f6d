"""The files of a plain folder, read as if they were a revision."""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from vaultloop.vault.files import Entry
from vaultloop.vault.trees import is_utf8

_SKIPPED = frozenset({".git"})


def blob_id(data: bytes) -> str:
    """The id that git gives to this content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


class FolderFiles:
    """Implements `Files` for one look at a folder: a file's content is remembered as first read.

    Names are matched exactly, also on file systems that ignore case.
    """

    def __init__(
        self, folder: Path, revision: str = "", is_of_vault: Callable[[str], bool] = lambda _: True
    ) -> None:
        """`is_of_vault` tells, by path, which files count."""
        self._folder = folder
        self._revision = revision
        self._is_of_vault = is_of_vault
        self._contents: dict[str, bytes] = {}

    @property
    def revision(self) -> str:
        """What the maker of this object called this state of the folder."""
        return self._revision

    def tree_id(self, folder: str) -> str | None:
        """The id that git would give the folder's tree; every file below is read for it."""
        if not self._is_exactly_there(folder):
            return None
        return self._tree(self._folder / folder, folder)

    def under(self, folder: str) -> Iterator[Entry]:
        """Every regular file below `folder`, sorted by path."""
        if not self._is_exactly_there(folder):
            return iter(())
        return iter(sorted(self._entries(self._folder / folder, folder), key=lambda entry: entry.path))

    def entry(self, path: str) -> Entry | None:
        """One file, if it is there."""
        if not self._is_exactly_there(path) or not self._counts(self._folder / path, path):
            return None
        return self._entry(path)

    def read(self, entry: Entry) -> bytes:
        """A file's content, as it was when its entry was made."""
        return self._content(entry.path)

    def _entries(self, folder: Path, prefix: str) -> Iterator[Entry]:
        for child in folder.iterdir():
            path = f"{prefix}/{child.name}" if prefix else child.name
            if child.name in _SKIPPED or child.is_symlink() or not is_utf8(child.name):
                continue
            if child.is_dir():
                yield from self._entries(child, path)
            elif self._counts(child, path):
                yield self._entry(path)

    def _tree(self, folder: Path, prefix: str) -> str | None:
        rows = []
        for child in folder.iterdir():
            path = f"{prefix}/{child.name}" if prefix else child.name
            if child.name in _SKIPPED or child.is_symlink() or not is_utf8(child.name):
                continue
            if child.is_dir():
                if tree := self._tree(child, path):
                    rows.append((os.fsencode(child.name) + b"/", b"40000", tree))
            elif self._counts(child, path):
                entry = self._entry(path)
                mode = b"100755" if entry.executable else b"100644"
                rows.append((os.fsencode(child.name), mode, entry.blob))
        # git sorts a folder as if its name ended in a slash.
        data = b"".join(
            mode + b" " + name.removesuffix(b"/") + b"\0" + bytes.fromhex(blob)
            for name, mode, blob in sorted(rows)
        )
        return (
            hashlib.sha1(b"tree %d\0" % len(data) + data, usedforsecurity=False).hexdigest() if rows else None
        )

    def _entry(self, path: str) -> Entry:
        executable = bool((self._folder / path).stat().st_mode & 0o100)
        return Entry(path, blob_id(self._content(path)), executable)

    def _content(self, path: str) -> bytes:
        if path not in self._contents:
            self._contents[path] = (self._folder / path).read_bytes()
        return self._contents[path]

    def _is_exactly_there(self, path: str) -> bool:
        at = self._folder
        for part in path.split("/") if path else ():
            if (
                not at.is_dir()
                or all(child.name != part for child in at.iterdir())
                or (at / part).is_symlink()
            ):
                return False
            at /= part
        return True

    def _counts(self, file: Path, path: str) -> bool:
        return file.is_file() and not file.is_symlink() and self._is_of_vault(path)
