"""What a session may use of the machine: limits that the kernel holds, and those that its supervisor watches.

Runs in small forked processes: the standard library only, and little of it.
"""

import os
import resource
import stat
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from vaultloop.sandbox import tree

MIB = 1024**2
GIB = 1024**3

# The kernel's own limits. Bun and Node reserve address space by the dozen GiB and fail where their data may
# not grow to 3 GiB, so that these only stop what outruns the watch.
DATA_BYTES = 4 * GIB
FILE_BYTES = 256 * MIB
OPEN_FILES = 1024

# The engine and the owner's own programs come first.
NICENESS = 10
# Where memory runs out, the kernel ends an agent first (of -1000 to 1000).
OOM_SCORE = 500

# How often the watch looks (seconds): the longer pause is for sessions that are far below their limits.
EAGER, EASY = 0.1, 0.4
# Folders are counted at most so often, and for no more than this part of the time.
FOLDERS_PAUSE = 0.25
FOLDERS_SHARE = 0.05

_PAGE = os.sysconf("SC_PAGE_SIZE")
_BLOCK = 512  # of `st_blocks`, stat(2)
# Fields of /proc/PID/stat after the name (proc(5)): threads, and pages in memory.
_THREADS, _RESIDENT = 17, 21


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one session, over all its processes.

    Attributes:
        memory: bytes in memory.
        processes: processes and threads.
        growth: bytes that its home, scratch folder and view may grow by.
        files: how many files and folders may be added there.
        seconds: a backstop: whoever asked for the session ends it long before.
    """

    memory: int = 2 * GIB
    processes: int = 512
    growth: int = GIB
    files: int = 20_000
    seconds: float = 3600.0


def hold(limits: Limits, running: int) -> None:
    """Give the calling process, and what it starts, the limits that the kernel holds.

    The kernel counts all processes of a user: `running` is how many there are now, and as many again as the
    session may have are left for others that start later. Root's are not counted at all; the watch does it.

    Raises:
        OSError: the kernel refuses.
    """
    wanted = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_DATA: max(DATA_BYTES, 2 * limits.memory),
        resource.RLIMIT_FSIZE: min(FILE_BYTES, limits.growth),
        resource.RLIMIT_NOFILE: OPEN_FILES,
        resource.RLIMIT_NPROC: running + 2 * limits.processes,
    }
    for name, value in wanted.items():
        _, most = resource.getrlimit(name)
        allowed = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.setrlimit(name, (allowed, allowed))
    os.nice(NICENESS)
    with open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123 - pathlib costs memory
        file.write(str(max(OOM_SCORE, _oom_score())))


def _oom_score() -> int:
    with open("/proc/self/oom_score_adj") as file:  # noqa: PTH123 - pathlib costs memory
        return int(file.read())


def tasks_of(user: int) -> int:
    """Processes and threads that the kernel counts against a user's limit."""
    mark = b"\nUid:\t%d\t" % user
    count = 0
    for entry in os.listdir("/proc"):  # noqa: PTH208 - pathlib costs memory
        if entry.isdigit():
            status = _status(entry)
            if mark in status:
                count += int(status.partition(b"\nThreads:")[2].split(maxsplit=1)[0])
    return count


def _status(pid: str) -> bytes:
    try:
        with open(f"/proc/{pid}/status", "rb", buffering=0) as file:  # noqa: PTH123 - pathlib costs memory
            return file.read()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""


class Watch:
    """Looks now and then at what the processes below this one use."""

    def __init__(self, limits: Limits, view: str, own: Sequence[str]) -> None:
        """`own` are the folders that were empty at the start; the `view` was not."""
        self._limits = limits
        self._view, self._own = view, own
        self._began = time.monotonic()
        self._pause = EAGER
        # What lay in the view when it was first counted, and when to count next.
        self._base: tuple[int, int] | None = None
        self._folders_due = self._began + EAGER

    @property
    def pause(self) -> float:
        """Seconds until the next look."""
        return self._pause

    def breach(self) -> str:
        """Which limit is exceeded, as a sentence; empty for none."""
        return self._time() or self._processes() or self._folders()

    def _time(self) -> str:
        if time.monotonic() - self._began <= self._limits.seconds:
            return ""
        return f"The session was ended: it ran longer than {self._limits.seconds:.0f} seconds."

    def _processes(self) -> str:
        pids = tree.descendants(os.getpid())
        states = [state for pid in pids if len(state := tree.stat(pid)) > _RESIDENT]
        tasks = sum(int(state[_THREADS]) for state in states)
        memory = sum(int(state[_RESIDENT]) for state in states) * _PAGE
        near = 2 * tasks > self._limits.processes or 2 * memory > self._limits.memory
        self._pause = EAGER if near or time.monotonic() - self._began < 1 else EASY
        if tasks > self._limits.processes:
            return f"The session was ended: it had more than {self._limits.processes} processes and threads."
        # Pages that several processes share count once, but only this costs time to find out.
        if memory > self._limits.memory and sum(map(_proportional, pids)) > self._limits.memory:
            return f"The session was ended: it used more than {said(self._limits.memory)} of memory."
        return ""

    def _folders(self) -> str:
        begun = time.monotonic()
        if begun < self._folders_due:
            return ""
        sentence = self._growth()
        spent = time.monotonic() - begun
        self._folders_due = begun + max(FOLDERS_PAUSE, spent / FOLDERS_SHARE)
        return sentence

    def _growth(self) -> str:
        most = self._limits.files
        if self._base is None:
            self._base = counted([self._view])
        base_bytes, base_files = self._base
        size, files = counted([self._view, *self._own], most + base_files)
        if files - base_files > most:
            return f"The session was ended: it made more than {most} files."
        if size + nameless(tree.descendants(os.getpid())) - base_bytes > self._limits.growth:
            return f"The session was ended: it wrote more than {said(self._limits.growth)}."
        return ""


def counted(folders: Sequence[str], most: int | None = None) -> tuple[int, int]:
    """Bytes on the disk and files and folders below `folders`; past `most` files nothing more is counted."""
    size = files = 0
    waiting = list(folders)
    while waiting:
        for entry in _entries(waiting.pop()):
            files += 1
            size += _size(entry)
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)
            if most is not None and files > most:
                return size, files
    return size, files


def nameless(pids: Sequence[int]) -> int:
    """Bytes on the disk in files that these processes hold open and that no folder names any more."""
    held: dict[tuple[int, int], int] = {}
    for pid in pids:
        for state in _opened(pid):
            if stat.S_ISREG(state.st_mode) and state.st_nlink == 0:
                held[state.st_dev, state.st_ino] = state.st_blocks * _BLOCK
    return sum(held.values())


def _opened(pid: int) -> list[os.stat_result]:
    found: list[os.stat_result] = []
    try:
        for descriptor in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208 - pathlib costs memory
            with suppress(FileNotFoundError):  # closed meanwhile
                found.append(os.stat(f"/proc/{pid}/fd/{descriptor}"))  # noqa: PTH116 - likewise
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        pass  # it has just ended, or hides itself
    return found


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []  # removed meanwhile


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_blocks * _BLOCK
    except OSError:
        return 0


def _proportional(pid: int) -> int:
    """Bytes in memory, of shared pages each one's part."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb", buffering=0) as file:  # noqa: PTH123 - pathlib costs memory
            return int(file.read().partition(b"\nPss:")[2].split(maxsplit=1)[0]) * 1024
    except (OSError, IndexError):
        return 0  # it has just ended


def said(size: int) -> str:
    """A size for people."""
    return f"{size / GIB:.1f} GiB" if size >= GIB else f"{size / MIB:.0f} MiB"
