"""What the fence is made of, tried out: each attempt does the real thing in a process of its own.

Run as a program with an empty folder and the highest ABI of Landlock as arguments, it prints one JSON line
for each attempt: [name, errno or 0, detail]. It forks, so it runs in a small process: the standard library
only, and nothing that starts threads.
"""

import ctypes
import errno
import json
import os
import resource
import select
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from vaultloop.sandbox import landlock, notices, seccomp, tree
from vaultloop.sandbox.kernel import become_reaper, no_new_privileges

# How long one attempt may take (seconds); each needs some milliseconds.
PATIENCE = 10.0

# A port that nobody is asked to listen on: the guard answers before anything is sent.
_NOWHERE = ("127.0.0.1", 9)

_WORD = b"hello"


class NotHeldError(OSError):
    """The kernel took the rules and did not hold to them."""

    def __init__(self, what: str) -> None:
        super().__init__(errno.EOPNOTSUPP, what)


@dataclass(frozen=True, slots=True)
class Ground:
    """Where an attempt is made.

    Attributes:
        folder: empty, and its own.
        abi: of Landlock, the highest to use.
    """

    folder: Path
    abi: int


def files(ground: Ground) -> str:
    """Landlock: a file that no rule names cannot be opened, one beside it can."""
    inside, outside = ground.folder / "inside", ground.folder / "outside"
    outside.touch()
    inside.mkdir()
    landlock.restrict(landlock.Ruleset(write=(str(inside),)), abi=ground.abi)
    (inside / "note").touch()
    _must_fail(lambda: os.open(outside, os.O_RDONLY), errno.EACCES, "a file outside was opened")
    return f"ABI {min(ground.abi, landlock.abi())}"


def moves(ground: Ground) -> str:
    """Landlock, ABI 2: what may be written may be moved from folder to folder."""
    here, there = ground.folder / "here", ground.folder / "there"
    here.mkdir()
    there.mkdir()
    (here / "note").touch()
    landlock.restrict(landlock.Ruleset(write=(str(here), str(there))), abi=ground.abi)
    (here / "note").rename(there / "note")
    return ""


def calls(_: Ground) -> str:
    """The system call filter refuses what it lists, and nothing else."""
    seccomp.install(seccomp.Rules(set_times=False, guard_signals=False))
    _must_fail(lambda: socket.socket(socket.AF_UNIX), errno.EACCES, "a unix socket was made")
    os.close(os.open("/", os.O_RDONLY))
    return os.uname().machine


def guard(_: Ground) -> str:
    """A connection is put before the parent, which gives another descriptor in its place."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        _end(lambda: _connect_under_guard(theirs))
    theirs.close()
    ours.settimeout(PATIENCE)
    told, descriptors, *_rest = socket.recv_fds(ours, 16, 1)
    if not descriptors:
        raise OSError(int(told or errno.ECHILD), "no listener was given")
    listener = descriptors[0]
    notice = notices.receive(listener)
    assert notice is not None, "its caller is alive"
    mine, given = socket.socketpair()
    notices.put_in_place(listener, notice, given.fileno(), notice.arguments[0], 0)
    notices.refuse(listener, notice, 0)
    mine.settimeout(PATIENCE)
    if mine.recv(len(_WORD)) != _WORD:
        raise NotHeldError("the connection went elsewhere")
    return ""


def _connect_under_guard(to_parent: socket.socket) -> None:
    try:
        listener = seccomp.install(seccomp.Rules(set_times=False, guard_signals=False))
    except OSError as error:
        to_parent.send(b"%d" % (error.errno or errno.EIO))
        return
    socket.send_fds(to_parent, [b"0"], [listener])
    os.close(listener)
    connection = socket.socket(socket.AF_INET)
    connection.connect(_NOWHERE)
    connection.sendall(_WORD)


def memory(ground: Ground) -> str:
    """The parent reads what a held child's pointer leads to."""
    known = ctypes.create_string_buffer(os.urandom(16), 16)
    held, hold = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(held)
        _end(lambda: _wait_in_fence(ground, hold))
    os.close(hold)
    os.read(held, 1)
    try:
        asked = notices.Notice(0, child, 0, ())
        if notices.read_memory(asked, ctypes.addressof(known), 16) != known.raw:
            raise NotHeldError("the memory of a child reads as something else")
    finally:
        os.kill(child, signal.SIGKILL)
    return ""


