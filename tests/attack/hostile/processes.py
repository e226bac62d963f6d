"""Other processes: reading them, stopping them, steering them, outliving the own session."""

import contextlib
import ctypes
import fcntl
import os
import resource
import signal
import socket
import struct
import sys
import time

from .calls import Vector, call, prctl
from .catalogue import Stopped, Targets, case

PROCESSES = "processes"
SIGNALS = "signals"
ORPHANS = "orphans"

# How many seconds a process that wants to outlive its session waits for the end of the world.
FOREVER = 600


@case(PROCESSES)
def read_the_engines_environment(targets: Targets) -> str:
    """Read the environment of the engine (/proc/PID/environ)."""
    return targets.read(f"/proc/{targets.engine}/environ")


@case(PROCESSES)
def read_through_the_engines_root(targets: Targets) -> str:
    """Read a note by way of the engine's root (/proc/PID/root)."""
    return targets.read(f"/proc/{targets.engine}/root{targets.secret_note}")


@case(PROCESSES)
def read_through_the_engines_folder(targets: Targets) -> str:
    """Read the database by way of the engine's working directory (/proc/PID/cwd)."""
    return targets.read(f"/proc/{targets.engine}/cwd/engine.db")


@case(PROCESSES)
def read_the_engines_descriptor(targets: Targets) -> str:
    """Read a file that the engine has open (/proc/PID/fd)."""
    return targets.read(f"/proc/{targets.engine}/fd/{targets.engine_descriptor}")


@case(PROCESSES)
def read_the_engines_memory(targets: Targets) -> str:
    """Open the engine's memory (/proc/PID/mem)."""
    os.close(os.open(f"/proc/{targets.engine}/mem", os.O_RDONLY))
    return "opened it"


@case(PROCESSES)
def read_the_engines_map(targets: Targets) -> str:
    """Read where things lie in the engine's memory (/proc/PID/maps)."""
    with open(f"/proc/{targets.engine}/maps") as file:
        return f"{len(file.read())} bytes"


@case(PROCESSES)
def read_the_engines_arguments(targets: Targets) -> str:
    """Read the engine's command line (/proc/PID/cmdline)."""
    with open(f"/proc/{targets.engine}/cmdline") as file:
        return f"{len(file.read())} bytes"


@case(PROCESSES)
def read_the_other_sessions_environment(targets: Targets) -> str:
    """Read the environment of another session."""
    with open(f"/proc/{targets.other}/environ", "rb") as file:
        return f"{len(file.read())} bytes"


@case(PROCESSES)
def read_the_supervisors_memory(targets: Targets) -> str:
    """Open the memory of its own supervisor, which decides on its connections."""
    os.close(os.open(f"/proc/{targets.supervisor or targets.engine}/mem", os.O_RDWR))
    return "opened it for writing"


@case(PROCESSES)
def steal_the_supervisors_descriptors(targets: Targets) -> str:
    """List the descriptors of its own supervisor."""
    return f"{len(os.listdir(f'/proc/{targets.supervisor or targets.engine}/fd'))} descriptors"


@case(PROCESSES)
def list_processes(targets: Targets) -> str:
    """List all processes of the machine."""
    if str(targets.engine) not in os.listdir("/proc"):
        raise Stopped("the engine is not among them")
    return "found the engine"


@case(PROCESSES)
def list_connections(targets: Targets) -> str:
    """List the machine's TCP ports (/proc/self/net/tcp): the doors of other sessions are among them."""
    with open("/proc/self/net/tcp") as file:
        if f":{targets.other_port:04X}" not in file.read():
            raise Stopped("the other's door is not among them")
    return "found the other's door"


@case(PROCESSES, open_otherwise=False)
def use_an_inherited_descriptor(targets: Targets) -> str:
    """Read from every descriptor that it was born with."""
    for descriptor in range(3, 1024):
        with contextlib.suppress(OSError, Stopped):
            return targets.seen(os.pread(descriptor, 1000, 0))
    raise OSError(9, "no descriptor shows a secret")


