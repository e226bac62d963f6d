"""The system call filter, in real processes of an unprivileged user, and its programs for both processors."""

import ctypes
import errno
import fcntl
import mmap
import os
import re
import signal
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pytest

from support import container_profile
from support.filter_machine import answer
from support.unprivileged import drive, place
from vaultloop.sandbox import arguments, notices, seccomp
from vaultloop.sandbox.bpf import ALLOW, KILL_PROCESS, LONGEST, NOTIFY, refuse
from vaultloop.sandbox.kernel import call, no_new_privileges
from vaultloop.sandbox.seccomp import Rules
from vaultloop.sandbox.syscalls import AARCH64, NEWEST, X86_64, Machine, this_machine

GROUP = Rules(set_times=False, guard_signals=False)
OWNER = Rules(set_times=True, guard_signals=False)
MACHINES = pytest.mark.parametrize("machine", [X86_64, AARCH64], ids=["x86_64", "aarch64"])
ON_X86_64 = pytest.mark.skipif(this_machine() is not X86_64, reason="machine code of x86_64")

_FASTOPEN = 0x20000000


def outcome(action: Callable[[], object]) -> str:
    """`works`, or the errno's name."""
    try:
        action()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "works"


def raw(name: str, *arguments: object) -> int:
    machine = this_machine()
    assert machine is not None
    return call(name, machine.numbers[name], *arguments)


def in_place(folder: str, *, fenced: bool) -> dict[str, str]:
    """What comes of each attempt, made in a folder of its own."""
    note, page = Path(folder) / "note", Path(folder) / "page"
    note.write_text("text")
    page.write_text("text")
    reading = os.open(page, os.O_RDONLY)
    made = socket.socket()
    another = os.fork()
    if another == 0:
        signal.pause()
    if fenced:
        seccomp.install(GROUP)
    nobody = ("127.0.0.1", 9)
    attempts: dict[str, Callable[[], object]] = {
        "unix socket": lambda: socket.socket(socket.AF_UNIX),
        "udp socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
        "netlink socket": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
        "tcp socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK),
        "tcp socket, by number": lambda: socket.socket(socket.AF_INET6, socket.SOCK_STREAM, 6),
        "datagram pair": lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM),
        "stream pair": socket.socketpair,
        "bind": lambda: made.bind(("127.0.0.1", 0)),
        "listen": lambda: made.listen(1),
        "fast open": lambda: socket.socket().sendto(b"x", _FASTOPEN, nobody),
        "fast open, message": lambda: socket.socket().sendmsg([b"x"], (), _FASTOPEN, nobody),
        "chmod": lambda: note.chmod(0o600),
        "times": lambda: os.utime(note, (1, 1)),
        "attribute": lambda: os.getxattr(note, "user.none"),
        "truncate by path": lambda: os.truncate(note, 1),
        "truncate by descriptor": lambda: note.open("w").close(),
        "truncate when opened for reading": lambda: os.open(note, os.O_RDONLY | os.O_TRUNC),
        "open for neither reading nor writing": lambda: os.open(note, 3),
        "watch": lambda: raw("inotify_init1", 0),
        "file in memory": lambda: os.memfd_create("x"),
        "shared memory in no file": lambda: mmap.mmap(-1, 4096),
        "shared memory of a file": lambda: mmap.mmap(reading, 1, prot=mmap.PROT_READ),
        "shared memory by key": lambda: raw("shmget", 0, 4096, 0o600),
        "ring": lambda: raw("io_uring_setup", 1, ctypes.create_string_buffer(120)),
        "owner of signals": lambda: fcntl.fcntl(reading, fcntl.F_SETOWN, os.getpid()),
        "lease": lambda: fcntl.fcntl(reading, fcntl.F_SETLEASE, fcntl.F_RDLCK),
        "close on exec": lambda: fcntl.fcntl(reading, fcntl.F_SETFD, fcntl.FD_CLOEXEC),
        "limits of another": lambda: raw("prlimit64", another, 7, 0, ctypes.create_string_buffer(16)),
        "own limits": lambda: raw("prlimit64", 0, 7, 0, ctypes.create_string_buffer(16)),
        "priority of another": lambda: os.setpriority(os.PRIO_PROCESS, another, 19),
        "own priority": lambda: os.setpriority(os.PRIO_PROCESS, 0, 19),
        "processor of another": lambda: os.sched_setaffinity(another, {0}),
        "flags of the file system": lambda: fcntl.ioctl(reading, 0x80086601, bytearray(8)),
        "namespace": lambda: raw("clone", 0x10000000 | signal.SIGCHLD, 0, 0, 0, 0) or os._exit(0),
        "fork": _fork,
        "thread": _thread,
        "second listener": _second_listener,
    }
    try:
        return {name: outcome(attempt) for name, attempt in attempts.items()}
    finally:
        os.kill(another, signal.SIGKILL)


