"""System calls by number: what the standard library does not offer to decent programs.

The numbers are written down here a second time on purpose: one that is wrong in the fence must not be wrong
here too.
"""

import ctypes
import os
import platform

from .catalogue import Stopped, errno_of

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long

# Name: number on x86_64, number on aarch64.
_NUMBERS: dict[str, tuple[int | None, int | None]] = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clone": (56, 220),
    "clone3": (435, 435),
    "execveat": (322, 281),
    "exit": (60, 93),
    "fanotify_init": (300, 262),
    "fanotify_mark": (301, 263),
    "fchmodat2": (452, 452),
    "fcntl": (72, 25),
    "file_setattr": (469, 469),
    "fsopen": (430, 430),
    "getxattrat": (464, 464),
    "inotify_add_watch": (254, 27),
    "inotify_init1": (294, 26),
    "io_uring_setup": (425, 425),
    "ioprio_set": (251, 30),
    "kcmp": (312, 272),
    "keyctl": (250, 219),
    "linkat": (265, 37),
    "memfd_create": (319, 279),
    "migrate_pages": (256, 238),
    "mknodat": (259, 33),
    "mount": (165, 40),
    "move_pages": (279, 239),
    "mq_open": (240, 180),
    "msgget": (68, 186),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "openat2": (437, 437),
    "perf_event_open": (298, 241),
    "personality": (135, 92),
    "pidfd_getfd": (438, 438),
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
    "pivot_root": (155, 41),
    "prctl": (157, 167),
    "prlimit64": (302, 261),
    "process_madvise": (440, 440),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "semget": (64, 190),
    "setns": (308, 268),
    "setxattrat": (463, 463),
    "shmat": (30, 196),
    "shmget": (29, 194),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "tgkill": (234, 131),
    "tkill": (200, 130),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
}
_COLUMN = {"x86_64": 0, "aarch64": 1}


def number(name: str) -> int:
    """The number of a system call on this machine.

    Raises:
        Stopped: the machine has no such call.
    """
    column = _COLUMN.get(platform.machine())
    found = None if column is None else _NUMBERS[name][column]
    if found is None:
        raise Stopped(f"{platform.machine()} has no {name}")
    return found


def call(name: str, *arguments: object) -> int:
    """Make a system call; integers are passed as longs.

    Raises:
        OSError: it failed.
    """
    return by_number(number(name), *arguments)


def by_number(wanted: int, *arguments: object) -> int:
    """As `call`, for any number."""
    passed = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    ctypes.set_errno(0)
    return errno_of(_LIBC.syscall(ctypes.c_long(wanted), *passed), ctypes.get_errno())


def prctl(option: int, *arguments: int) -> int:
    """prctl(2)."""
    return call("prctl", option, *arguments, *[0] * (4 - len(arguments)))


class Vector(ctypes.Structure):
    """struct iovec."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def child(work: "object", *, seconds: int = 5) -> int:
    """The exit code of a forked child that does `work`; an OSError's errno is its exit code.

    Raises:
        OSError: what the child met, or what fork met.
        Stopped: a signal ended the child.
    """
    assert callable(work)
    pid = os.fork()
    if pid == 0:
        try:
            ctypes.CDLL(None).alarm(seconds)
            work()
            os._exit(0)
        except OSError as error:
            os._exit(error.errno or 255)
        except BaseException:
            # A child must never go back into the code of its parent.
            os._exit(254)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code < 0:
        raise Stopped(f"a signal ended it ({-code})")
    if code == 254:
        raise Stopped("it failed otherwise")
    if code:
        raise OSError(code, os.strerror(code))
    return code