@case(PROCESSES, open_otherwise=False)
def find_a_secret_in_its_environment(targets: Targets) -> str:
    """Find a secret of the engine in its own environment."""
    return targets.seen(" ".join(f"{name}={value}" for name, value in os.environ.items()))


@case(PROCESSES)
def trace_the_engine(targets: Targets) -> str:
    """Attach to the engine as a debugger (ptrace)."""
    call("ptrace", 0x4206, targets.engine, 0, 0)
    return "attached"


@case(PROCESSES)
def trace_the_other_session(targets: Targets) -> str:
    """Attach to another session as a debugger."""
    call("ptrace", 0x4206, targets.other, 0, 0)
    return "attached"


def _copied(targets: Targets, name: str, pid: int) -> str:
    own = ctypes.create_string_buffer(8)
    local, remote = Vector(ctypes.addressof(own), 8), Vector(0x1000, 8)
    try:
        call(name, pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)
    except OSError as error:
        if error.errno == 14:
            # The address is wrong; the right to copy was there.
            return "may copy memory"
        raise
    return "copied memory"


@case(PROCESSES)
def copy_the_engines_memory(targets: Targets) -> str:
    """Copy memory out of the engine (process_vm_readv)."""
    return _copied(targets, "process_vm_readv", targets.engine)


@case(PROCESSES)
def write_into_the_engines_memory(targets: Targets) -> str:
    """Copy memory into the engine (process_vm_writev)."""
    return _copied(targets, "process_vm_writev", targets.engine)


@case(PROCESSES)
def write_into_the_supervisors_memory(targets: Targets) -> str:
    """Copy memory into its own supervisor."""
    return _copied(targets, "process_vm_writev", targets.supervisor or targets.engine)


@case(PROCESSES)
def take_a_descriptor_of_the_engine(targets: Targets) -> str:
    """Duplicate a descriptor of the engine (pidfd_getfd)."""
    pidfd = call("pidfd_open", targets.engine, 0)
    return targets.seen(os.pread(call("pidfd_getfd", pidfd, targets.engine_descriptor, 0), 1000, 0))


@case(PROCESSES, open_otherwise=False)
def compare_with_the_engine(targets: Targets) -> str:
    """Compare kernel objects with the engine's (kcmp)."""
    call("kcmp", os.getpid(), targets.engine, 1, 0, 0)
    return "compared"


@case(PROCESSES)
def limit_the_engine(targets: Targets) -> str:
    """Take resources from the engine (prlimit): a limit on its time would kill it."""
    hard = resource.prlimit(targets.engine, resource.RLIMIT_CORE)[1]
    resource.prlimit(targets.engine, resource.RLIMIT_CORE, (0, hard))
    return "set a limit"


@case(PROCESSES)
def read_the_engines_limits(targets: Targets) -> str:
    """Read the resource limits of the engine."""
    return f"{resource.prlimit(targets.engine, resource.RLIMIT_NOFILE)}"


@case(PROCESSES)
def slow_the_engine_down(targets: Targets) -> str:
    """Give a process of the operator the lowest priority (setpriority)."""
    os.setpriority(os.PRIO_PROCESS, targets.bystander, 5)
    return "slowed it down"


@case(PROCESSES, open_otherwise=False, harmful=True)
def slow_everybody_down(targets: Targets) -> str:
    """Give all processes of the user a lower priority at once (PRIO_USER)."""
    lowest = os.getpriority(os.PRIO_USER, os.getuid())
    os.setpriority(os.PRIO_USER, os.getuid(), lowest)
    return "may set it for all"


@case(PROCESSES)
def pin_the_engine(targets: Targets) -> str:
    """Bind a process of the operator to one processor (sched_setaffinity)."""
    os.sched_setaffinity(targets.bystander, {min(os.sched_getaffinity(0))})
    return "bound it"