def _fork() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def _thread() -> None:
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()


def _second_listener() -> None:
    machine = this_machine()
    assert machine is not None
    no_new_privileges()
    allow = struct.pack("=HBBI", 0x06, 0, 0, ALLOW)
    os.close(seccomp.load(machine, allow, 1 << 3))


@pytest.fixture(scope="module")
def fenced() -> Mapping[str, str]:
    with place() as folder:
        return dict(drive(in_place_fenced, str(folder)))


@pytest.fixture(scope="module")
def free() -> Mapping[str, str]:
    with place() as folder:
        return dict(drive(in_place_free, str(folder)))


def in_place_fenced(folder: str) -> dict[str, str]:
    return in_place(folder, fenced=True)


def in_place_free(folder: str) -> dict[str, str]:
    return in_place(folder, fenced=False)


REFUSED = {
    "unix socket": "EACCES",
    "udp socket": "EACCES",
    "netlink socket": "EACCES",
    "datagram pair": "EACCES",
    "bind": "EACCES",
    "listen": "EACCES",
    "fast open": "EACCES",
    "fast open, message": "EACCES",
    "chmod": "EPERM",
    "times": "EPERM",
    "attribute": "ENOTSUP",
    "truncate by path": "EACCES",
    "truncate when opened for reading": "EACCES",
    "open for neither reading nor writing": "EACCES",
    "watch": "ENOSYS",
    "file in memory": "ENOSYS",
    "shared memory in no file": "EPERM",
    "shared memory by key": "EPERM",
    "ring": "EPERM",
    "owner of signals": "EPERM",
    "lease": "EPERM",
    "limits of another": "EPERM",
    "priority of another": "EPERM",
    "processor of another": "EPERM",
    "flags of the file system": "ENOTTY",
    "namespace": "EPERM",
    "second listener": "EBUSY",
}
STILL_WORKS = (
    *("tcp socket", "tcp socket, by number", "stream pair", "truncate by descriptor", "close on exec"),
    *("shared memory of a file", "own limits", "own priority", "fork", "thread"),
)


@pytest.mark.parametrize(("attempt", "expected"), REFUSED.items())
def test_a_call_that_reaches_beyond_the_cell_is_refused(
    fenced: Mapping[str, str], attempt: str, expected: str
) -> None:
    assert fenced[attempt] == expected


@pytest.mark.parametrize("attempt", STILL_WORKS)
def test_what_programs_live_by_still_works(fenced: Mapping[str, str], attempt: str) -> None:
    assert fenced[attempt] == "works"


def test_without_the_filter_most_of_it_works(free: Mapping[str, str]) -> None:
    """So the refusals above are the filter's."""
    works = {attempt for attempt in REFUSED if free[attempt] == "works"}
    # A kernel may refuse these by itself: what it was built with and how it is set up decide.
    theirs = {"ring", "namespace", "attribute", "flags of the file system", "fast open", "fast open, message"}
    assert REFUSED.keys() - works <= theirs
    assert not any(free[attempt] == REFUSED[attempt] for attempt in ("attribute", "fast open"))


def every_listed_call() -> dict[str, list[str]]:
    """For each call of the lists: what is said to it, and what should be."""
    machine = this_machine()
    assert machine is not None
    seccomp.install(GROUP)
    said = {}
    for number, names in (*seccomp.REFUSED, (errno.EPERM, seccomp.TIMES)):
        for name in names:
            if name in machine.numbers:
                said[name] = [outcome(partial(raw, name, 0, 0, 0, 0, 0)), errno.errorcode[number]]
    return said


def test_every_call_of_the_lists_fails_with_its_errno() -> None:
    said = drive(every_listed_call)
    assert len(said) > 100
    assert {name: pair for name, pair in said.items() if pair[0] != pair[1]} == {}


def handing_over() -> list[str]:
    """What comes of a descriptor, a message and a word, before and after none is handed over any more."""
    seccomp.install(GROUP)
    said = []
    for lets in (True, False):
        if not lets:
            seccomp.keep_descriptors()
        one, other = socket.socketpair()
        said.append(outcome(partial(socket.send_fds, one, [b"x"], [0])))
        said.append(outcome(partial(one.sendmsg, [b"x"])))
        said.append(outcome(partial(raw, "sendmmsg", one.fileno(), 0, 0, 0)))
        said.append(outcome(partial(one.sendall, b"word")))
        said.append(outcome(partial(os.writev, one.fileno(), [b"wo", b"rd"])))
        other.close()
    return said


