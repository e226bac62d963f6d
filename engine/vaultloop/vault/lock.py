"""Locks that this engine was killed with, told apart from everybody else's.

Git's files are changed by making `<file>.lock`, writing into it and renaming it. libgit2 does that inside
this process, also in a remote that is a local path, so kill -9 can come in between; the lock then stays, and
whoever wants to change that file is refused for ever. To push through a child, as git does with
`git-receive-pack`, would only move the question: what kills an engine (a container's stop, too little memory,
a power cut) mostly kills its children with it.

So word is left of such work before it begins. A lock is taken for our own leftover only if there is word of
work that a dead process did not finish, and the lock is not older than that word, and it holds what the work
would have written or, in case the end came sooner, nothing. And even that may be the lock of somebody alive
who happens to write the same: such a lock lives for milliseconds, so ours is left alone for some seconds.
"""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from vaultloop.model.errors import Retry

# The youngest leftover that is removed (seconds). Others hold their locks for milliseconds; with a slow hook
# on `reference-transaction` it may be longer, but then something else than our commit is in it.
GRACE = 5.0

# What a lock holds when it is written; None for anything.
Content = str | None


def lock_of(git_dir: Path, reference: str) -> Path:
    """The lock under which a reference is set."""
    return git_dir / f"{reference}.lock"


def break_leftover(lock: Path, content: Content, since: float) -> None:
    """Remove `lock` if work that began at `since`, in a process that is dead now, has left it.

    Raises:
        Retry: it looks like that, but is so young that it may be the lock of somebody alive.
    """
    try:
        made, found = lock.stat().st_mtime, lock.read_bytes()
    except FileNotFoundError:
        return
    if made < since or (content is not None and found not in (b"", content.encode())):
        return
    age = time.time() - made
    if age < GRACE:
        raise Retry(
            f"The engine was killed while it changed a git repository. Its lock {lock} is removed once it is"
            f" {GRACE:.0f} seconds old: until then it may be somebody else's.",
            after=max(GRACE - age, 0.1),
        )
    lock.unlink(missing_ok=True)


class Word:
    """Word of one piece of work that is under way, kept in a file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @contextmanager
    def left(self, locks: Mapping[Path, Content]) -> Iterator[None]:
        """Put right what an earlier process left, then have word of new work until the block ends.

        Raises:
            Retry: as `break_leftover`.
        """
        self._put_right()
        fresh = self._file.with_suffix(".new")
        fresh.write_text(json.dumps({str(lock): content for lock, content in locks.items()}))
        fresh.replace(self._file)
        try:
            yield
        finally:
            self._file.unlink(missing_ok=True)

    def _put_right(self) -> None:
        try:
            locks, since = json.loads(self._file.read_text()), self._file.stat().st_mtime
        except (FileNotFoundError, ValueError):
            return
        for lock, content in locks.items():
            break_leftover(Path(lock), content, since)
