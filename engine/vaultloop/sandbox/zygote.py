"""A small process that forks one supervisor for each session: warm, so that a session starts at once.

The engine starts it as a program of its own: a fork of the engine would carry its memory, threads and secrets
into every session. It has one thread and holds nothing but its socket, over which come the descriptors of a
session: the control socket and the program's three streams. It ends when the engine's end closes.

Runs in small forked processes: the standard library only, and little of it.
"""

import gc
import os
import signal
import socket
import sys
from typing import NoReturn

from vaultloop.sandbox import capabilities, tree
from vaultloop.sandbox.kernel import become_reaper
from vaultloop.sandbox.supervisor import supervise

# What comes with each session's descriptors, and what is answered once, when it is ready.
NEW = b"n"
READY = b"r"

_DESCRIPTORS = 4


def serve(descriptor: int) -> None:
    """Fork supervisors until the engine's end of socket `descriptor` closes."""
    engine = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, fileno=descriptor)
    engine.set_inheritable(False)
    # Who stops the engine's whole group or session means the engine, which then ends its sessions in order.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    capabilities.drop()
    supervisors = Supervisors()
    gc.collect()
    gc.freeze()  # shared memory stays shared: the collector writes into what it visits
    engine.send(READY)
    while (received := _received(engine)) is not None:
        supervisors.fork(engine, received)


def _received(engine: socket.socket) -> list[int] | None:
    """The descriptors of the next session; None when there is no engine any more."""
    try:
        message, descriptors, _, _ = socket.recv_fds(engine, 16, _DESCRIPTORS)
    except ConnectionError:
        return None
    if message != NEW or len(descriptors) != _DESCRIPTORS:
        return None
    return descriptors


class Supervisors:
    """Those that run; what loses its supervisor is ended here."""

    def __init__(self) -> None:
        self._pids: set[int] = set()
        become_reaper()
        signal.signal(signal.SIGCHLD, self._reap)

    def fork(self, engine: socket.socket, descriptors: list[int]) -> None:
        """Start one on these descriptors, which are its own from then on."""
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
        pid = os.fork()
        if pid == 0:
            _become_supervisor(engine, descriptors)
        self._pids.add(pid)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
        for descriptor in descriptors:
            os.close(descriptor)

    def _reap(self, *_: object) -> None:
        try:
            for pid, _status in tree.reaped():
                self._pids.discard(pid)
        except ChildProcessError:
            return
        # A supervisor that was killed leaves its session to us.
        orphans = [pid for pid in tree.children(os.getpid()) if pid not in self._pids]
        tree.kill([below for pid in orphans for below in (pid, *tree.descendants(pid))])


def _become_supervisor(engine: socket.socket, descriptors: list[int]) -> NoReturn:
    status = 1
    try:
        engine.close()
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
        control, *streams = descriptors
        supervise(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=control), streams)
        status = 0
    except BaseException as error:  # it must never run on as a second zygote
        print(f"vaultloop: a supervisor failed: {error!r}", file=sys.stderr, flush=True)  # noqa: T201
    os._exit(status)
