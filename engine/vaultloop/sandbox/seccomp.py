"""The system call filter: what no rule about files can hold back.

Everything is allowed but what is listed here, and calls newer than the lists do not exist. A filter sees
numbers only, never what a pointer leads to: where that would decide (the address of `connect`, the target of
a signal on kernels whose Landlock does not know signals), the call is put before the supervisor, which
answers over the listener's descriptor.

Runs in small forked processes: the standard library only, and little of it.
"""

import ctypes
import errno
import struct
from collections.abc import Callable
from dataclasses import dataclass

from vaultloop.sandbox.bpf import (
    ALLOW,
    ARCHITECTURE,
    KILL_PROCESS,
    NOTIFY,
    NUMBER,
    Label,
    Program,
    argument,
    refuse,
)
from vaultloop.sandbox.kernel import call, no_new_privileges
from vaultloop.sandbox.syscalls import NEWEST, Machine, this_machine

_SET_MODE_FILTER = 1
_NEW_LISTENER = 1 << 3
# A signal does not break off a call that the supervisor has begun to answer (Linux 5.19 and later).
_WAIT_KILLABLE = 1 << 5


@dataclass(frozen=True, slots=True)
class Rules:
    """What differs from one cell to another.

    Attributes:
        set_times: files' times may be set, also those of files out of reach whose name is known.
        guard_signals: signals are put before the supervisor; for kernels whose Landlock lets them out.
    """

    set_times: bool
    guard_signals: bool


