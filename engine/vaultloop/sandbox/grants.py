"""Which files a program in a cell reaches: its view, its own folders, and what any program needs to run.

Landlock can only allow, and a folder with all below it, so that this list is all there is. It names no folder
that people keep things in: neither /home nor /tmp, /opt, /srv, /var, /run, nor any process but the program's
own.
"""

import json
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import vaultloop
from vaultloop.model.cell import Cell
from vaultloop.model.errors import Stalled
from vaultloop.sandbox.landlock import Ruleset

# Programs and libraries.
SYSTEM = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"),
    *("/nix/store", "/run/current-system/sw", "/gnu/store"),
)

# What programs look up: names of users, hosts and services, certificates, time, the linker's and Bash's own.
# Nothing with a password or key in it: of /etc/ssl only what is public.
LOOKED_UP = (
    *("/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/os-release", "/etc/debian_version"),
    *("/etc/hosts", "/etc/host.conf", "/etc/resolv.conf", "/etc/gai.conf", "/etc/services", "/etc/protocols"),
    *("/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/ca-certificates", "/etc/ca-certificates.conf"),
    *("/etc/pki/tls/certs", "/etc/pki/ca-trust/extracted", "/etc/crypto-policies"),
    *("/etc/localtime", "/etc/timezone", "/etc/mime.types", "/etc/locale.alias", "/etc/fonts"),
    *("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives"),
    *("/etc/bash.bashrc", "/etc/bashrc", "/etc/profile", "/etc/inputrc", "/etc/python3", "/etc/python3.11"),
    # What the machine has in all.
    *("/proc/meminfo", "/proc/cpuinfo", "/proc/stat", "/proc/uptime", "/proc/version"),
    *("/proc/filesystems", "/proc/sys/kernel/osrelease", "/proc/sys/kernel/ostype"),
    *("/proc/sys/kernel/cap_last_cap", "/proc/sys/kernel/pid_max", "/proc/sys/kernel/random/uuid"),
    *("/proc/sys/vm/overcommit_memory", "/proc/sys/vm/max_map_count", "/proc/sys/net/core/somaxconn"),
    *("/sys/devices/system/cpu/online", "/sys/devices/system/cpu/possible"),
    "/sys/kernel/mm/transparent_hugepage/enabled",
)

# Of the program's own process, not of its children; neither all of /proc/self, whose `net` tells every
# connection of the machine, nor its `task`, which has the same again, nor the mounts.
OWN_PROCESS = tuple(
    f"/proc/self/{name}"
    for name in (
        *("auxv", "cgroup", "cmdline", "comm", "environ", "fd", "fdinfo", "io", "limits", "maps"),
        *("oom_score", "oom_score_adj", "personality", "smaps", "smaps_rollup", "stat", "statm", "status"),
    )
)

# Not /dev/shm: it is common to all programs of the machine. Not /dev/tty: whoever types there is no session.
# Not /dev/zero: what is mapped from it is memory that nobody counts.
DEVICES = ("/dev/null", "/dev/full", "/dev/random", "/dev/urandom")


# What Python needs of its folder, which may be somebody's own and hold more: a virtual environment is often
# made where the settings lie.
OF_PYTHON = ("bin", "lib", "lib64", "pyvenv.cfg")


def program_of(command: Sequence[str], cell: Cell) -> Path:
    """The file that `command` runs.

    Raises:
        Stalled: there is none, or it lies where the session itself may write.
    """
    name = command[0]
    beside = str(cell.view / name) if "/" in name else name
    found = shutil.which(beside, path=cell.environment.get("PATH", os.defpath))
    if found is None:
        raise missing(name, "Permission denied" if Path(beside).is_file() else "No such file or directory")
    program = Path(found)
    if any(_is_in(program.resolve(), folder) for folder in (cell.view, cell.home, cell.scratch)):
        raise Stalled(
            f"{name} cannot be started: it lies in the vault, and what a session can write is never run.",
            cure="Keep the program outside of the vault and name its path in `command` of the defaults note.",
        )
    return program


def missing(name: str, why: str) -> Stalled:
    """The error of a program that does not start."""
    return Stalled(
        f"{name} cannot be started ({why}).", cure="Install it, or correct `command` in the defaults note."
    )


