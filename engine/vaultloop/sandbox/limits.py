"""What a session may use of the machine: limits that the kernel holds, and those that its supervisor watches.

Runs in small forked processes: the standard library only, and little of it.
"""

import errno
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
OPEN_FILES = 512

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
# Fields of /proc/PID/stat after the name (proc(5)): threads, bytes of address space, and pages in memory.
_THREADS, _SPACE, _RESIDENT = 17, 20, 21
_ENDED = (b"Z", b"X")
_EPOLL = "anon_inode:[eventpoll]"
_DELETED = b" (deleted)"

_HIDES = "The session was ended: a process of it cannot be looked into."
_UNCOUNTED = "The session was ended: it made a folder that cannot be looked into."


class UncountedError(Exception):
    """A folder is there, but what lies in it cannot be counted."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one session, over all its processes.

    Attributes:
        memory: bytes in memory.
        processes: processes and threads.
        growth: bytes that its home, scratch folder and view may grow by.
        files: how many files and folders may be added there.
        watches: how many descriptors it may watch with epoll. The kernel counts them by user
            (fs.epoll.max_user_watches, some 200,000 for each GiB of the machine), so that a session could
            leave none to the engine.
        seconds: a backstop: whoever asked for the session ends it long before.
    """

    memory: int = 2 * GIB
    processes: int = 512
    growth: int = GIB
    files: int = 20_000
    watches: int = 10_000
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
        self._largest = min(FILE_BYTES, limits.growth)
        # Whether a process could not be looked into the last time: while one starts or ends, none can.
        self._hidden = False
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
        states = living(tree.descendants(os.getpid()))
        tasks = sum(int(state[_THREADS]) for state in states.values())
        memory = sum(map(_resident, states.values()))
        near = 2 * tasks > self._limits.processes or 2 * memory > self._limits.memory
        self._pause = EAGER if near or time.monotonic() - self._began < 1 else EASY
        if tasks > self._limits.processes:
            return f"The session was ended: it had more than {self._limits.processes} processes and threads."
        # Pages that several processes share count once, but only this costs time to find out.
        if memory > self._limits.memory and sum(map(_proportional, states)) > self._limits.memory:
            return f"The session was ended: it used more than {said(self._limits.memory)} of memory."
        return ""

    def _folders(self) -> str:
        begun = time.monotonic()
        if begun < self._folders_due:
            return ""
        try:
            sentence = self._growth()
        except UncountedError:
            sentence = _UNCOUNTED
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
        held = Held.by(living(tree.descendants(os.getpid())), (self._view, *self._own), self._largest)
        if size + held.size - base_bytes > self._limits.growth:
            return f"The session was ended: it wrote more than {said(self._limits.growth)}."
        if held.watches > self._limits.watches:
            return f"The session was ended: it watched more than {self._limits.watches} descriptors."
        hidden, self._hidden = self._hidden, held.hidden
        return _HIDES if hidden and held.hidden else ""


def counted(folders: Sequence[str], most: int | None = None) -> tuple[int, int]:
    """Bytes on the disk and files and folders below `folders`; past `most` files nothing more is counted.

    Raises:
        UncountedError: a folder may not be listed, or lies too deep for a path.
    """
    size = files = 0
    waiting = list(folders)
    while waiting:
        for entry in _entries(waiting.pop()):
            files += 1
            size += _size(entry)
            if _is_folder(entry):
                waiting.append(entry.path)
            if most is not None and files > most:
                return size, files
    return size, files


def living(pids: Sequence[int]) -> dict[str, list[bytes]]:
    """Where in /proc each process shows what it uses, and the fields of its `stat`.

    That is the process, or a thread of it if the first one has ended and left others.
    """
    found: dict[str, list[bytes]] = {}
    for pid in pids:
        place, state = str(pid), tree.stat(pid)
        if state and state[0] in _ENDED and int(state[_THREADS]) > 1:
            place, state = _thread_of(pid) or (place, state)
        if len(state) > _RESIDENT:
            found[place] = state
    return found


