"""All processes below one, also those that left its session: what a supervisor counts and ends.

Runs in small forked processes: the standard library only, and little of it.
"""

import os
import signal
from collections.abc import Callable
from contextlib import suppress

# A child is waited for whatever signal its end sends (wait(2), __WALL).
_WALL = 0x40000000


def descendants(pid: int) -> list[int]:
    """All processes below `pid`; some may have ended, and others begun, by the time they are read."""
    children_of = _listed if _LISTS else _family()
    found: list[int] = []
    waiting = [pid]
    while waiting:
        more = children_of(waiting.pop())
        found += more
        waiting += more
    return found


def children(pid: int) -> list[int]:
    """The processes that `pid` started, or inherited."""
    return (_listed if _LISTS else _family())(pid)


def is_below(pid: int, ancestor: int) -> bool:
    """Whether `ancestor` started `pid`, or started who started it."""
    while pid > 1:
        parent = parent_of(pid)
        if parent == ancestor:
            return True
        pid = parent
    return False


def parent_of(pid: int) -> int:
    """The parent's id; 0 if there is no such process."""
    fields = stat(pid)
    return int(fields[1]) if fields else 0


def stat(pid: int | str) -> list[bytes]:
    """The fields of /proc/PID/stat (proc(5)) from the third on, which is the state; none if it ended.

    A thread goes by `PID/task/THREAD`.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:  # noqa: PTH123 - pathlib costs memory
            return file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def kill(pids: list[int]) -> None:
    """Kill them, and first their process groups: whoever is in a group cannot fork out of its signal.

    All are below the caller, and so are all groups that they are in, as none is in the caller's session.
    """
    own = os.getpgrp()
    groups = {_group_of(pid) for pid in pids} - {0, own}
    for group in groups:
        send(-group, signal.SIGKILL)
    for pid in pids:
        send(pid, signal.SIGKILL)


def send(pid: int, number: int) -> None:
    """Send a signal to a process, or to the group `-pid`, if it is still there."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def reaped() -> list[tuple[int, int]]:
    """Children of this process that ended: their ids and exit statuses, negative for a signal.

    Raises:
        ChildProcessError: there are no children any more.
    """
    ended: list[tuple[int, int]] = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG | _WALL)
        except ChildProcessError:
            if ended:
                return ended
            raise
        if pid == 0:
            return ended
        ended.append((pid, os.waitstatus_to_exitcode(status)))


def _group_of(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


# Not every kernel keeps lists of children (CONFIG_PROC_CHILDREN).
_LISTS = os.path.exists(f"/proc/self/task/{os.getpid()}/children")  # noqa: PTH110 - pathlib costs memory


def _listed(pid: int) -> list[int]:
    """Those of all threads of `pid`."""
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - pathlib costs memory
            with open(f"/proc/{pid}/task/{thread}/children", "rb", buffering=0) as file:  # noqa: PTH123
                found += map(int, _whole(file.fileno()).split())
    except (FileNotFoundError, ProcessLookupError):
        pass  # it has just ended
    return found


def _whole(descriptor: int) -> bytes:
    content = b""
    while part := os.read(descriptor, 65536):
        content += part
    return content


def _family() -> Callable[[int], list[int]]:
    """Children by parent, from the state of every process there is."""
    family: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208 - pathlib costs memory
        if entry.isdigit():
            family.setdefault(parent_of(int(entry)), []).append(int(entry))
    return lambda pid: family.get(pid, [])
