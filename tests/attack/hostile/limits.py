"""What a session may use up: memory, processes, descriptors, disk, time."""

import ctypes
import mmap
import os
import resource
import select
import signal
import socket
import threading
import time
from pathlib import Path

from .calls import call, prctl
from .catalogue import Stopped, Targets, case

LIMITS = "limits"
MIB = 1024 * 1024

# More descriptors than any tool needs.
MANY_DESCRIPTORS = 20_000
# More processes than a session needs; and how long they stay (seconds), so that whoever counts now and then
# counts them.
MANY_PROCESSES = 600
STAYING = 2.0
LARGE_FILE_MIB = 300


@case(LIMITS)
def write_a_large_file(targets: Targets) -> str:
    """Write one file of 300 MB."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    path = Path(targets.scratch) / "large"
    block = bytes(5 * MIB)
    try:
        with path.open("wb", buffering=0) as file:
            for _ in range(LARGE_FILE_MIB // 5):
                if file.write(block) != len(block):
                    raise Stopped("a part was written")
    finally:
        path.unlink(missing_ok=True)
    return "wrote it"


@case(LIMITS, open_otherwise=False)
def open_descriptors_without_end(targets: Targets) -> str:
    """Open so many descriptors that the machine has none left."""
    for _ in range(MANY_DESCRIPTORS):
        os.open("/dev/null", os.O_RDONLY)
    return f"opened {MANY_DESCRIPTORS}"


@case(LIMITS, alone=True)
def fork_hundreds(targets: Targets) -> str:
    """Fork hundreds of processes that stay."""
    children: list[int] = []
    try:
        for _ in range(MANY_PROCESSES):
            pid = os.fork()
            if pid == 0:
                signal.pause()
                os._exit(0)
            children.append(pid)
        time.sleep(STAYING)
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        for pid in children:
            os.waitpid(pid, 0)
    return f"forked {len(children)}"


@case(LIMITS, alone=True)
def start_threads_without_end(targets: Targets) -> str:
    """Start hundreds of threads that stay."""
    ends = threading.Event()
    threads: list[threading.Thread] = []
    threading.stack_size(64 * 1024)
    try:
        for _ in range(MANY_PROCESSES):
            thread = threading.Thread(target=ends.wait)
            thread.start()
            threads.append(thread)
        time.sleep(STAYING)
    except RuntimeError as error:
        raise Stopped(str(error)) from None
    finally:
        ends.set()
        for thread in threads:
            thread.join()
    return f"started {len(threads)}"


def _raised(which: int) -> str:
    soft, hard = resource.getrlimit(which)
    if hard == resource.RLIM_INFINITY:
        return "there is no limit"
    try:
        resource.setrlimit(which, (soft, hard + 1))
    except ValueError as error:
        raise Stopped(str(error)) from None
    return "raised it"


@case(LIMITS, open_otherwise=False)
def raise_the_limit_of_files(targets: Targets) -> str:
    """Raise the limit on the size of files."""
    return _raised(resource.RLIMIT_FSIZE)


@case(LIMITS, open_otherwise=False)
def raise_the_limit_of_processes(targets: Targets) -> str:
    """Raise the limit on processes."""
    return _raised(resource.RLIMIT_NPROC)


@case(LIMITS, open_otherwise=False)
def raise_the_limit_of_descriptors(targets: Targets) -> str:
    """Raise the limit on descriptors."""
    return _raised(resource.RLIMIT_NOFILE)


@case(LIMITS, open_otherwise=False)
def dump_its_memory(targets: Targets) -> str:
    """Leave its memory on the disk by crashing (RLIMIT_CORE)."""
    if resource.getrlimit(resource.RLIMIT_CORE)[1] == 0:
        raise Stopped("no core is written")
    return "may leave a core"


@case(LIMITS)
def be_spared_by_the_kernel(targets: Targets) -> str:
    """Be no likelier a victim than the engine when memory runs out (oom_score_adj)."""
    path = Path("/proc/self/oom_score_adj")
    engine = int(targets.extra["oom_score_adj"])
    if int(path.read_text()) <= engine:
        return "is as safe as the engine"
    path.write_text(str(engine))
    return "lowered it"


@case(LIMITS, open_otherwise=False)
def run_before_the_engine(targets: Targets) -> str:
    """Give itself a higher priority than the engine."""
    os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, 0) - 1)
    return "raised it"


@case(LIMITS)
def run_as_urgently_as_the_engine(targets: Targets) -> str:
    """Run with the engine's own priority."""
    if os.getpriority(os.PRIO_PROCESS, 0) > int(targets.extra["nice"]):
        raise Stopped("it runs after the engine")
    return "is as urgent as the engine"


@case(LIMITS)
def hide_from_its_supervisor(targets: Targets) -> str:
    """Let nobody look into it (PR_SET_DUMPABLE), so that its memory and files are not counted."""
    prctl(4, 0)
    return "hid itself"


@case(LIMITS)
def send_a_descriptor(targets: Targets) -> str:
    """Put descriptors on their way in a socket, which are counted by user and by nobody else."""
    one, other = socket.socketpair()
    socket.send_fds(one, [b"x"], [one.fileno()])
    other.close()
    return "sent it"


