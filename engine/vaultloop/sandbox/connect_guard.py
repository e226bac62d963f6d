"""The one connection that a cell can make: to its door.

A filter cannot see the address of a `connect`, and whoever looks at it in the caller's memory sees what a
second thread may change a moment later. So the call is never let through: the guard connects a socket of its
own to its own constant address and puts it in the place of the caller's. Options that were set on that one
before are lost.

Runs in small forked processes: the standard library only, and little of it.
"""

import errno
import os
import socket
import struct

from vaultloop.sandbox import notices
from vaultloop.sandbox.notices import Notice

# struct sockaddr_in: family, port, address, and eight bytes that mean nothing.
_ADDRESS = struct.Struct("=H2s4s8x")


class ConnectGuard:
    """Answers `connect`; without a door nothing can be reached."""

    def __init__(self, listener: int, door: tuple[str, int] | None) -> None:
        """`door` is an IPv4 address and a port."""
        self._listener = listener
        self._door = door
        # Sockets whose connection is not made yet, by descriptor, and who waits for it.
        self._unfinished: dict[int, tuple[socket.socket, Notice]] = {}

    @property
    def unfinished(self) -> list[int]:
        """Descriptors that become writable once their connection is made, or has failed."""
        return list(self._unfinished)

    def judge(self, notice: Notice) -> None:
        """Refuse the call, or begin what it asks for."""
        try:
            self._check(notice)
            self._connect(notice)
        except OSError as error:
            notices.refuse(self._listener, notice, error.errno or errno.EACCES)

    def finish(self, descriptor: int) -> None:
        """Hand over the connection of this descriptor, or say why there is none."""
        made, notice = self._unfinished.pop(descriptor)
        self._hand_over(made, notice, made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

    def close(self) -> None:
        """Forget those who still wait."""
        for made, _ in self._unfinished.values():
            made.close()
        self._unfinished.clear()

    def _check(self, notice: Notice) -> None:
        """That the caller asks for the door.

        Raises:
            OSError: it does not, or nobody can tell.
        """
        _, address, length, *_ = notice.arguments
        refused = OSError(errno.EACCES, "not the door")
        if self._door is None or length & 0xFFFFFFFF < _ADDRESS.size:
            raise refused
        wanted = notices.read_memory(notice, address, _ADDRESS.size)
        if not notices.is_waiting(self._listener, notice) or len(wanted) < _ADDRESS.size:
            raise refused
        family, port, host = _ADDRESS.unpack(wanted)
        asked = (socket.inet_ntoa(host), int.from_bytes(port, "big"))
        if family != socket.AF_INET or asked != self._door:
            raise refused

    def _connect(self, notice: Notice) -> None:
        assert self._door is not None
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        made.setblocking(False)
        number = made.connect_ex(self._door)
        if number == errno.EINPROGRESS:
            self._unfinished[made.fileno()] = (made, notice)
        else:
            self._hand_over(made, notice, number)

    def _hand_over(self, made: socket.socket, notice: Notice, number: int) -> None:
        with made:
            if number == 0:
                number = self._put_in_place(made, notice)
            notices.refuse(self._listener, notice, number)

    def _put_in_place(self, made: socket.socket, notice: Notice) -> int:
        """The errno that the caller gets; 0 for none."""
        theirs = notice.arguments[0] & 0xFFFFFFFF
        try:
            flags = _flags(notice.thread, theirs)
            made.setblocking(not flags & os.O_NONBLOCK)
            notices.put_in_place(self._listener, notice, made.fileno(), theirs, flags & os.O_CLOEXEC)
        except OSError as error:
            return error.errno or errno.EACCES
        return 0


def _flags(thread: int, descriptor: int) -> int:
    """How the caller has opened its socket (O_NONBLOCK, O_CLOEXEC).

    Raises:
        OSError: it is no socket, or not open.
    """
    try:
        if not os.readlink(f"/proc/{thread}/fd/{descriptor}").startswith("socket:"):  # noqa: PTH115 - pathlib costs memory
            raise OSError(errno.ENOTSOCK, "no socket")
        with open(f"/proc/{thread}/fdinfo/{descriptor}", "rb", buffering=0) as file:  # noqa: PTH123 - likewise
            return int(file.read().partition(b"flags:")[2].split(maxsplit=1)[0], 8)
    except FileNotFoundError as error:
        raise OSError(errno.EBADF, "not open") from error
