"""The files of a plain folder, read as if they were a revision."""

from collections.abc import Callable, Iterator
from pathlib import Path

from vaultloop.vault.files import Entry, is_utf8
from vaultloop.vault.object_id import blob_id, tree_id

__all__ = ["FolderFiles", "blob_id"]

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
