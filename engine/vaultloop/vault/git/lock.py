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
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from vaultloop.model.errors import Retry

# The youngest leftover that is removed (seconds). Others hold their locks for milliseconds; with a slow hook
# on `reference-transaction` it may be longer, but then something else than our commit is in it.
GRACE = 5.0

# A human's git holds its locks for milliseconds, or while it waits for an editor: then it can be seen. A lock
# older than this (seconds), where no git is to be seen, was left by a dead one; where not all processes can
# be seen, in a container, only after the second time.
STALE_AFTER = 600.0
STALE_UNSEEN = 24 * 3600.0

# The namespace of processes in which all of them can be seen (PROC_PID_INIT_INO in the kernel).
_ALL_PROCESSES = "pid:[4026531836]"

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


def abandoned(git_dir: Path) -> Iterator[Path]:
    """The locks in a human's repository that a git left which is dead: old, and no git is at work there."""
    locks = [*git_dir.glob("*.lock"), *(git_dir / "refs").rglob("*.lock")]
    old = [lock for lock in locks if lock.is_file() and is_abandoned(lock, git_dir)]
    yield from old


def is_abandoned(lock: Path, git_dir: Path) -> bool:
    """Whether a lock is so old, and its repository so quiet, that whoever took it must be dead."""
    with suppress(FileNotFoundError):
        age = time.time() - lock.stat().st_mtime
        if age > STALE_AFTER and (at_work := _git_at_work(git_dir)) is not True:
            return at_work is False or age > STALE_UNSEEN
    return False


def _git_at_work(git_dir: Path) -> bool | None:
    """Whether a git process is in this repository; None where not all of the machine's can be seen."""
    processes = Path("/proc")
    try:
        if str(Path("/proc/self/ns/pid").readlink()) != _ALL_PROCESSES:
            return None
        numbers = [entry for entry in processes.iterdir() if entry.name.isdigit()]
    except OSError:
        return None
    return any(_is_git_in(process, git_dir) for process in numbers if int(process.name) != os.getpid())


def _is_git_in(process: Path, git_dir: Path) -> bool:
    try:
        if not (process / "comm").read_text().startswith("git"):
            return False
        words = (process / "cmdline").read_bytes()
        here = (process / "cwd").readlink()
        if (process / "ns" / "mnt").readlink() != Path("/proc/self/ns/mnt").readlink():
            return True  # its paths are others: it may be
    except (FileNotFoundError, ProcessLookupError):
        return False
    except OSError:
        return True  # another user's: it may be
    tops = (git_dir.resolve(), git_dir.resolve().parent)
    return any(here.is_relative_to(top) or os.fsencode(top) in words for top in tops)


class Word:
    """Word of one piece of work that is under way, kept in a file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @contextmanager
    def left(self, locks: Mapping[Path, Content]) -> Iterator[None]:
        """Put right what an earlier process left, then have word of new work until the block ends.

        Raises:
            Retry: as `break_leftover`, or the disk is full.
        """
        self._put_right()
        self._write({str(lock): content for lock, content in locks.items()})
        try:
            yield
        finally:
            self._file.unlink(missing_ok=True)

    def _write(self, word: Mapping[str, Content]) -> None:
        fresh = self._file.with_suffix(".new")
        try:
            fresh.write_text(json.dumps(word))
            fresh.replace(self._file)
        except OSError as error:
            raise Retry(
                f"{self._file} cannot be written: {error.strerror}."
                " Check the disk's free space and permissions."
            ) from error

    def _put_right(self) -> None:
        try:
            locks, since = json.loads(self._file.read_text()), self._file.stat().st_mtime
        except (FileNotFoundError, ValueError):
            return
        for lock, content in locks.items():
            break_leftover(Path(lock), content, since)