def ruleset(program: Path, cell: Cell, programs: Sequence[Path], private: Sequence[Path] = ()) -> Ruleset:
    """What `program` reaches in `cell`.

    Args:
        programs: the operator's folders of programs.
        private: what no grant may contain, beyond the cell's own folders: the engine's state, the vault.

    Raises:
        Stalled: a folder of programs or a mount contains what is private, or is missing.
    """
    named = [*programs, *cell.mounts.values()]
    _check_there(named)
    execute = _executed(program, programs)
    mounts = [str(folder) for folder in cell.mounts.values()]
    _check_apart((*execute, *mounts), (*private, cell.view, cell.home, cell.scratch))
    _check_outside((program.resolve(), *named), private)
    writes = bool(cell.policy.can_write)
    return Ruleset(
        execute=tuple(execute),
        read=(*LOOKED_UP, *OWN_PROCESS, *mounts, *(() if writes else (str(cell.view),))),
        write=(str(cell.home), str(cell.scratch), *((str(cell.view),) if writes else ())),
        devices=DEVICES,
        optional=frozenset((*SYSTEM, *LOOKED_UP, *OWN_PROCESS, *DEVICES)),
    )


def reaches(program: Path, path: Path, programs: Sequence[Path]) -> bool:
    """Whether `program` reads `path` in any cell, even one without mounts; arguments as for `ruleset`."""
    granted = (*_executed(program, programs), *LOOKED_UP, *OWN_PROCESS, *DEVICES)
    return any(_is_in(path.resolve(), Path(place).resolve()) for place in granted)


def remedy(path: Path, programs: Sequence[Path], private: Sequence[Path]) -> str:
    """What the operator does about a `path` that is out of reach; arguments as for `ruleset`."""
    folder = path if path.is_dir() else path.parent
    if _is_shared(folder) or any(_is_in(secret.resolve(), folder.resolve()) for secret in private):
        return (
            f"Sessions should not read all of {folder}: move it into a folder of its own, such as"
            ' /opt/my-agent, and write `programs = ["/opt/my-agent"]` in vaultloop.toml.'
        )
    line = json.dumps([str(named) for named in (*programs, folder)], ensure_ascii=False)
    return f"Write `programs = {line}` in vaultloop.toml."


def _is_shared(folder: Path) -> bool:
    """Whether people keep all kinds of things there, keys among them."""
    return len(folder.parts) <= 2 or folder.parent == Path("/home") or folder == Path.home()


def _executed(program: Path, programs: Sequence[Path]) -> list[str]:
    return _distinct([*SYSTEM, *_needed_by(program), *map(str, programs)])


def _needed_by(program: Path) -> list[str]:
    """The program's file where it is not the system's; for this very Python, what it consists of."""
    resolved = program.resolve()
    if resolved != Path(sys.executable).resolve():
        return [] if _is_the_systems(resolved) else [str(resolved)]
    package = Path(vaultloop.__file__).resolve().parent.parent
    prefixes = dict.fromkeys((Path(sys.prefix), Path(sys.base_prefix)))
    parts = [*(prefix / part for prefix in prefixes for part in OF_PYTHON), resolved]
    if not any(_is_in(package, part.resolve()) for part in parts):
        parts.append(package)
    return [str(part) for part in parts if part.exists() and not _is_the_systems(part.resolve())]


def _check_there(folders: Iterable[Path]) -> None:
    for folder in folders:
        if not folder.exists():
            raise Stalled(
                f"{folder} is not there, and the settings name it in `programs` or `mounts`.",
                cure="Make it, or take it out of the settings.",
            )


def _check_apart(granted: Iterable[str], private: Sequence[Path]) -> None:
    for place in granted:
        for secret in private:
            if _is_in(secret.resolve(), Path(place).resolve()):
                raise Stalled(
                    f"Sessions would read all of {place}, and {secret} lies in it.",
                    cure="Move one of them, or name a smaller folder in `programs` or `mounts`.",
                )


def _check_outside(granted: Iterable[Path], private: Sequence[Path]) -> None:
    for place in granted:
        for secret in private:
            if _is_in(place.resolve(), secret.resolve()) and not _is_pythons(place.resolve()):
                raise Stalled(
                    f"{place} lies in {secret}, and nothing of that is run or shown to sessions as it is.",
                    cure="Keep programs and mounts outside of the vault and the state directory.",
                )


def _is_pythons(path: Path) -> bool:
    return path == Path(sys.executable).resolve()


def _is_the_systems(path: Path) -> bool:
    return any(_is_in(path, Path(folder).resolve()) for folder in SYSTEM)


def _is_in(path: Path, folder: Path) -> bool:
    return path == folder or folder in path.parents


def _distinct(paths: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(paths))
