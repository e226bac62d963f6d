"""The files of a plain folder, read as if they were a revision."""

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from vaultloop.vault.files import Entry, is_utf8
from vaultloop.vault.git.object_id import blob_id, tree_id

__all__ = ["FolderFiles", "ReadableFiles", "blob_id"]

_SKIPPED = frozenset({".git"})


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
        return tree_id(self.under(folder), folder)

    def under(self, folder: str) -> Iterator[Entry]:
        """Every regular file below `folder`, sorted by path."""
        if not self._is_exactly_there(folder) or not (self._folder / folder).is_dir():
            return iter(())
        return iter(sorted(self._entries(self._folder / folder, folder), key=lambda entry: entry.path))

    def paths(self, folder: str = "") -> Iterator[str]:
        """The paths of the files below `folder`, in no order; none of them is read."""
        for child in self._children(self._folder / folder):
            path = f"{folder}/{child.name}" if folder else child.name
            if child.name in _SKIPPED or child.is_symlink() or not is_utf8(child.name):
                continue
            if child.is_dir():
                yield from self.paths(path)
            elif self._counts(child, path):
                yield path

    def entry(self, path: str) -> Entry | None:
        """One file, if it is there."""
        if not self._is_exactly_there(path) or not self._counts(self._folder / path, path):
            return None
        return self._entry(path)

    def read(self, entry: Entry) -> bytes:
        """A file's content, as it was when its entry was made."""
        return self._content(entry.path)

    def _entries(self, folder: Path, prefix: str) -> Iterator[Entry]:
        for child in self._children(folder):
            path = f"{prefix}/{child.name}" if prefix else child.name
            if child.name in _SKIPPED or child.is_symlink() or not is_utf8(child.name):
                continue
            if child.is_dir():
                yield from self._entries(child, path)
            elif self._counts(child, path):
                yield from self._entries_of(path)

    def _children(self, folder: Path) -> Iterable[Path]:
        return folder.iterdir()

    def _entries_of(self, path: str) -> Iterator[Entry]:
        yield self._entry(path)

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
                or all(child.name != part for child in self._children(at))
                or (at / part).is_symlink()
            ):
                return False
            at /= part
        return True

    def _counts(self, file: Path, path: str) -> bool:
        return file.is_file() and not file.is_symlink() and self._is_of_vault(path)


class ReadableFiles(FolderFiles):
    """As much of a folder as can be read.

    A file that cannot be read is not among those below its folder, and empty where it is asked for by name.

    Attributes:
        unreadable: what cannot be read, files and folders by path, and why.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.unreadable: dict[str, str] = {}

    def notes(self, folder: str) -> Iterator[str]:
        """The notes below `folder` that Obsidian shows, by path; none of them is read."""
        for child in sorted(self._children(self._folder / folder)):
            if child.name.startswith(".") or child.is_symlink() or not is_utf8(child.name):
                continue
            path = f"{folder}/{child.name}" if folder else child.name
            if child.is_dir():
                yield from self.notes(path)
            elif child.suffix.lower() == ".md" and child.is_file():
                yield path

    def _children(self, folder: Path) -> Iterable[Path]:
        try:
            children = list(folder.iterdir())
            # A folder may be listed and closed all the same.
            if not os.access(folder, os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except FileNotFoundError:
            return ()
        except OSError as error:
            self._refused(folder.relative_to(self._folder).as_posix(), error)
            return ()
        return children

    def _entries_of(self, path: str) -> Iterator[Entry]:
        entry = self._entry(path)
        if path not in self.unreadable:
            yield entry

    def _content(self, path: str) -> bytes:
        try:
            return super()._content(path)
        except OSError as error:
            self._refused(path, error)
            self._contents[path] = b""
            return b""

    def _refused(self, path: str, error: OSError) -> None:
        self.unreadable[path] = error.strerror or type(error).__name__