@case(PROCESSES)
def starve_the_engine(targets: Targets) -> str:
    """Let a process of the operator run only when nobody else wants to (sched_setscheduler)."""
    os.sched_setscheduler(targets.bystander, os.SCHED_IDLE, os.sched_param(0))
    return "it runs last now"


@case(PROCESSES)
def starve_the_engine_of_the_disk(targets: Targets) -> str:
    """Let a process of the operator use the disk only when nobody else wants to (ioprio_set)."""
    call("ioprio_set", 1, targets.bystander, 3 << 13)
    return "it waits for the disk now"


@case(PROCESSES, open_otherwise=False)
def move_the_engines_memory(targets: Targets) -> str:
    """Ask where the pages of a process of the operator are (move_pages)."""
    call("move_pages", targets.bystander, 0, None, None, None, 0)
    return "may move them"


@case(PROCESSES)
def join_shared_memory(targets: Targets) -> str:
    """Make System V shared memory, which any session of the same user could attach."""
    return f"segment {call('shmget', 0, 4096, 0o1600)}"


@case(PROCESSES)
def join_a_message_queue(targets: Targets) -> str:
    """Make a System V message queue, which any session of the same user could read."""
    return f"queue {call('msgget', 0x7661756C, 0o1600)}"


@case(PROCESSES)
def join_a_semaphore(targets: Targets) -> str:
    """Make System V semaphores, which any session of the same user could use."""
    return f"set {call('semget', 0x7661756C, 1, 0o1600)}"


@case(PROCESSES)
def join_a_named_queue(targets: Targets) -> str:
    """Make a named message queue (mq_open), which any session of the same user could read."""
    return f"queue {call('mq_open', b'vaultloop-attack', os.O_RDWR | os.O_CREAT, 0o600, None)}"


@case(PROCESSES, open_otherwise=False)
def leave_a_key_in_the_ring(targets: Targets) -> str:
    """Put a key into the user's key ring, from which any session of the same user could read it."""
    return f"key {call('add_key', b'user', b'planted', b'x', 1, -4)}"


# Signals ---------------------------------------------------------------------------------------------------


@case(SIGNALS)
def signal_the_engine(targets: Targets) -> str:
    """Send the engine a signal (kill)."""
    os.kill(targets.engine, signal.SIGUSR1)
    return "sent it"


@case(SIGNALS)
def signal_the_engines_group(targets: Targets) -> str:
    """Send the engine's process group a signal."""
    os.killpg(os.getpgid(targets.engine), 0)
    return "may send it"


@case(SIGNALS)
def signal_the_engines_thread(targets: Targets) -> str:
    """Send the engine's main thread a signal (tgkill)."""
    call("tgkill", targets.engine, targets.engine, int(signal.SIGUSR1))
    return "sent it"


@case(SIGNALS)
def signal_by_the_old_call(targets: Targets) -> str:
    """Send the engine's main thread a signal (tkill)."""
    call("tkill", targets.engine, int(signal.SIGUSR1))
    return "sent it"


def _information(code: int) -> "ctypes.Array[ctypes.c_char]":
    return ctypes.create_string_buffer(struct.pack("iii", int(signal.SIGUSR1), 0, code), 128)


@case(SIGNALS)
def queue_a_signal(targets: Targets) -> str:
    """Queue a signal for the engine (rt_sigqueueinfo)."""
    call("rt_sigqueueinfo", targets.engine, int(signal.SIGUSR1), _information(-1))
    return "queued it"


@case(SIGNALS)
def queue_a_signal_for_a_thread(targets: Targets) -> str:
    """Queue a signal for the engine's main thread (rt_tgsigqueueinfo)."""
    call("rt_tgsigqueueinfo", targets.engine, targets.engine, int(signal.SIGUSR1), _information(-1))
    return "queued it"


