"""What in a watched folder is not of the vault: leftovers of editors and sync tools, and what git ignores."""

import fnmatch
import re
from functools import lru_cache
from typing import Protocol

import pygit2

# Names of our own half-written files begin so.
TEMPORARY = ".vaultloop-"

# Never of a vault, at any depth. People share vaults through these tools, and their marks are theirs; an
# `.env` file is where secrets live.
_NAMES = (
    *(".git", ".stfolder", ".stversions", ".stignore", ".syncthing.*", "~syncthing~*", ".sync", ".dropbox*"),
    *(
        ".trash",
        ".trashed-*",
        ".DS_Store",
        "._*",
        ".*.icloud",
        "Thumbs.db",
        "desktop.ini",
        ".nfs*",
        ".fuse_hidden*",
    ),
    *("*.tmp", "*.temp", "*.swp", "*.swx", "*~", ".#*", "~$*", "*.part", "*.crdownload", ".env", ".env.*"),
    f"{TEMPORARY}*",
)
# Where Obsidian keeps which panes are open; it changes with every click.
_PANES = re.compile(r"(?:.*/)?\.obsidian/(?:workspace[^/]*\.json|cache)\Z")


@lru_cache(maxsize=1)
def _leftovers() -> re.Pattern[str]:
    return re.compile("|".join(fnmatch.translate(name) for name in _NAMES))


def is_leftover(path: str) -> bool:
    """Whether the last component of `path` is one that no vault is meant to hold."""
    return _leftovers().match(path.rpartition("/")[2]) is not None or _PANES.match(path) is not None


class Ignore(Protocol):
    """Decides about files and folders that are not in the vault yet; what is in it stays in it."""

    def __call__(self, path: str, *, folder: bool) -> bool: ...


def plain(path: str, *, folder: bool) -> bool:
    """The rules for a folder without a git of its own."""
    return is_leftover(path)


class GitIgnore:
    """The rules of a folder's own git, on top of the plain ones."""

    def __init__(self, handle: pygit2.Repository) -> None:
        self._handle = handle

    def __call__(self, path: str, *, folder: bool) -> bool:
        return is_leftover(path) or self._handle.path_is_ignored(path + "/" if folder else path)