def _thread_of(pid: int) -> tuple[str, list[bytes]] | None:
    with suppress(FileNotFoundError, ProcessLookupError):
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - pathlib costs memory
            state = tree.stat(place := f"{pid}/task/{thread}")
            if state and state[0] not in _ENDED:
                return place, state
    return None


class Held:
    """What processes hold that lies in no folder."""

    def __init__(self, folders: Sequence[str], largest: int) -> None:
        # Bytes on the disk of files that are open and have no name, by their number and their last name.
        self._opened: dict[tuple[int, bytes], int] = {}
        # Such files as are mapped only: their size is not to be had, so that it is the largest of all.
        self._mapped: set[tuple[int, bytes]] = set()
        self._folders = tuple(os.fsencode(os.path.realpath(folder)) + b"/" for folder in folders)
        self._largest = largest
        self.watches = 0
        self.hidden = False

    @classmethod
    def by(cls, states: dict[str, list[bytes]], folders: Sequence[str], largest: int) -> "Held":
        """What the processes of `living` hold; `folders` are those they may write to, `largest` bytes a file.

        `hidden` tells whether one of them cannot be looked into; it is not counted then.
        """
        held = cls(folders, largest)
        for place in states:
            try:
                held._open(place)
                held._map(place)
            except (FileNotFoundError, ProcessLookupError):
                pass  # it has just ended
            except PermissionError:
                # What has just ended belongs to root until it is fetched; it has no memory any more.
                state = tree.stat(place)
                held.hidden |= len(state) > _SPACE and int(state[_SPACE]) > 0
        return held

    @property
    def size(self) -> int:
        """Bytes on the disk in files that no folder names any more."""
        return sum(self._opened.values()) + self._largest * len(self._mapped - self._opened.keys())

    def _open(self, place: str) -> None:
        for descriptor in os.listdir(f"/proc/{place}/fd"):  # noqa: PTH208 - pathlib costs memory
            with suppress(FileNotFoundError):  # closed meanwhile
                path = f"/proc/{place}/fd/{descriptor}"
                state = os.stat(path)  # noqa: PTH116 - likewise
                if stat.S_ISREG(state.st_mode) and state.st_nlink == 0:
                    self._opened[state.st_ino, _name(path)] = state.st_blocks * _BLOCK
                elif stat.S_IFMT(state.st_mode) == 0 and os.readlink(path) == _EPOLL:  # noqa: PTH115
                    self.watches += _contents(f"/proc/{place}/fdinfo/{descriptor}").count(b"\ntfd:")

    def _map(self, place: str) -> None:
        content = _contents(f"/proc/{place}/maps")
        if _DELETED + b"\n" not in content:
            return
        for line in content.split(b"\n"):
            fields = line.split(maxsplit=5)
            if len(fields) == 6 and fields[5].endswith(_DELETED) and fields[5].startswith(self._folders):
                self._mapped.add((int(fields[4]), fields[5]))


def _name(descriptor: str) -> bytes:
    try:
        return os.readlink(os.fsencode(descriptor))  # noqa: PTH115 - pathlib costs memory
    except OSError:
        return b""  # longer than a path may be


def _contents(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - pathlib costs memory
        return file.read()


# Removed meanwhile: nothing to count.
_REMOVED = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE)


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        if error.errno in _REMOVED:
            return []
        raise UncountedError from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError as error:
        raise UncountedError from error


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_blocks * _BLOCK
    except OSError as error:
        if error.errno in _REMOVED:
            return 0
        raise UncountedError from error


def _resident(state: list[bytes]) -> int:
    """Bytes in memory, of shared pages all."""
    return int(state[_RESIDENT]) * _PAGE if len(state) > _RESIDENT else 0


def _proportional(place: str) -> int:
    """Bytes in memory, of shared pages each one's part; where nobody may look into it, all of them."""
    try:
        content = _contents(f"/proc/{place}/smaps_rollup")
        return int(content.partition(b"\nPss:")[2].split(maxsplit=1)[0]) * 1024
    except (OSError, IndexError):
        return _resident(tree.stat(place))


def said(size: int) -> str:
    """A size for people."""
    return f"{size / GIB:.1f} GiB" if size >= GIB else f"{size / MIB:.0f} MiB"