# Calls that fail always, by the errno that programs cope with best.
REFUSED: tuple[tuple[int, tuple[str, ...]], ...] = (
    (
        errno.EPERM,
        (
            # Other processes: their memory, descriptors and pages.
            *("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "process_mrelease"),
            *("kcmp", "pidfd_getfd", "migrate_pages", "move_pages"),
            # Mounts and namespaces: they make paths lead elsewhere, and open much of the kernel.
            *("mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "open_tree_attr"),
            *("fsopen", "fsmount", "fsconfig", "fspick", "mount_setattr", "unshare", "setns"),
            # Files without their path.
            *("open_by_handle_at", "name_to_handle_at"),
            # Owners and modes of files: Landlock lets them be changed for any path that is known.
            *("chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat"),
            # Work that the kernel does in a process's name and this filter would not see.
            *("io_uring_setup", "io_uring_enter", "io_uring_register"),
            *("bpf", "perf_event_open", "userfaultfd", "modify_ldt", "lookup_dcookie", "uselib"),
            # What all processes of one user share: keys, and memory, queues and locks without a path.
            *("keyctl", "add_key", "request_key"),
            *("shmget", "shmat", "shmctl", "semget", "semop", "semtimedop", "semctl"),
            *("msgget", "msgsnd", "msgrcv", "msgctl", "mq_open", "mq_unlink"),
            # The machine; for an engine that runs as root.
            *("kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "reboot"),
            *("swapon", "swapoff", "acct", "quotactl", "quotactl_fd", "syslog", "iopl", "ioperm", "vhangup"),
            *("settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "sethostname", "setdomainname"),
            "lsm_set_self_attr",
        ),
    ),
    (
        errno.EACCES,
        (
            # Nothing in a cell is reached from outside.
            *("bind", "listen"),
            # Landlock does not know it below ABI 3; `ftruncate` works on what could be opened for writing.
            "truncate",
        ),
    ),
    (
        # As on an older kernel, so that programs take the older call, which the filter can look into.
        errno.ENOSYS,
        (
            *("clone3", "openat2", "statmount", "listmount", "file_getattr", "file_setattr"),
            # A watch on a folder out of reach succeeds and tells the names of what is made there.
            *("inotify_init", "inotify_init1", "inotify_add_watch", "fanotify_init", "fanotify_mark"),
            # Files in memory alone: no limit on files or resident memory counts them, and they could be run.
            *("memfd_create", "memfd_secret"),
        ),
    ),
    (
        # As on a file system without them; reading them, too, works for any path that is known.
        errno.EOPNOTSUPP,
        (
            *("getxattr", "lgetxattr", "fgetxattr", "getxattrat"),
            *("listxattr", "llistxattr", "flistxattr", "listxattrat"),
            *("setxattr", "lsetxattr", "fsetxattr", "setxattrat"),
            *("removexattr", "lremovexattr", "fremovexattr", "removexattrat"),
        ),
    ),
)

TIMES = ("utime", "utimes", "futimesat", "utimensat")

_SIGNALS = ("kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal")


def install(rules: Rules) -> int:
    """Put the calling thread, and what it starts, behind the filter for ever.

    Returns:
        the listener: a descriptor on which the supervisor hears of `connect`, and of signals where they are
        guarded. Until somebody listens these calls wait; once it is closed everywhere they fail.

    Raises:
        OSError: the kernel refuses, or there is no filter for this machine; names the step.
    """
    machine = this_machine()
    if machine is None:
        raise OSError(errno.ENOSYS, "seccomp: there is no filter for this machine (x86_64, aarch64)")
    no_new_privileges()
    try:
        return load(machine, program(rules, machine), _NEW_LISTENER | _WAIT_KILLABLE)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return load(machine, program(rules, machine), _NEW_LISTENER)


def load(machine: Machine, instructions: bytes, flags: int) -> int:
    """Give a filter to the kernel; needs `no_new_privileges` or root.

    Returns:
        the listener's descriptor if `flags` ask for one, else 0.

    Raises:
        OSError: the kernel refuses.
    """
    code = ctypes.create_string_buffer(instructions, len(instructions))
    filled = struct.pack("@HP", len(instructions) // 8, ctypes.addressof(code))
    argument = ctypes.create_string_buffer(filled, len(filled))
    return call("seccomp", machine.numbers["seccomp"], _SET_MODE_FILTER, flags, argument)


def program(rules: Rules, machine: Machine) -> bytes:
    """The filter for `machine`, ready for the kernel.

    What looks at arguments comes first: those are the frequent calls, and the kernel remembers by itself
    which of the others always pass.
    """
    made = Program()
    _only_this_table(made, machine)
    for name, check in CHECKED.items():
        _when(made, machine, name, check)
    _refuse_all(made, machine, NOTIFY, ("connect", *(_SIGNALS if rules.guard_signals else ())))
    for number, names in REFUSED:
        _refuse_all(made, machine, refuse(number), names)
    if not rules.set_times:
        _refuse_all(made, machine, refuse(errno.EPERM), TIMES)
    made.answer(ALLOW)
    return made.assembled()


def _only_this_table(made: Program, machine: Machine) -> None:
    """Calls by another table (32 bit, x32) end the process: their numbers mean something else."""
    ours, kill, known = Label(), Label(), Label()
    made.load(ARCHITECTURE)
    made.if_equal(machine.audit, ours, kill)
    made.put(ours)
    made.load(NUMBER)
    if machine.foreign is not None:
        made.if_not_less(machine.foreign, kill)
    made.if_greater(NEWEST, None, known)
    made.answer(refuse(errno.ENOSYS))
    made.put(kill)
    made.answer(KILL_PROCESS)
    made.put(known)


def _when(made: Program, machine: Machine, name: str, check: Callable[[Program], None]) -> None:
    """`check` for the call `name`; it always ends with an answer."""
    number = machine.numbers.get(name)
    if number is None:
        return
    other = Label()
    made.if_equal(number, None, other)
    check(made)
    made.put(other)


def _refuse_all(made: Program, machine: Machine, action: int, names: tuple[str, ...]) -> None:
    numbers = [machine.numbers[name] for name in names if name in machine.numbers]
    hit, none = Label(), Label()
    for number in numbers[:-1]:
        made.if_equal(number, hit)
    made.if_equal(numbers[-1], hit, none)
    made.put(hit)
    made.answer(action)
    made.put(none)


def _end(made: Program, allow: Label, no: Label, number: int) -> None:
    made.put(allow)
    made.answer(ALLOW)
    made.put(no)
    made.answer(refuse(number))


_AF_UNIX, _AF_INET, _AF_INET6 = 1, 2, 10
_STREAM, _SEQPACKET = 1, 5
# SOCK_NONBLOCK and SOCK_CLOEXEC may stand beside the type; no other bit is known.
_TYPE = 0xFFFFFFFF & ~(0o4000 | 0o2000000)
_TCP = 6


def _socket(made: Program) -> None:
    """TCP alone: no other family or protocol (MPTCP, SCTP, UDP, netlink) meets the connect guard."""
    internet, allow, no = Label(), Label(), Label()
    made.load(argument(0))
    made.if_equal(_AF_INET, internet)
    made.if_equal(_AF_INET6, internet, no)
    made.put(internet)
    made.load(argument(1))
    made.mask(_TYPE)
    made.if_equal(_STREAM, None, no)
    made.load(argument(2))
    made.if_equal(0, allow)
    made.if_equal(_TCP, allow, no)
    _end(made, allow, no, errno.EACCES)


def _socketpair(made: Program) -> None:
    """Pairs whose ends reach each other alone: a datagram could be sent from one to any socket's path."""
    allow, no = Label(), Label()
    made.load(argument(0))
    made.if_equal(_AF_UNIX, None, no)
    made.load(argument(1))
    made.mask(_TYPE)
    made.if_equal(_STREAM, allow)
    made.if_equal(_SEQPACKET, allow, no)
    _end(made, allow, no, errno.EACCES)


def _without(index: int, bits: int, number: int) -> Callable[[Program], None]:
    """Refuse the call if argument `index` has any of `bits`."""

    def check(made: Program) -> None:
        allow, no = Label(), Label()
        made.load(argument(index))
        made.if_any_bit(bits, no, allow)
        _end(made, allow, no, number)

    return check


def _exactly(values: dict[int, int], number: int) -> Callable[[Program], None]:
    """Refuse the call unless each argument is the given value."""

    def check(made: Program) -> None:
        allow, no = Label(), Label()
        for index, value in values.items():
            made.load(argument(index))
            made.if_equal(value, None, no)
        _end(made, allow, no, number)

    return check


_O_ACCMODE, _O_TRUNC = 3, 0o1000


def _open(index: int) -> Callable[[Program], None]:
    """Opening for reading must not truncate, and access mode 3 asks Landlock for no right at all."""

    def check(made: Program) -> None:
        allow, no = Label(), Label()
        made.load(argument(index))
        made.mask(_O_ACCMODE)
        made.if_equal(_O_ACCMODE, no)
        made.load(argument(index))
        made.mask(_O_ACCMODE | _O_TRUNC)
        made.if_equal(_O_TRUNC, no, allow)
        _end(made, allow, no, errno.EACCES)

    return check


# F_SETOWN, F_SETSIG, F_SETOWN_EX send signals of any kind to anybody of the same user; F_SETLEASE holds up
# whoever opens the file; F_NOTIFY is inotify's forerunner. Above F_SET_FILE_RW_HINT the commands are newer.
_SET_OWNER, _SET_SIGNAL, _SET_OWNER_EX, _SET_LEASE, _NOTIFY_FOLDER, _NEWEST_COMMAND = (
    8,
    10,
    15,
    1024,
    1026,
    1038,
)


def _fcntl(made: Program) -> None:
    allow, no = Label(), Label()
    made.load(argument(1))
    for command in (_SET_OWNER, _SET_SIGNAL, _SET_OWNER_EX, _SET_LEASE, _NOTIFY_FOLDER):
        made.if_equal(command, no)
    made.if_greater(_NEWEST_COMMAND, no, allow)
    _end(made, allow, no, errno.EPERM)


# File systems' own ioctls ('X', 'f', 'v', btrfs, bcachefs, f2fs) work on files opened for reading, past
# Landlock: flags, fs-verity, snapshots. TIOCSTI and TIOCLINUX type on a terminal; FIOSETOWN and SIOCSPGRP are F_SETOWN again.
_FILE_SYSTEM_IOCTLS = (0x5800, 0x6600, 0x7600, 0x9400, 0xBC00, 0xF500)
_IOCTLS = (0x5412, 0x541C, 0x8901, 0x8902)


def _ioctl(made: Program) -> None:
    allow, no = Label(), Label()
    made.load(argument(1))
    for command in _IOCTLS:
        made.if_equal(command, no)
    made.mask(0xFF00)
    for kind in _FILE_SYSTEM_IOCTLS[:-1]:
        made.if_equal(kind, no)
    made.if_equal(_FILE_SYSTEM_IOCTLS[-1], no, allow)
    # "Not a typewriter": what a file system says that does not know the command.
    _end(made, allow, no, errno.ENOTTY)


_MAP_SHARED_ANONYMOUS = 0x21


def _mmap(made: Program) -> None:
    """No memory that is shared and in no file: unmapped but held, no limit on resident memory counts it."""
    allow, no = Label(), Label()
    made.load(argument(3))
    made.mask(_MAP_SHARED_ANONYMOUS)
    made.if_equal(_MAP_SHARED_ANONYMOUS, no, allow)
    _end(made, allow, no, errno.EPERM)


# All CLONE_NEW* that `clone` knows, and CLONE_PARENT: a child of the supervisor's.
_NAMESPACES_OR_PARENT = 0x7E020000 | 0x8000
# It opens a connection without `connect`.
_MSG_FASTOPEN = 0x20000000
_QUERY = 0xFFFFFFFF

# Calls that depend on their arguments, the frequent first. Where a process is meant, 0 is the caller itself:
# others' limits and priorities are not for a cell, and the engine runs as the same user.
CHECKED: dict[str, Callable[[Program], None]] = {
    "openat": _open(2),
    "open": _open(1),
    "mmap": _mmap,
    "ioctl": _ioctl,
    "fcntl": _fcntl,
    "sendto": _without(3, _MSG_FASTOPEN, errno.EACCES),
    "sendmsg": _without(2, _MSG_FASTOPEN, errno.EACCES),
    "sendmmsg": _without(3, _MSG_FASTOPEN, errno.EACCES),
    "clone": _without(0, _NAMESPACES_OR_PARENT, errno.EPERM),
    "socket": _socket,
    "socketpair": _socketpair,
    "prlimit64": _exactly({0: 0}, errno.EPERM),
    "setpriority": _exactly({0: 0, 1: 0}, errno.EPERM),
    "ioprio_set": _exactly({0: 1, 1: 0}, errno.EPERM),
    "sched_setaffinity": _exactly({0: 0}, errno.EPERM),
    "sched_setattr": _exactly({0: 0}, errno.EPERM),
    "sched_setparam": _exactly({0: 0}, errno.EPERM),
    "sched_setscheduler": _exactly({0: 0}, errno.EPERM),
    # A second listener below would be asked first, and could let a call pass that is ours to judge.
    "seccomp": _without(1, _NEW_LISTENER, errno.EBUSY),
    "personality": _exactly({0: _QUERY}, errno.EPERM),
}