def test_after_the_listener_no_descriptor_is_handed_over_and_streams_still_work() -> None:
    said = drive(handing_over)
    assert said[:5] == ["works"] * 5
    assert said[5:] == ["EACCES"] * 3 + ["works"] * 2


@MACHINES
def test_messages_are_refused_on_both_processors(machine: Machine) -> None:
    program = seccomp.program_of_messages(machine)
    for name in seccomp.MESSAGES:
        assert answer(program, machine.numbers[name], machine.audit) == refuse(errno.EACCES)
    assert answer(program, machine.numbers["sendto"], machine.audit) == ALLOW


def times_of_an_owner(folder: str) -> str:
    note = Path(folder) / "note"
    note.touch()
    seccomp.install(OWNER)
    return outcome(lambda: os.utime(note, (1, 1)))


def test_an_owner_may_set_times() -> None:
    with place() as folder:
        assert drive(times_of_an_owner, str(folder)) == "works"


def put_before_the_supervisor() -> list[list[Any]]:
    """A child behind the filter connects and signals; this process, which is not, hears of it and answers."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        _connect_and_signal(theirs)
    theirs.close()
    _, (listener,), _, _ = socket.recv_fds(ours, 1, 1)
    machine = this_machine()
    assert machine is not None
    names = {number: name for name, number in machine.numbers.items()}
    heard: list[list[Any]] = []
    for number in (errno.ENETDOWN, errno.ESRCH):
        notice = notices.receive(listener)
        assert notice is not None
        heard.append([names[notice.number], notice.arguments[1]])
        notices.refuse(listener, notice, number)
    said = ours.recv(100).decode().split()
    ours.close()
    os.waitpid(child, 0)
    return [*heard, said]


def _connect_and_signal(told: socket.socket) -> NoReturn:
    listener = seccomp.install(Rules(set_times=False, guard_signals=True))
    socket.send_fds(told, [b"-"], [listener])
    with socket.socket() as connection:
        said = [outcome(lambda: connection.connect(("127.0.0.1", 9)))]
    said.append(outcome(lambda: os.kill(os.getppid(), signal.SIGKILL)))
    told.send(" ".join(said).encode())
    os._exit(0)


def test_connections_and_guarded_signals_are_put_before_the_supervisor() -> None:
    connect, kill, said = drive(put_before_the_supervisor)
    assert connect[0] == "connect"
    assert kill == ["kill", signal.SIGKILL]
    assert said == ["ENETDOWN", "ESRCH"]


def status_of(action: Callable[[], object]) -> int:
    child = os.fork()
    if child == 0:
        action()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def by_another_table(fenced: bool) -> list[int]:
    """How processes end that call `getpid` as x32 and as 32-bit programs do."""
    # mov eax, 20; int 0x80; ret
    code = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=7)
    code.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")
    called = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
    if fenced:
        seccomp.install(GROUP)
    return [
        status_of(lambda: outcome(lambda: call("x32", 0x40000000 + 39))),
        status_of(called),
    ]


@ON_X86_64
def test_calls_by_another_table_end_the_process() -> None:
    free_of_it = drive(by_another_table, False)
    x32, old = drive(by_another_table, True)
    assert x32 == -signal.SIGSYS
    # A kernel without 32-bit programs ends them by itself.
    assert old == (-signal.SIGSYS if free_of_it[1] == 0 else free_of_it[1])
    assert free_of_it[0] == 0


CALLS = {
    ("socket", 2, 1, 0): ALLOW,
    ("socket", 10, 0o2004001, 6): ALLOW,
    ("socket", 2, 2, 0): refuse(errno.EACCES),
    ("socket", 2, 1, 262): refuse(errno.EACCES),
    ("socket", 2, 1, 132): refuse(errno.EACCES),
    ("socket", 40, 1, 0): refuse(errno.EACCES),
    ("socket", 2, 0x11, 0): refuse(errno.EACCES),
    ("socketpair", 1, 1, 0): ALLOW,
    ("socketpair", 1, 3, 0): refuse(errno.EACCES),
    ("socketpair", 30, 1, 0): refuse(errno.EACCES),
    ("openat", 0, 0, os.O_RDWR | os.O_TRUNC): ALLOW,
    ("openat", 0, 0, os.O_TRUNC): refuse(errno.EACCES),
    ("openat", 0, 0, 3): refuse(errno.EACCES),
    ("sendmmsg", 3, 0, 1, _FASTOPEN | 1): refuse(errno.EACCES),
    ("sendmmsg", 3, 0, 1, 0): ALLOW,
    ("clone", 0x3D0F00): ALLOW,
    ("clone", 0x20000): refuse(errno.EPERM),
    ("clone", 0x8000): refuse(errno.EPERM),
    ("clone", 0x10100): refuse(errno.EPERM),
    ("prctl", 4, 0): refuse(errno.EPERM),
    ("prctl", 4, 1): ALLOW,
    ("prctl", 35, 14): refuse(errno.EPERM),
    ("prctl", 15, 0): ALLOW,
    ("mmap", 0, 4096, 3, 0x22): ALLOW,
    ("mmap", 0, 4096, 3, 0x21): refuse(errno.EPERM),
    ("ioctl", 0, 0x5401): ALLOW,
    ("ioctl", 0, 0x5412): refuse(errno.ENOTTY),
    ("ioctl", 3, 0x40086602): refuse(errno.ENOTTY),
    ("ioctl", 3, 0x50009417): refuse(errno.ENOTTY),
    ("ioctl", 3, 0x4010BC10): refuse(errno.ENOTTY),
    ("ioctl", 3, 0xF501): refuse(errno.ENOTTY),
    ("fcntl", 3, 1030): ALLOW,
    ("fcntl", 3, 1040): refuse(errno.EPERM),
    ("ioprio_set", 1, 0, 0): ALLOW,
    ("ioprio_set", 3, 1000, 0): refuse(errno.EPERM),
    ("personality", 0xFFFFFFFF): ALLOW,
    ("personality", 0x40000): refuse(errno.EPERM),
    ("connect", 3, 0, 16): NOTIFY,
    ("kill", 1, 9): ALLOW,
    ("listmount",): refuse(errno.ENOSYS),
}


@MACHINES
@pytest.mark.parametrize(("asked", "expected"), CALLS.items(), ids=str)
def test_arguments_decide_the_same_way_on_both_processors(
    machine: Machine, asked: tuple[Any, ...], expected: int
) -> None:
    name, *arguments = asked
    program = seccomp.program(GROUP, machine)
    assert answer(program, machine.numbers[name], machine.audit, arguments) == expected


@MACHINES
def test_the_kernel_looks_at_half_an_argument_and_so_does_the_filter(machine: Machine) -> None:
    """A file descriptor, flag or pid is an int: what stands above its 32 bits means nothing to either."""
    program = seccomp.program(GROUP, machine)
    noise = 0xDEAD_0000_0000
    said = answer(program, machine.numbers["socket"], machine.audit, [noise + 2, noise + 2, noise])
    assert said == refuse(errno.EACCES)


@MACHINES
def test_signals_are_guarded_only_where_it_is_asked_for(machine: Machine) -> None:
    guarded = seccomp.program(Rules(set_times=False, guard_signals=True), machine)
    for name in ("kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal"):
        assert answer(guarded, machine.numbers[name], machine.audit) == NOTIFY
        assert answer(seccomp.program(GROUP, machine), machine.numbers[name], machine.audit) == ALLOW


@MACHINES
def test_calls_that_came_later_do_not_exist(machine: Machine) -> None:
    program = seccomp.program(GROUP, machine)
    assert answer(program, NEWEST + 1, machine.audit) == refuse(errno.ENOSYS)
    assert answer(program, 1000, machine.audit) == refuse(errno.ENOSYS)


@MACHINES
def test_another_processors_calls_end_the_process(machine: Machine) -> None:
    program = seccomp.program(GROUP, machine)
    assert answer(program, 20, 0x40000003) == KILL_PROCESS


@MACHINES
def test_the_program_is_one_that_the_kernel_takes(machine: Machine) -> None:
    assert len(seccomp.program(Rules(set_times=False, guard_signals=True), machine)) // 8 <= LONGEST


def test_every_call_that_is_named_is_in_the_table() -> None:
    named = {name for _, names in seccomp.REFUSED for name in names} | set(seccomp.TIMES)
    assert named | arguments.CHECKED.keys() <= X86_64.numbers.keys() | AARCH64.numbers.keys()


def test_the_numbers_of_x86_64_are_the_kernels() -> None:
    known = container_profile.numbers()
    assert {name: known.get(name) for name in X86_64.numbers} == X86_64.numbers


def test_the_numbers_of_aarch64_are_the_kernels() -> None:
    header = Path("/usr/include/asm-generic/unistd.h")
    if not header.is_file():
        pytest.skip("the kernel's headers are not installed")
    found = re.findall(r"^#define __NR(?:3264)?_(\w+) (\d+)$", header.read_text(), re.MULTILINE)
    known = {name: int(number) for name, number in found}
    # Headers may be older than the calls.
    assert {name: known.get(name, number) for name, number in AARCH64.numbers.items()} == AARCH64.numbers
    assert len(AARCH64.numbers.keys() & known.keys()) > 100
