"""The last steps of a process before it becomes a session's program.

Each takes something away; none can be undone. A step that fails ends the process before the program has run,
and is told with its errno: nothing is left out silently.

Runs in small forked processes: the standard library only, and little of it.
"""

import ctypes
import errno
import fcntl
import os
import signal
import socket
from collections.abc import Sequence
from typing import NoReturn

from vaultloop.sandbox import landlock, limits, seccomp
from vaultloop.sandbox.kernel import fail
from vaultloop.sandbox.request import Request

# What is told over the report socket.
LISTENER = b"listener"

# Above the descriptors that are put in order.
_CLEAR = 16

_PR_SET_PDEATHSIG = 1
_C = ctypes.CDLL(None, use_errno=True)


def enter(request: Request, streams: Sequence[int], report: socket.socket, running: int) -> NoReturn:
    """Become the program of `request`; what goes wrong is told on `report`, which closes if nothing does."""
    doing, told = "descriptors", report
    try:
        told = _keep_only(streams, report)
        doing = "session"
        _begin_session()
        doing = "limits"
        limits.hold(request.limits, running)
        doing = "view"
        os.umask(0o077)
        os.chdir(request.view)
        doing = "landlock"
        if request.landlock_abi:
            landlock.restrict(request.files, abi=request.landlock_abi)
        doing = "seccomp"
        if request.calls is not None:
            _filter_calls(request.calls, told)
        doing = "program"
        os.execve(request.program, request.command, _encoded(request.environment))  # noqa: S606
    except OSError as error:
        _tell(told, doing, error.errno or 0, error.filename or error.args[-1])
    except BaseException as error:  # whatever it is, it must not run on as a second supervisor
        _tell(told, doing, 0, repr(error))
    os._exit(127)


def _tell(told: socket.socket, doing: str, number: int, detail: object) -> None:
    try:
        told.sendall(f"{doing}\n{number}\n{detail}".encode(errors="replace"))
    finally:
        os._exit(127)


def _begin_session() -> None:
    supervisor = os.getppid()
    os.setsid()
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if _C.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) < 0:
        fail("prctl")
    if os.getppid() != supervisor:
        raise OSError(3, "the supervisor is gone")


def _keep_only(streams: Sequence[int], report: socket.socket) -> socket.socket:
    """The three streams as 0, 1 and 2, the report socket until the program starts, and nothing else."""
    moved = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, _CLEAR) for each in (*streams, report.fileno())]
    for number, descriptor in enumerate(moved[:3]):
        os.dup2(descriptor, number)
    kept = {0, 1, 2, moved[3]}
    for descriptor in _open_descriptors():
        if descriptor not in kept:
            _close(descriptor)
    return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=moved[3])


def _open_descriptors() -> list[int]:
    return [int(name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208 - pathlib costs memory


def _close(descriptor: int) -> None:
    try:
        os.close(descriptor)
    except OSError as error:
        if error.errno != errno.EBADF:  # the one that the list itself was read from
            raise


def _filter_calls(rules: seccomp.Rules, told: socket.socket) -> None:
    listener = seccomp.install(rules)
    socket.send_fds(told, [LISTENER], [listener])
    os.close(listener)
    seccomp.keep_descriptors()


def _encoded(environment: dict[str, str]) -> dict[bytes, bytes]:
    return {os.fsencode(name): os.fsencode(value) for name, value in environment.items()}
