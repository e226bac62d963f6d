"""Calls that depend on their arguments: what of each a cell may do.

A check is a piece of a filter that always ends with an answer. It sees registers alone, so it can judge flags
and numbers, never what a pointer leads to.
"""

import errno
from collections.abc import Callable

from vaultloop.sandbox.bpf import ALLOW, Label, Program, argument, refuse

Check = Callable[[Program], None]


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


def _without(index: int, bits: int, number: int) -> Check:
    """Refuse the call if argument `index` has any of `bits`."""

    def check(made: Program) -> None:
        allow, no = Label(), Label()
        made.load(argument(index))
        made.if_any_bit(bits, no, allow)
        _end(made, allow, no, number)

    return check


def _exactly(values: dict[int, int], number: int) -> Check:
    """Refuse the call unless each argument is the given value."""

    def check(made: Program) -> None:
        allow, no = Label(), Label()
        for index, value in values.items():
            made.load(argument(index))
            made.if_equal(value, None, no)
        _end(made, allow, no, number)

    return check


_O_ACCMODE, _O_TRUNC = 3, 0o1000


def _open(index: int) -> Check:
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
# Landlock: flags, fs-verity, snapshots. TIOCSTI and TIOCLINUX type on a terminal; FIOSETOWN and SIOCSPGRP are
# F_SETOWN again.
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
_CLONE_FILES, _CLONE_THREAD = 0x400, 0x10000


def _clone(made: Program) -> None:
    """No namespaces, no siblings, and no thread with descriptors of its own, which nobody would count."""
    thread, allow, no = Label(), Label(), Label()
    made.load(argument(0))
    made.if_any_bit(_NAMESPACES_OR_PARENT, no, None)
    made.if_any_bit(_CLONE_THREAD, thread, allow)
    made.put(thread)
    made.if_any_bit(_CLONE_FILES, allow, no)
    _end(made, allow, no, errno.EPERM)


_SET_DUMPABLE, _SET_MEMORY_MAP = 4, 35


def _prctl(made: Program) -> None:
    """Nobody hides from the supervisor: it counts what it can look into."""
    hiding, allow, no = Label(), Label(), Label()
    made.load(argument(0))
    made.if_equal(_SET_MEMORY_MAP, no)
    made.if_equal(_SET_DUMPABLE, hiding, allow)
    made.put(hiding)
    made.load(argument(1))
    made.if_equal(1, allow, no)
    _end(made, allow, no, errno.EPERM)


# SECCOMP_FILTER_FLAG_NEW_LISTENER.
NEW_LISTENER = 1 << 3
# It opens a connection without `connect`.
_MSG_FASTOPEN = 0x20000000
_QUERY = 0xFFFFFFFF

# Calls that depend on their arguments, the frequent first. Where a process is meant, 0 is the caller itself:
# others' limits and priorities are not for a cell, and the engine runs as the same user.
CHECKED: dict[str, Check] = {
    "openat": _open(2),
    "open": _open(1),
    "mmap": _mmap,
    "ioctl": _ioctl,
    "fcntl": _fcntl,
    "sendto": _without(3, _MSG_FASTOPEN, errno.EACCES),
    "sendmsg": _without(2, _MSG_FASTOPEN, errno.EACCES),
    "sendmmsg": _without(3, _MSG_FASTOPEN, errno.EACCES),
    "clone": _clone,
    "prctl": _prctl,
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
    "seccomp": _without(1, NEW_LISTENER, errno.EBUSY),
    "personality": _exactly({0: _QUERY}, errno.EPERM),
}
