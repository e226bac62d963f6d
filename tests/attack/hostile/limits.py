"""What a session may use up: memory, processes, descriptors, disk, time."""

import os
import resource
import signal
import threading
import time
from pathlib import Path

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
    """Write 200 MB into the one line that the engine waits for."""
    block = b"x" * MIB
    for _ in range(200):
        left = memoryview(block)
        while left:
            left = left[os.write(1, left) :]
    os.write(1, b"\n")
    return "wrote it"
