"""Signals within a cell, where the kernel's Landlock does not hold them in (below ABI 6).

A signal that stays in the caller's own process or group is let through: that much stands in the registers and
cannot change. Any other one is sent by the guard itself, to a process that it holds by a descriptor and has
found below the supervisor: an id that is given to another process meanwhile leads nowhere.

Runs in small forked processes: the standard library only, and little of it.
"""

import errno
import os
import signal
from collections.abc import Iterable

from vaultloop.sandbox import notices, tree
from vaultloop.sandbox.notices import Notice
from vaultloop.sandbox.syscalls import Machine

# The largest id that a process can have, and numbers of signals.
_LARGEST = 2**31 - 1
_SIGNALS = range(65)


class SignalGuard:
    """Answers the calls that send signals."""

    def __init__(self, listener: int, machine: Machine) -> None:
        self._listener = listener
        self._names = {number: name for name, number in machine.numbers.items() if name in CALLS}

    def knows(self, notice: Notice) -> bool:
        """Whether this is such a call."""
        return notice.number in self._names

    def judge(self, notice: Notice) -> None:
        """Let it through, do what it asks for, or refuse it."""
        target, number, whole_process = _meant(self._names[notice.number], notice.arguments)
        if number not in _SIGNALS:
            notices.refuse(self._listener, notice, errno.EINVAL)
        elif (whole_process and target == 0) or target == _process_of(notice.thread):
            notices.let_pass(self._listener, notice)
        else:
            notices.refuse(self._listener, notice, self._send(notice, target, number))

    def _send(self, notice: Notice, target: int, number: int) -> int:
        """The errno that the caller gets; 0 for none."""
        if target > 0:
            return _send_below(target, number)
        own, below = _process_of(notice.thread), tree.descendants(os.getpid())
        if target == -1:
            meant: Iterable[int] = (pid for pid in below if pid != own)
        else:
            meant = [pid for pid in below if _group(pid) == -target]
        answers = [_send_below(pid, number) for pid in meant]
        if not answers:
            return errno.EPERM if _LARGEST >= -target > 1 and _is_group(-target) else errno.ESRCH
        return 0


CALLS = ("kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal")


def _meant(name: str, arguments: tuple[int, ...]) -> tuple[int, int, bool]:
    """Whom a call means (as `kill` counts), with which signal, and whether 0 and less are groups to it."""
    first, second, third = (_signed(value) for value in arguments[:3])
    match name:
        case "kill":
            return first, second, True
        case "tkill":
            return _process_of(first), second, False
        case "tgkill" | "rt_tgsigqueueinfo":
            return first, third, False
        case "rt_sigqueueinfo":
            return first, second, False
        case _:
            return _NOBODY, 0, False


# Answered with EPERM: which process a descriptor of the caller's means is not asked.
_NOBODY = 1


def _send_below(pid: int, number: int) -> int:
    """Send a signal to a process of this cell; the errno, 0 for none."""
    try:
        held = os.pidfd_open(pid)
    except OSError as error:
        return error.errno or errno.ESRCH
    try:
        if not tree.is_below(pid, os.getpid()):
            return errno.EPERM
        signal.pidfd_send_signal(held, number)
    except OSError as error:
        return error.errno or errno.EPERM
    finally:
        os.close(held)
    return 0


def _process_of(thread: int) -> int:
    """The process that a thread belongs to; 0 if there is none."""
    try:
        with open(f"/proc/{thread}/status", "rb", buffering=0) as file:  # noqa: PTH123 - pathlib costs memory
            return int(file.read().partition(b"\nTgid:")[2].split(maxsplit=1)[0])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


def _is_group(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _signed(value: int) -> int:
    low = value & 0xFFFFFFFF
    return low - 2**32 if low > _LARGEST else low
