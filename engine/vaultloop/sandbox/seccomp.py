"""The system call filter: what no rule about files can hold back.

Everything is allowed but what is listed here, and calls newer than the lists do not exist. A filter sees
numbers only, never what a pointer leads to: where that would decide (the address of `connect`, the target of
a signal on kernels whose Landlock does not know signals), the call is put before the supervisor, which
answers over the listener's descriptor.

Runs in small forked processes: the standard library only, and little of it.
"""

import ctypes
import errno
import struct
from dataclasses import dataclass

from vaultloop.sandbox.arguments import CHECKED, NEW_LISTENER, Check
from vaultloop.sandbox.bpf import ALLOW, ARCHITECTURE, KILL_PROCESS, NOTIFY, NUMBER, Label, Program, refuse
from vaultloop.sandbox.kernel import call, no_new_privileges
from vaultloop.sandbox.syscalls import NEWEST, Machine, this_machine

_SET_MODE_FILTER = 1
# A signal does not break off a call that the supervisor has begun to answer (Linux 5.19 and later).
_WAIT_KILLABLE = 1 << 5


@dataclass(frozen=True, slots=True)
class Rules:
    """What differs from one cell to another.

    Attributes:
        set_times: files' times may be set, also those of files out of reach whose name is known.
        guard_signals: signals are put before the supervisor; for kernels whose Landlock lets them out.
    """

    set_times: bool
    guard_signals: bool


