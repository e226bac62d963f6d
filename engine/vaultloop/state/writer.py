"""The names of processes in the ledger: who wrote a row that is open, and whether it will ever close it."""

import os
from pathlib import Path


def name_of_process(pid: int) -> str:
    """What no other process is called, of this boot or another; also for one that is not there."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{pid}/{_started(pid) or 'gone'}/{boot}"


def is_alive(name: str) -> bool:
    """Whether the process of this name is there; also if there is one that cannot be looked at."""
    pid = name.partition("/")[0]
    if not pid.isdecimal():
        return False
    if _started(int(pid)) is None:
        # /proc may hide a gateway, which lets nobody look into it (hidepid, proc(5)).
        return _exists(int(pid))
    return name_of_process(int(pid)) == name


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _started(pid: int) -> str | None:
    """When a process was started, in ticks since the boot; None for one that is not there."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The start time is field 22; the name in field 2 may hold anything, and ends with the last bracket.
    return stat.rpartition(")")[2].split()[19]
