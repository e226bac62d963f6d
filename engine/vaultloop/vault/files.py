"""Reading a vault's files, from a revision or from a plain folder, through one small door."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Entry:
    """One regular file.

    Attributes:
        blob: git id of its content.
        executable: git mode 100755.
    """

    path: str
    blob: str
    executable: bool = False


def is_utf8(path: str) -> bool:
    """Whether the bytes of a path are text; libgit2 takes no others, and neither does a database or a log."""
    return path.isascii() or not any("\udc80" <= letter <= "\udcff" for letter in path)


class Files(Protocol):
    """The files of one state of a vault. Links, submodules and special files are not in it."""

    @property
    def revision(self) -> str: ...
    def tree_id(self, folder: str) -> str | None:
        """Git id of a folder's tree (`""` for the root): equal ids, equal content. None if it is absent."""
        ...

    def under(self, folder: str) -> Iterator[Entry]:
        """Every file below `folder` (`""` for all), sorted by path."""
        ...

    def entry(self, path: str) -> Entry | None:
        """One file, if it is there."""
        ...

    def read(self, entry: Entry) -> bytes: ...


class Revised(Files, Protocol):
    """The files of one revision among others."""

    def changed_since(self, tree: str) -> dict[str, tuple[Entry | None, Entry | None]] | None:
        """Each regular file that differs from those of an earlier root tree, with both sides.

        None if that tree is no more. What is no regular file on a side is None there.
        """
        ...