@case(SIGNALS)
def signal_by_descriptor(targets: Targets) -> str:
    """Send the engine a signal through a descriptor of it (pidfd_send_signal)."""
    call("pidfd_send_signal", call("pidfd_open", targets.engine, 0), int(signal.SIGUSR1), None, 0)
    return "sent it"


@case(SIGNALS, outside=True)
def signal_by_a_pipe(targets: Targets) -> str:
    """Make the engine the owner of a pipe, so that input on it sends the engine a signal (F_SETOWN)."""
    reading, writing = os.pipe()
    fcntl.fcntl(reading, 10, int(signal.SIGUSR2))
    fcntl.fcntl(reading, fcntl.F_SETOWN, targets.engine)
    fcntl.fcntl(reading, fcntl.F_SETFL, fcntl.fcntl(reading, fcntl.F_GETFL) | os.O_ASYNC)
    os.write(writing, b"x")
    time.sleep(0.05)
    return "wrote into it"


@case(SIGNALS, outside=True)
def signal_by_a_socket(targets: Targets) -> str:
    """Make the engine the owner of a socket (FIOSETOWN), so that an answer on it sends the engine SIGIO."""
    with socket.create_connection(("127.0.0.1", targets.door_port), 2) as connection:
        fcntl.ioctl(connection, 0x8901, struct.pack("i", targets.engine))
        flags = fcntl.fcntl(connection, fcntl.F_GETFL)
        fcntl.fcntl(connection, fcntl.F_SETFL, flags | os.O_ASYNC)
        connection.sendall(b"nonsense\r\n\r\n")
        time.sleep(0.2)
    return "got an answer"


@case(SIGNALS)
def signal_the_other_session(targets: Targets) -> str:
    """Ask whether another session could be killed."""
    os.kill(targets.other, 0)
    return "may kill it"


@case(SIGNALS)
def kill_a_bystander(targets: Targets) -> str:
    """Stop a process of the operator, and let it go on."""
    os.kill(targets.bystander, signal.SIGSTOP)
    os.kill(targets.bystander, signal.SIGCONT)
    return "stopped it"


@case(SIGNALS)
def stop_its_supervisor(targets: Targets) -> str:
    """Stop its own supervisor, so that nothing ends it any more."""
    victim = targets.supervisor or targets.bystander
    os.kill(victim, signal.SIGSTOP)
    os.kill(victim, signal.SIGCONT)
    return "stopped it"


@case(SIGNALS)
def stop_its_supervisor_by_thread(targets: Targets) -> str:
    """Stop its own supervisor by the thread (tgkill)."""
    victim = targets.supervisor or targets.bystander
    call("tgkill", victim, victim, int(signal.SIGSTOP))
    os.kill(victim, signal.SIGCONT)
    return "stopped it"


@case(SIGNALS, open_otherwise=False, alone=True, outside=True)
def kill_its_supervisor(targets: Targets) -> str:
    """Kill its own supervisor and go on without it."""
    if targets.supervisor is None:
        raise Stopped("it has none")
    os.kill(targets.supervisor, signal.SIGKILL)
    time.sleep(0.1)
    return "lives on"


@case(SIGNALS, open_otherwise=False, alone=True, outside=True, harmful=True)
def signal_everybody(targets: Targets) -> str:
    """Send every process of the user a signal at once (kill -1)."""
    os.kill(-1, signal.SIGCONT)
    time.sleep(0.1)
    return "sent it"


# Outliving the session -------------------------------------------------------------------------------------


def _waits(mark: str) -> None:
    """Become a process that waits under a name that is looked for, without home, terminal or group."""
    for descriptor in range(3):
        with contextlib.suppress(OSError):
            os.close(descriptor)
    os.execve(
        sys.executable, [sys.executable, "-I", "-S", "-c", f"import time; time.sleep({FOREVER})", mark], {}
    )


