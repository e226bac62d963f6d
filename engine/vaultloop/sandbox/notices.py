"""System calls that the filter put before the supervisor: hearing of them and answering.

The kernel's interface is `seccomp_unotify(2)`. Whoever called waits until it is answered, but may be killed
meanwhile, and its id be given to another process: `is_waiting` says whether what was read was its own.

Runs in small forked processes: the standard library only, and little of it.
"""

import errno
import fcntl
import os
import struct
from dataclasses import dataclass

_RECEIVE = 0xC0502100  # SECCOMP_IOCTL_NOTIF_RECV
_SEND = 0xC0182101  # SECCOMP_IOCTL_NOTIF_SEND
_IS_VALID = 0x40082102  # SECCOMP_IOCTL_NOTIF_ID_VALID
_ADD_DESCRIPTOR = 0x40182103  # SECCOMP_IOCTL_NOTIF_ADDFD
_AT_NUMBER = 1  # SECCOMP_ADDFD_FLAG_SETFD
_CONTINUE = 1  # SECCOMP_USER_NOTIF_FLAG_CONTINUE

# struct seccomp_notif: id, pid, flags; then seccomp_data: nr, arch, instruction pointer, six arguments.
_NOTICE = struct.Struct("=QIIiIQ6Q")
_ANSWER = struct.Struct("=QqiI")
_DESCRIPTOR = struct.Struct("=QIIII")


@dataclass(frozen=True, slots=True)
class Notice:
    """One call that waits.

    Attributes:
        thread: who called.
        number: of the system call.
        arguments: as they stand in the registers; what they point to may change at any time.
    """

    id: int
    thread: int
    number: int
    arguments: tuple[int, ...]


def receive(listener: int) -> Notice | None:
    """The next call; None if its caller was killed before it was heard."""
    filled = bytearray(_NOTICE.size)
    try:
        fcntl.ioctl(listener, _RECEIVE, filled)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EINTR):
            return None
        raise
    identity, thread, _, number, _, _, *arguments = _NOTICE.unpack(filled)
    return Notice(identity, thread, number, tuple(arguments))


def is_waiting(listener: int, notice: Notice) -> bool:
    """Whether the caller still waits, so that its id is still its own."""
    try:
        fcntl.ioctl(listener, _IS_VALID, struct.pack("=Q", notice.id))
    except OSError:
        return False
    return True


def refuse(listener: int, notice: Notice, number: int) -> None:
    """Let the call fail with this errno; with 0 it succeeds without having been made."""
    _answer(listener, _ANSWER.pack(notice.id, 0, -number, 0))


def let_pass(listener: int, notice: Notice) -> None:
    """Let the kernel make the call; only where nothing that decided can have changed."""
    _answer(listener, _ANSWER.pack(notice.id, 0, 0, _CONTINUE))


def put_in_place(listener: int, notice: Notice, ours: int, theirs: int, flags: int) -> None:
    """Put our descriptor in the place of the caller's.

    Raises:
        OSError: the caller is gone.
    """
    given = _DESCRIPTOR.pack(notice.id, _AT_NUMBER, ours, theirs, flags)
    fcntl.ioctl(listener, _ADD_DESCRIPTOR, bytearray(given))


def read_memory(notice: Notice, address: int, length: int) -> bytes:
    """Bytes of the caller's memory as they are now.

    Raises:
        OSError: nothing is there, or it is out of our reach.
    """
    memory = os.open(f"/proc/{notice.thread}/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(memory, length, address)
    except OverflowError as error:
        raise OSError(errno.EFAULT, "no such address") from error
    finally:
        os.close(memory)


def _answer(listener: int, answer: bytes) -> None:
    try:
        fcntl.ioctl(listener, _SEND, bytearray(answer))
    except OSError as error:
        if error.errno != errno.ENOENT:  # else nobody waits any more
            raise
