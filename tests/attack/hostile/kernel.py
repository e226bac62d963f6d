"""The kernel's own doors: namespaces, mounts, programs in the kernel, and what only root needs."""

import ctypes
import os

from .calls import call, child, prctl
from .catalogue import Stopped, Targets, case

KERNEL = "kernel"
NEWUSER, NEWNS, NEWNET, NEWPID = 0x10000000, 0x00020000, 0x40000000, 0x20000000


@case(KERNEL)
def become_root_in_a_namespace(targets: Targets) -> str:
    """Make a user namespace, in which it is root (unshare)."""
    child(lambda: call("unshare", NEWUSER | NEWNS))
    return "is root there"


@case(KERNEL)
def be_born_in_a_namespace(targets: Targets) -> str:
    """Fork into a user namespace (clone)."""
    pid = call("clone", NEWUSER | NEWPID | 17, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return "was root there"


@case(KERNEL)
def be_born_in_a_namespace_by_the_newest_call(targets: Targets) -> str:
    """Fork into a user namespace (clone3), whose arguments no filter can read."""
    arguments = (ctypes.c_uint64 * 11)(NEWUSER, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0)
    pid = call("clone3", arguments, ctypes.sizeof(arguments))
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return "was root there"


@case(KERNEL, open_otherwise=False)
def enter_the_engines_namespace(targets: Targets) -> str:
    """Enter a namespace of another process (setns)."""
    call("setns", call("pidfd_open", targets.bystander, 0), NEWNET)
    return "entered it"


@case(KERNEL, open_otherwise=False)
def mount_a_file_system(targets: Targets) -> str:
    """Mount a file system over the view."""
    call("mount", b"none", targets.view.encode(), b"tmpfs", 0, None)
    return "mounted it"


@case(KERNEL, open_otherwise=False)
def mount_by_the_new_calls(targets: Targets) -> str:
    """Open a file system (fsopen)."""
    call("fsopen", b"tmpfs", 0)
    return "opened it"


@case(KERNEL, open_otherwise=False)
def copy_a_mount(targets: Targets) -> str:
    """Copy a mount (open_tree)."""
    call("open_tree", -100, b"/", 1)
    return "copied it"


@case(KERNEL, open_otherwise=False)
def unmount_something(targets: Targets) -> str:
    """Take a mount away."""
    call("umount2", b"/dev/shm", 2)
    return "took it away"


@case(KERNEL, open_otherwise=False)
def change_the_root(targets: Targets) -> str:
    """Make the view its root (chroot)."""
    child(lambda: call("chroot", targets.view.encode()))
    return "changed it"


@case(KERNEL, open_otherwise=False)
def load_a_program_into_the_kernel(targets: Targets) -> str:
    """Make a map of the kernel's virtual machine (bpf)."""
    call("bpf", 0, (ctypes.c_uint32 * 12)(2, 4, 4, 1), 48)
    return "made a map"


@case(KERNEL, open_otherwise=False)
def measure_the_kernel(targets: Targets) -> str:
    """Count the kernel's events (perf_event_open), which had many holes."""
    attributes = ctypes.create_string_buffer(b"\x01\x00\x00\x00\x70\x00\x00\x00" + bytes(120), 128)
    call("perf_event_open", attributes, 0, -1, -1, 0)
    return "counts"


@case(KERNEL, open_otherwise=False)
def handle_page_faults(targets: Targets) -> str:
    """Handle page faults itself (userfaultfd), the favourite of exploits."""
    call("userfaultfd", 1)
    return "handles them"


@case(KERNEL, open_otherwise=False)
def use_the_key_rings(targets: Targets) -> str:
    """Reach the user's key ring (keyctl)."""
    call("keyctl", 0, -4, 1)
    return "reached it"


@case(KERNEL)
def change_its_personality(targets: Targets) -> str:
    """Switch off the random layout of memory for its children (personality)."""
    child(lambda: call("personality", 0x0040000))
    return "switched it off"


@case(KERNEL, open_otherwise=False)
def read_the_kernels_log(targets: Targets) -> str:
    """Read the kernel's log (syslog)."""
    call("syslog", 3, ctypes.create_string_buffer(100), 100)
    return "read it"


@case(KERNEL, open_otherwise=False)
def swap_to_a_file(targets: Targets) -> str:
    """Let the machine swap into a file of the view."""
    call("swapon", targets.view.encode() + b"/swap", 0)
    return "swaps"


@case(KERNEL, open_otherwise=False)
def account_into_a_file(targets: Targets) -> str:
    """Let the kernel write about every process into a file of the view (acct)."""
    call("acct", targets.view.encode() + b"/account")
    return "accounts"


@case(KERNEL, open_otherwise=False)
def catch_crashes(targets: Targets) -> str:
    """Name the program that gets every crash (core_pattern)."""
    os.close(os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY))
    return "opened it"


@case(KERNEL, open_otherwise=False)
def gain_rights_by_exec(targets: Targets) -> str:
    """Take back the promise that no program gives it new rights (PR_SET_NO_NEW_PRIVS)."""
    prctl(38, 0)
    return "took it back"


@case(KERNEL)
def keep_the_rights_of_programs(targets: Targets) -> str:
    """Start a program that has more rights than itself (setuid)."""
    if prctl(39):
        raise Stopped("no program gives it rights")
    return "such programs give it theirs"