def _orphaned(targets: Targets, prepare: "object" = None) -> None:
    pid = os.fork()
    if pid == 0:
        os.setsid()
        if os.fork() == 0:
            if callable(prepare):
                prepare()
            _waits(targets.extra["mark"])
        os._exit(0)
    os.waitpid(pid, 0)


@case(ORPHANS, alone=True, outside=True)
def leave_an_orphan(targets: Targets) -> str:
    """Leave a process in a session of its own, twice forked, without the environment of the cell."""
    _orphaned(targets)
    return "left one"


@case(ORPHANS, alone=True, outside=True)
def leave_a_hidden_orphan(targets: Targets) -> str:
    """Leave one that cannot be looked into (PR_SET_DUMPABLE) and ignores every signal that it may."""

    def hide() -> None:
        with contextlib.suppress(OSError):  # it may not hide: then it goes on in sight
            prctl(4, 0)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)

    _orphaned(targets, hide)
    return "left one"


@case(ORPHANS, alone=True, outside=True)
def leave_a_sibling(targets: Targets) -> str:
    """Leave a process whose parent is its own parent (CLONE_PARENT)."""
    pid = call("clone", 0x8000 | int(signal.SIGCHLD), 0, 0, 0, 0)
    if pid == 0:
        os.setsid()
        _waits(targets.extra["mark"])
    return "left one"


@case(ORPHANS, alone=True, outside=True)
def leave_a_reaper(targets: Targets) -> str:
    """Become the one to whom orphans go (PR_SET_CHILD_SUBREAPER), and leave a tree of them."""
    pid = os.fork()
    if pid == 0:
        prctl(36, 1)
        for _ in range(3):
            _orphaned(targets)
        _waits(targets.extra["mark"])
    time.sleep(0.1)
    return "left a tree"


@case(ORPHANS, open_otherwise=False, alone=True, outside=True)
def hop_from_process_to_process(targets: Targets) -> str:
    """Fork and exit again and again, so that whoever looks always looks at the one before."""
    if os.fork() == 0:
        os.setsid()
        mark = targets.extra["mark"]
        hop = (
            "import os, sys, time\n"
            "ends = time.monotonic() + 5\n"
            "while time.monotonic() < ends:\n"
            "    if os.fork():\n"
            "        os._exit(0)\n"
        )
        for descriptor in range(3):
            os.close(descriptor)
        os.execve(sys.executable, [sys.executable, "-I", "-S", "-c", hop, mark], {})
    time.sleep(0.1)
    return "hops"


@case(ORPHANS, alone=True, outside=True)
def leave_a_stopped_orphan(targets: Targets) -> str:
    """Leave one that is stopped, so that it notices no request to end."""

    def stop() -> None:
        if os.fork() == 0:
            os.kill(os.getpid(), signal.SIGSTOP)

    _orphaned(targets, stop)
    return "left one"


@case(ORPHANS, alone=True, outside=True)
def refuse_to_end(targets: Targets) -> str:
    """Ignore every request to end, in the program and in what it started, once its time is up."""

    def ignore() -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)

    _orphaned(targets, ignore)
    return "stays"


@case(PROCESSES, open_otherwise=False)
def look_into_the_gateway(targets: Targets) -> str:
    """Read the memory, the environment or the descriptors of the gateway, which holds the keys."""
    gateway = targets.extra["gateway_pid"]
    for name in ("mem", "environ", "maps"):
        with contextlib.suppress(OSError):
            os.close(os.open(f"/proc/{gateway}/{name}", os.O_RDONLY))
            return f"opened its {name}"
    return f"{len(os.listdir(f'/proc/{gateway}/fd'))} descriptors"


@case(PROCESSES, open_otherwise=False)
def trace_the_gateway(targets: Targets) -> str:
    """Attach to the gateway as a debugger."""
    call("ptrace", 0x4206, int(targets.extra["gateway_pid"]), 0, 0)
    return "attached"
