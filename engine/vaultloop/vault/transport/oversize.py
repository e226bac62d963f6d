"""Files that are larger than the remote takes: found before they are committed, named when it refuses."""

import re
from collections.abc import Mapping

from pygit2.enums import SortMode

from vaultloop.vault.git.repository import Repository
from vaultloop.vault.git.trees import shown

MEGABYTE = 1024 * 1024

# Bytes; GitHub refuses a push with a larger file, and others set limits of that size.
LARGEST_FILE = 100 * MEGABYTE

CURE = (
    "Make it smaller, keep it in git LFS (git lfs track), or move it out of the vault; if the remote takes"
    " larger files, raise the setting largest-file."
)

# What forges, and proxies before them, say of a push that is too large for them.
_WORDS = re.compile(
    r"GH001|file size limit|maximum (?:file|object|pack) size|too large|larger than|exceed\w* .{0,40}limit"
    r"|\b413\b",
    re.IGNORECASE,
)


def in_words(size: int) -> str:
    """A number of bytes for a sentence."""
    return f"{size / MEGABYTE:.0f} MB" if size >= 10 * MEGABYTE else f"{size:,} bytes"


def left_out(sizes: Mapping[str, int], limit: int) -> str | None:
    """What to say of files, with their bytes, that stay uncommitted; None if there are none."""
    if not sizes:
        return None
    named = ", ".join(f"{shown(path)} ({in_words(size)})" for path, size in sorted(sizes.items()))
    return f"Not committed, because the remote takes files of at most {in_words(limit)}: {named}. {CURE}"


def speaks_of_size(reason: str) -> bool:
    """Whether a remote's words say that something was too large for it."""
    return _WORDS.search(reason) is not None


def largest_in(repository: Repository, head: str, since: str | None) -> tuple[str, int, str] | None:
    """The largest file that commits from `since` to `head` bring: its path, its bytes and that commit."""
    walk = repository.handle.walk(head, SortMode.NONE)
    if since is not None and repository.has(since):
        walk.hide(since)
    found = [
        (repository.size(now.id), path, str(commit.id))
        for commit in walk
        for path, (_, now) in repository.changed_leaves(
            _first_parent(repository, str(commit.id)), str(commit.id)
        ).items()
        if now is not None and now.is_file
    ]
    size, path, commit = max(found, default=(0, "", ""))
    return (path, size, commit) if path else None


def _first_parent(repository: Repository, commit: str) -> str | None:
    parents = repository.read_commit(commit).parents
    return parents[0] if parents else None
