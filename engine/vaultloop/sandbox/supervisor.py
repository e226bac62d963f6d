"""The parent of one session's processes: starts the program, guards it, and ends all that it started.

One process a session, forked from the zygote. It hears the engine over the control socket: the request, then
signals, one byte each; its end means that the engine is gone or has done with the session. It answers in
lines: `started PID`, `failed STEP ERRNO DETAIL` (JSON), `breach SENTENCE`, `exit STATUS`, `gone`.

As a subreaper it inherits whoever loses its parent below it, so that nothing leaves: when it has no children
any more, nothing of the session is left.

Runs in small forked processes: the standard library only, and little of it.
"""

import json
import os
import select
import signal
import socket
import time
from collections.abc import Sequence
from contextlib import suppress

from vaultloop.sandbox import notices, tree
from vaultloop.sandbox.connect_guard import ConnectGuard
from vaultloop.sandbox.entry import LISTENER, enter
from vaultloop.sandbox.kernel import become_reaper
from vaultloop.sandbox.limits import Watch, tasks_of
from vaultloop.sandbox.request import Request, receive
from vaultloop.sandbox.signal_guard import SignalGuard
from vaultloop.sandbox.syscalls import this_machine

# How long to wait for the end of what was killed before it is looked for anew (milliseconds).
_MOMENT = 5

# The end of everything, as the engine says it.
END = signal.SIGKILL


def supervise(control: socket.socket, streams: Sequence[int]) -> None:
    """Run the session that is asked for on `control`; returns when nothing of it is left."""
    request = receive(control)
    if request is None:
        return
    bell = _rings_when_children_end()
    become_reaper()
    session = Session(control, bell, request)
    if session.start(streams):
        session.attend()


def _rings_when_children_end() -> int:
    heard, ringing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(ringing, warn_on_full_buffer=False)
    return heard


class Session:
    """A program, what it started, and what it may do."""

    def __init__(self, control: socket.socket, bell: int, request: Request) -> None:
        self._control = control
        self._bell = bell
        self._request = request
        self._watch = Watch(request.limits, request.view, request.own)
        self._poll = select.poll()
        self._pid = 0
        self._status: int | None = None
        self._listener: int | None = None
        self._guard: ConnectGuard | None = None
        self._signals: SignalGuard | None = None

    def start(self, streams: Sequence[int]) -> bool:
        """Start the program; whether it runs. If not, it was told why."""
        ours, its = socket.socketpair()
        running = tasks_of(os.getuid())
        self._pid = os.fork()
        if self._pid == 0:
            enter(self._request, streams, its, running)
        its.close()
        for descriptor in streams:
            os.close(descriptor)
        with ours:
            failure = self._hear(ours)
        if failure:
            step, number, detail = failure.split("\n", 2)
            self._tell("failed " + json.dumps([step, int(number), detail]))
            self._end()
            return False
        self._tell(f"started {self._pid}")
        return True

    def _hear(self, ours: socket.socket) -> str:
        """What went wrong before the program ran; empty if it runs."""
        failure = b""
        while True:
            part, descriptors, _, _ = socket.recv_fds(ours, 4096, 1)
            if descriptors:
                self._listen(descriptors[0])
                part = part.removeprefix(LISTENER)
            elif not part:
                return failure.decode(errors="replace")
            failure += part

    def _listen(self, listener: int) -> None:
        machine = this_machine()
        assert machine is not None
        os.set_inheritable(listener, False)
        self._listener = listener
        self._guard = ConnectGuard(listener, self._request.door)
        self._signals = SignalGuard(listener, machine)
        self._poll.register(listener, select.POLLIN)

    def attend(self) -> None:
        """Until the program ends, breaches a limit, or the engine wants it ended; then end the rest."""
        self._poll.register(self._control, select.POLLIN)
        self._poll.register(self._bell, select.POLLIN)
        look = Deadline(self._watch.pause)
        while self._status is None and self._step(look.left()):
            if look.left() == 0:
                if breach := self._watch.breach():
                    self._tell(f"breach {breach}")
                    break
                look = Deadline(self._watch.pause)
        self._end()

    def _step(self, milliseconds: float) -> bool:
        """Take what comes next; false when the engine wants the end."""
        waiting = self._guard.unfinished if self._guard else []
        for descriptor in waiting:
            self._poll.register(descriptor, select.POLLOUT)
        events = dict(self._poll.poll(milliseconds))
        for descriptor in waiting:
            self._poll.unregister(descriptor)
            if descriptor in events and self._guard:
                self._guard.finish(descriptor)
        if self._listener in events:
            self._judge(events[self._listener])
        if self._bell in events:
            self._reap()
        return self._control.fileno() not in events or self._obey()

    def _judge(self, event: int) -> None:
        assert self._listener is not None
        assert self._guard is not None
        assert self._signals is not None
        if not event & select.POLLIN:
            # The last process behind the filter has ended.
            self._poll.unregister(self._listener)
            return
        notice = notices.receive(self._listener)
        if notice is None:
            return
        if self._signals.knows(notice):
            self._signals.judge(notice)
        else:
            self._guard.judge(notice)

    def _obey(self) -> bool:
        """Do what the engine asks for; false when it wants the end, or is gone."""
        try:
            asked = self._control.recv(1)
        except ConnectionError:
            return False
        if not asked or asked[0] == END:
            return False
        tree.send(-self._pid, asked[0])
        return True

    def _end(self) -> None:
        """End all that is left, wait until it is gone, and say so."""
        while self._reap():
            tree.kill(tree.descendants(os.getpid()))
            ended = select.poll()
            ended.register(self._bell, select.POLLIN)
            ended.poll(_MOMENT)
        self._tell("gone")

    def _reap(self) -> bool:
        """Take note of who ended; whether there is anybody left."""
        _drain(self._bell)
        try:
            for pid, status in tree.reaped():
                if pid == self._pid:
                    self._status = status
                    self._tell(f"exit {status}")
        except ChildProcessError:
            return False
        return True

    def _tell(self, line: str) -> None:
        # Where the engine is gone, its end of the socket says so, too.
        with suppress(OSError):
            self._control.sendall(line.encode(errors="replace") + b"\n")


class Deadline:
    """A point in time, some seconds from now."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def left(self) -> float:
        """Milliseconds until it; 0 once it has passed."""
        return max(0.0, (self._at - time.monotonic()) * 1000)


def _drain(bell: int) -> None:
    try:
        while os.read(bell, 4096):
            pass
    except BlockingIOError:
        pass
