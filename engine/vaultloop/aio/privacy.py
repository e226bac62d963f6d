"""A process that holds a secret, closed to its neighbours."""

import ctypes
import os
import resource

_PR_SET_DUMPABLE = 4


def close_to_others() -> None:
    """Let no process of the same user look into this one: /proc, ptrace, core files (prctl(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl(PR_SET_DUMPABLE): {os.strerror(number)}")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