def _wait_in_fence(ground: Ground, hold: int) -> None:
    no_new_privileges()
    with suppress(OSError):  # `files` tells whether there is Landlock
        landlock.restrict(landlock.Ruleset(), abi=ground.abi)
    os.write(hold, b"-")
    signal.pause()


def limits(ground: Ground) -> str:
    """Limits on open files and the size of a file hold."""
    long = ground.folder / "long"
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    _must_fail(lambda: long.write_text("x"), errno.EFBIG, "a file became too large")
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    _must_fail(lambda: os.dup(0), errno.EMFILE, "too many files were opened")
    resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
    if os.getuid() == 0:
        return "the kernel does not count root's processes"
    _must_fail(_fork_and_end, errno.EAGAIN, "too many processes were started")
    return ""


def victim(_: Ground) -> str:
    """The kernel is told whom to end first when memory runs out."""
    score = Path("/proc/self/oom_score_adj")
    score.write_text("500")
    if score.read_text().strip() != "500":
        raise NotHeldError("oom_score_adj did not keep its value")
    return ""


def reaper(_: Ground) -> str:
    """A process in a session of its own whose parent ended comes to the supervisor, which finds it."""
    become_reaper()
    told, tell = os.pipe()
    held, hold = os.pipe()
    if os.fork() == 0:
        os.close(hold)
        if os.fork() == 0:
            os.setsid()
            os.write(tell, b"%d" % os.getpid())
            os.read(held, 1)
        os._exit(0)
    orphan = int(os.read(told, 20))
    os.wait()
    if orphan not in tree.descendants(os.getpid()):
        raise NotHeldError("an orphan went elsewhere")
    os.close(hold)
    return ""


def groups(_: Ground) -> str:
    """A control group of our own, in which one write ends all."""
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    own = next((line[3:] for line in lines if line.startswith("0::")), None)
    if own is None:
        raise OSError(errno.ENOENT, "no unified control group")
    made = Path("/sys/fs/cgroup") / own.strip("/") / f"vaultloop-probe-{os.getpid()}"
    made.mkdir()
    try:
        os.close(os.open(made / "cgroup.kill", os.O_WRONLY))
    finally:
        made.rmdir()
    return ""


def user(_: Ground) -> str:
    """A user of its own for each scope: only root can give one."""
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    return ""


ATTEMPTS: tuple[Callable[[Ground], str], ...] = (
    *(files, moves, calls, guard, memory),
    *(limits, victim, reaper, groups, user),
)


def outcome(attempt: Callable[[Ground], str], ground: Ground) -> tuple[int, str]:
    """What came of it, tried in a child: errno (0 if it worked) and a detail.

    A child that is killed, or does not end in time, has not found its layer.
    """
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(told)
        _end(lambda: _try(attempt, ground, tell))
    os.close(tell)
    ready, _, _ = select.select([told], [], [], PATIENCE)
    said = os.read(told, 4096) if ready else b""
    os.close(told)
    # Its whole group: what an attempt started must not outlast it.
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if not said:
        return errno.ETIMEDOUT, f"the attempt gave no answer (status {status})"
    number, detail = json.loads(said)
    return number, detail


def main(arguments: Sequence[str]) -> None:
    """Try all, and print what came of each."""
    folder, abi = arguments
    for attempt in ATTEMPTS:
        ground = Ground(Path(folder) / attempt.__name__, int(abi))
        ground.folder.mkdir()
        sys.stdout.write(json.dumps([attempt.__name__, *outcome(attempt, ground)]) + "\n")
        sys.stdout.flush()


def _try(attempt: Callable[[Ground], str], ground: Ground, tell: int) -> None:
    os.setpgid(0, 0)
    try:
        said = (0, attempt(ground))
    except OSError as error:
        said = (error.errno or errno.EIO, str(error.strerror or error))
    except ValueError as error:  # what Python makes of EPERM from setrlimit
        said = (errno.EPERM, str(error))
    os.write(tell, json.dumps(said).encode())


def _must_fail(action: Callable[[], object], number: int, otherwise: str) -> None:
    try:
        action()
    except OSError as error:
        if error.errno == number:
            return
        raise
    raise NotHeldError(otherwise)


def _fork_and_end() -> None:
    if os.fork() == 0:
        os._exit(0)


def _end(last: Callable[[], None]) -> NoReturn:
    """Do it and end, without the clean-up of the process that this is a copy of."""
    try:
        last()
    finally:
        os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