@case(LIMITS)
def have_a_thread_with_descriptors_of_its_own(targets: Targets) -> str:
    """Start a thread with descriptors of its own (clone), which do not show in its process."""
    stack = mmap.mmap(-1, 65536, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    top = ctypes.addressof(ctypes.c_char.from_buffer(stack)) + 65536
    if os.fork() == 0:
        try:
            # Memory and handlers of signals as a thread must share them; not CLONE_FILES.
            call("clone", 0x100 | 0x800 | 0x10000, top, 0, 0, 0)
        except OSError as error:
            os._exit(error.errno or 255)
        os._exit(0)
    _, status = os.wait()
    if number := max(0, os.waitstatus_to_exitcode(status)):
        raise OSError(number, os.strerror(number))
    return "started it"


# These end their session.


@case(LIMITS, open_otherwise=False, alone=True, outside=True, harmful=True)
def take_all_memory(targets: Targets) -> str:
    """Take 6 GB of memory, in several processes, so that no limit of one process sees it."""
    for _ in range(6):
        if os.fork() == 0:
            held = []
            for _ in range(64):
                held.append(bytearray(16 * MIB))
                held[-1][::4096] = b"x" * len(held[-1][::4096])
            signal.pause()
    signal.pause()
    return "took it"


@case(LIMITS, open_otherwise=False, alone=True, outside=True, harmful=True)
def be_a_fork_bomb(targets: Targets) -> str:
    """Fork without end, in every child as well."""
    ends = time.monotonic() + 8
    while time.monotonic() < ends:
        try:
            os.fork()
        except OSError:
            time.sleep(0.01)
    return "forked"


@case(LIMITS, open_otherwise=False, alone=True, outside=True, harmful=True)
def fill_the_disk(targets: Targets) -> str:
    """Fill the scratch folder with many files, each within the limit."""
    block = bytes(8 * MIB)
    for number in range(2000):
        (Path(targets.scratch) / f"filling-{number}").write_bytes(block)
    signal.pause()
    return "filled it"


@case(LIMITS, open_otherwise=False, alone=True, outside=True, harmful=True)
def fill_the_disk_with_names(targets: Targets) -> str:
    """Fill the scratch folder with empty files without end."""
    for number in range(10_000_000):
        os.close(os.open(f"{targets.scratch}/{number}", os.O_CREAT | os.O_WRONLY, 0o600))
    return "filled it"


@case(LIMITS, open_otherwise=False, alone=True, outside=True, harmful=True)
def talk_without_end(targets: Targets) -> str:
    """Write 60 MB into the one line that the engine waits for."""
    block = b"x" * MIB
    for _ in range(60):
        left = memoryview(block)
        while left:
            left = left[os.write(1, left) :]
    os.write(1, b"\n")
    return "wrote it"


# Twice what a session may write, in pieces that each are allowed; and how long it stays afterwards (seconds).
FILES, FILE_MIB = 8, 16
LINGERING = 5.0


def _filled(path: str) -> int:
    """A descriptor of a new file of `FILE_MIB`."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    for _ in range(FILE_MIB):
        os.write(descriptor, bytes(MIB))
    return descriptor


def _hold_memory() -> None:
    held = bytearray(b"x") * (100 * MIB)
    time.sleep(2 * LINGERING)
    held.clear()


@case(LIMITS, open_otherwise=False, alone=True, harmful=True)
def take_memory_after_the_first_thread(targets: Targets) -> str:
    """Take memory in processes whose first thread has ended, so that they look as if they had ended."""
    for _ in range(6):
        if os.fork() == 0:
            threading.Thread(target=_hold_memory).start()
            call("exit", 0)
    time.sleep(LINGERING)
    return "took it"


@case(LIMITS, open_otherwise=False, alone=True, harmful=True)
def fill_a_folder_that_cannot_be_listed(targets: Targets) -> str:
    """Fill a folder that can be entered but not listed."""
    folder = f"{targets.scratch}/closed"
    os.mkdir(folder, 0o300)
    for number in range(FILES):
        os.close(_filled(f"{folder}/{number}"))
    time.sleep(LINGERING)
    return "filled it"


@case(LIMITS, open_otherwise=False, alone=True, harmful=True)
def fill_a_folder_too_deep_for_a_path(targets: Targets) -> str:
    """Fill a folder whose path is longer than any path may be."""
    os.chdir(targets.scratch)
    for _ in range(25):
        os.mkdir("d" * 200)
        os.chdir("d" * 200)
    for number in range(FILES):
        os.close(_filled(str(number)))
    time.sleep(LINGERING)
    return "filled it"


@case(LIMITS, open_otherwise=False, alone=True, harmful=True)
def fill_the_disk_with_mapped_files(targets: Targets) -> str:
    """Fill the disk with files that have neither name nor descriptor any more, only a mapping of one page."""
    libc = ctypes.CDLL(None)
    path = f"{targets.scratch}/mapped"
    for _ in range(FILES):
        descriptor = _filled(path)
        libc.mmap(None, ctypes.c_size_t(4096), mmap.PROT_READ, mmap.MAP_SHARED, descriptor, ctypes.c_long(0))
        os.close(descriptor)
        os.unlink(path)
    time.sleep(LINGERING)
    return "filled it"


@case(LIMITS, open_otherwise=False, alone=True, harmful=True)
def watch_without_end(targets: Targets) -> str:
    """Use up the watches of epoll, which the kernel counts by user, so that the engine has none left."""
    pipes = [os.pipe()[0] for _ in range(200)]
    polls = []
    for _ in range(100):
        polls.append(select.epoll())
        for pipe in pipes:
            polls[-1].register(pipe, select.EPOLLIN)
    time.sleep(LINGERING)
    return f"watches {len(pipes) * len(polls)}"


@case(LIMITS, open_otherwise=False, alone=True, harmful=True)
def print_without_end(targets: Targets) -> str:
    """Print empty lines without end, so that the engine has nothing else to do."""
    block = b"\n" * 65536
    for _ in range(2000):
        os.write(1, block)
    return f"printed {len(block) * 2000} lines"
