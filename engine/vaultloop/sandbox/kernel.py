"""Calls to the kernel that Python has no function for, through the C library.

Runs in small forked processes: the standard library only, and little of it.
"""

import ctypes
import os

_C = ctypes.CDLL(None, use_errno=True)
_C.syscall.restype = ctypes.c_long

_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38


def call(step: str, number: int, *arguments: object) -> int:
    """Make system call `number`; ints are passed as unsigned longs, buffers by their address.

    Raises:
        OSError: with the errno, and `step` in its text.
    """
    passed = [ctypes.c_ulong(each) if isinstance(each, int) else each for each in arguments]
    result: int = _C.syscall(ctypes.c_long(number), *passed)
    if result < 0:
        fail(step)
    return result


def no_new_privileges() -> None:
    """From here on no program gives this process more rights (setuid bits count for nothing).

    Raises:
        OSError: the kernel refuses.
    """
    _set(_PR_SET_NO_NEW_PRIVS, "no_new_privs")


def become_reaper() -> None:
    """Processes below this one whose parent ends become its own children.

    Raises:
        OSError: the kernel refuses.
    """
    _set(_PR_SET_CHILD_SUBREAPER, "child_subreaper")


def _set(option: int, step: str) -> None:
    if _C.prctl(option, *map(ctypes.c_ulong, (1, 0, 0, 0))) < 0:
        fail(step)


def fail(step: str) -> None:
    """Raise the C library's last error.

    Raises:
        OSError: always.
    """
    number = ctypes.get_errno()
    raise OSError(number, f"{step}: {os.strerror(number)}")