# Calls that fail always, by the errno that programs cope with best.
REFUSED: tuple[tuple[int, tuple[str, ...]], ...] = (
    (
        errno.EPERM,
        (
            # Other processes: their memory, descriptors and pages.
            *("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "process_mrelease"),
            *("kcmp", "pidfd_getfd", "migrate_pages", "move_pages"),
            # Mounts and namespaces: they make paths lead elsewhere, and open much of the kernel.
            *("mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "open_tree_attr"),
            *("fsopen", "fsmount", "fsconfig", "fspick", "mount_setattr", "unshare", "setns"),
            # Files without their path.
            *("open_by_handle_at", "name_to_handle_at"),
            # Owners and modes of files: Landlock lets them be changed for any path that is known.
            *("chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat"),
            # Work that the kernel does in a process's name and this filter would not see.
            *("io_uring_setup", "io_uring_enter", "io_uring_register"),
            *("bpf", "perf_event_open", "userfaultfd", "modify_ldt", "lookup_dcookie", "uselib"),
            # What all processes of one user share: keys, and memory, queues and locks without a path.
            *("keyctl", "add_key", "request_key"),
            *("shmget", "shmat", "shmctl", "semget", "semop", "semtimedop", "semctl"),
            *("msgget", "msgsnd", "msgrcv", "msgctl", "mq_open", "mq_unlink"),
            # The machine; for an engine that runs as root.
            *("kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "reboot"),
            *("swapon", "swapoff", "acct", "quotactl", "quotactl_fd", "syslog", "iopl", "ioperm", "vhangup"),
            *("settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "sethostname", "setdomainname"),
            "lsm_set_self_attr",
        ),
    ),
    (
        errno.EACCES,
        (
            # Nothing in a cell is reached from outside.
            *("bind", "listen"),
            # Landlock does not know it below ABI 3; `ftruncate` works on what could be opened for writing.
            "truncate",
        ),
    ),
    (
        # As on an older kernel, so that programs take the older call, which the filter can look into.
        errno.ENOSYS,
        (
            *("clone3", "openat2", "statmount", "listmount", "file_getattr", "file_setattr"),
            # A watch on a folder out of reach succeeds and tells the names of what is made there.
            *("inotify_init", "inotify_init1", "inotify_add_watch", "fanotify_init", "fanotify_mark"),
            # Files in memory alone: no limit on files or resident memory counts them, and they could be run.
            *("memfd_create", "memfd_secret"),
        ),
    ),
    (
        # As on a file system without them; reading them, too, works for any path that is known.
        errno.EOPNOTSUPP,
        (
            *("getxattr", "lgetxattr", "fgetxattr", "getxattrat"),
            *("listxattr", "llistxattr", "flistxattr", "listxattrat"),
            *("setxattr", "lsetxattr", "fsetxattr", "setxattrat"),
            *("removexattr", "lremovexattr", "fremovexattr", "removexattrat"),
        ),
    ),
)

TIMES = ("utime", "utimes", "futimesat", "utimensat")

# They hand descriptors over; for all else there are `write`, `writev` and `sendto`. Descriptors on their way
# in a socket are counted by user: past a certain number nobody else of that user, the engine among them,
# hands over any. And nobody counts the files and watches that they stand for.
MESSAGES = ("sendmsg", "sendmmsg")

_SIGNALS = ("kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal")


def install(rules: Rules) -> int:
    """Put the calling thread, and what it starts, behind the filter for ever.

    Returns:
        the listener: a descriptor on which the supervisor hears of `connect`, and of signals where they are
        guarded. Until somebody listens these calls wait; once it is closed everywhere they fail.

    Raises:
        OSError: the kernel refuses, or there is no filter for this machine; names the step.
    """
    machine = this_machine()
    if machine is None:
        raise OSError(errno.ENOSYS, "seccomp: there is no filter for this machine (x86_64, aarch64)")
    no_new_privileges()
    try:
        return load(machine, program(rules, machine), NEW_LISTENER | _WAIT_KILLABLE)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return load(machine, program(rules, machine), NEW_LISTENER)


def keep_descriptors() -> None:
    """From here on the calling thread, and what it starts, hands no descriptor over.

    A filter of its own behind the other one: the listener has to be handed over in between.

    Raises:
        OSError: the kernel refuses.
    """
    machine = this_machine()
    assert machine is not None
    load(machine, program_of_messages(machine), 0)


def program_of_messages(machine: Machine) -> bytes:
    """The filter that refuses `MESSAGES`; which table a number is of is the other filter's to check."""
    made = Program()
    made.load(NUMBER)
    _refuse_all(made, machine, refuse(errno.EACCES), MESSAGES)
    made.answer(ALLOW)
    return made.assembled()


def load(machine: Machine, instructions: bytes, flags: int) -> int:
    """Give a filter to the kernel; needs `no_new_privileges` or root.

    Returns:
        the listener's descriptor if `flags` ask for one, else 0.

    Raises:
        OSError: the kernel refuses.
    """
    code = ctypes.create_string_buffer(instructions, len(instructions))
    filled = struct.pack("@HP", len(instructions) // 8, ctypes.addressof(code))
    argument = ctypes.create_string_buffer(filled, len(filled))
    return call("seccomp", machine.numbers["seccomp"], _SET_MODE_FILTER, flags, argument)


def program(rules: Rules, machine: Machine) -> bytes:
    """The filter for `machine`, ready for the kernel.

    What looks at arguments comes first: those are the frequent calls, and the kernel remembers by itself
    which of the others always pass.
    """
    made = Program()
    _only_this_table(made, machine)
    for name, check in CHECKED.items():
        _when(made, machine, name, check)
    _refuse_all(made, machine, NOTIFY, ("connect", *(_SIGNALS if rules.guard_signals else ())))
    for number, names in REFUSED:
        _refuse_all(made, machine, refuse(number), names)
    if not rules.set_times:
        _refuse_all(made, machine, refuse(errno.EPERM), TIMES)
    made.answer(ALLOW)
    return made.assembled()


def _only_this_table(made: Program, machine: Machine) -> None:
    """Calls by another table (32 bit, x32) end the process: their numbers mean something else."""
    ours, kill, known = Label(), Label(), Label()
    made.load(ARCHITECTURE)
    made.if_equal(machine.audit, ours, kill)
    made.put(ours)
    made.load(NUMBER)
    if machine.foreign is not None:
        made.if_not_less(machine.foreign, kill)
    made.if_greater(NEWEST, None, known)
    made.answer(refuse(errno.ENOSYS))
    made.put(kill)
    made.answer(KILL_PROCESS)
    made.put(known)


def _when(made: Program, machine: Machine, name: str, check: Check) -> None:
    """`check` for the call `name`; it always ends with an answer."""
    number = machine.numbers.get(name)
    if number is None:
        return
    other = Label()
    made.if_equal(number, None, other)
    check(made)
    made.put(other)


def _refuse_all(made: Program, machine: Machine, action: int, names: tuple[str, ...]) -> None:
    numbers = [machine.numbers[name] for name in names if name in machine.numbers]
    hit, none = Label(), Label()
    for number in numbers[:-1]:
        made.if_equal(number, hit)
    made.if_equal(numbers[-1], hit, none)
    made.put(hit)
    made.answer(action)
    made.put(none)
