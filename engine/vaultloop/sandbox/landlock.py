"""Landlock: the files that a process and all its children can reach, given by the process itself.

Rules only allow: what no rule names is refused with EACCES, by whatever path it is reached. What each version
of the kernel's interface (ABI) adds: 1 files, 2 links and renames between folders, 3 truncate, 4 TCP ports,
5 device ioctls, 6 signals and abstract sockets to the outside. Later ones add nothing that the system call
filter does not refuse (https://docs.kernel.org/userspace-api/landlock.html).
"""

import ctypes
import os
import stat
import struct
from dataclasses import dataclass

from vaultloop.sandbox.kernel import call, no_new_privileges
from vaultloop.sandbox.syscalls import this_machine

# The newest ABI whose rights are known here; a newer kernel is asked for no more.
NEWEST = 7

_VERSION = 1  # LANDLOCK_CREATE_RULESET_VERSION
_PATH_BENEATH = 1  # LANDLOCK_RULE_PATH_BENEATH

EXECUTE = 1 << 0
WRITE_FILE = 1 << 1
READ_FILE = 1 << 2
READ_DIR = 1 << 3
REMOVE_DIR = 1 << 4
REMOVE_FILE = 1 << 5
MAKE_CHAR = 1 << 6
MAKE_DIR = 1 << 7
MAKE_REG = 1 << 8
MAKE_SOCK = 1 << 9
MAKE_FIFO = 1 << 10
MAKE_BLOCK = 1 << 11
MAKE_SYM = 1 << 12
REFER = 1 << 13
TRUNCATE = 1 << 14
IOCTL_DEV = 1 << 15

# How many rights each ABI knows: the lowest so many bits.
_FILE_RIGHTS = ((1, 13), (2, 14), (3, 15), (5, 16))

# What can be granted on a file that is not a folder.
_ON_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV

READ = READ_FILE | READ_DIR
# No programs, devices, sockets or pipes: nothing that runs, nothing that blocks whoever opens it later.
WRITE = (READ | WRITE_FILE | TRUNCATE) | (REMOVE_DIR | REMOVE_FILE) | (MAKE_DIR | MAKE_REG | MAKE_SYM | REFER)
DEVICE = READ_FILE | WRITE_FILE | IOCTL_DEV

_TCP = 0b11  # bind, connect; no port is ever granted: the connect guard makes the one connection that is
_SCOPED = 0b11  # abstract sockets, signals


@dataclass(frozen=True, slots=True)
class Ruleset:
    """What a process may reach, as absolute paths of folders (with all below) and files.

    Attributes:
        execute: read and run.
        read: read.
        write: read, write, make and remove files, folders and symbolic links; never run them.
        devices: read, write and control, as far as devices are files (`/dev/null`).
        optional: those of the paths above that may be missing; they are skipped then.
    """

    execute: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    optional: frozenset[str] = frozenset()


def abi() -> int:
    """The version of Landlock that this kernel offers; 0 for none."""
    try:
        return _version()
    except OSError:
        return 0


def restrict(rules: Ruleset, *, abi: int) -> None:
    """Hold the calling thread, and what it starts, to `rules` for ever, with no more than ABI `abi`.

    Raises:
        OSError: the kernel refuses, or a path that is not optional is missing; names the step. The process
            may be held already, but it must not go on as if it were.
    """
    version = min(abi, _version(), NEWEST)
    if version < 1:
        raise OSError(95, "landlock: ABI 0 holds nothing")
    machine = _numbers()
    ruleset = call("landlock_create_ruleset", machine["landlock_create_ruleset"], *_attributes(version), 0)
    try:
        for paths, rights in (
            (rules.execute, READ | EXECUTE),
            (rules.read, READ),
            (rules.write, WRITE),
            (rules.devices, DEVICE),
        ):
            for path in paths:
                _allow(ruleset, path, rights & handled(version), optional=path in rules.optional)
        no_new_privileges()
        call("landlock_restrict_self", machine["landlock_restrict_self"], ruleset, 0)
    finally:
        os.close(ruleset)


def handled(version: int) -> int:
    """The file rights that ABI `version` knows, all of which are refused where no rule grants them."""
    return (1 << max(count for since, count in _FILE_RIGHTS if since <= version)) - 1


def _attributes(version: int) -> tuple[ctypes.Array[ctypes.c_char], int]:
    """`struct landlock_ruleset_attr` in the length that the ABI knows, and the length."""
    fields = [handled(version)]
    if version >= 4:
        fields.append(_TCP)
    if version >= 6:
        fields.append(_SCOPED)
    packed = struct.pack(f"={len(fields)}Q", *fields)
    return ctypes.create_string_buffer(packed, len(packed)), len(packed)


def _allow(ruleset: int, path: str, rights: int, *, optional: bool) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        if optional:
            return
        raise
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= _ON_FILES
        rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, place), 12)
        call(f"landlock_add_rule {path}", _numbers()["landlock_add_rule"], ruleset, _PATH_BENEATH, rule, 0)
    finally:
        os.close(place)


def _version() -> int:
    return call("landlock_create_ruleset", _numbers()["landlock_create_ruleset"], 0, 0, _VERSION)


def _numbers() -> dict[str, int]:
    machine = this_machine()
    if machine is None:
        raise OSError(38, "landlock: the system calls of this machine are not known")
    return machine.numbers
