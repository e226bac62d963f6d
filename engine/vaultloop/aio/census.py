"""Finding processes by what they were given, when they are no longer below whoever started them."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")


def marked(name: str, value: str) -> list[int]:
    """Processes of this user whose environment, as they were started with it, says `name=value`.

    A program that clears its environment is not found: this tidies up, it does not confine.
    """
    line = f"{name}={value}".encode()
    return [pid for pid in _others() if line in _environment(pid)]


def kill_marked(name: str, value: str) -> list[int]:
    """Kill them all; who they were."""
    return _killed(lambda: marked(name, value))


def kill_housed(folder: Path) -> list[int]:
    """Kill all whose home, as they were started with it, lies below `folder`; who they were."""
    beginning = f"HOME={folder}/".encode()
    return _killed(lambda: [p for p in _others() if any(v.startswith(beginning) for v in _environment(p))])


def _killed(alive: Callable[[], list[int]]) -> list[int]:
    # They are stopped first: whoever is stopped cannot start another one behind our back.
    stopped: list[int] = []
    while new := [pid for pid in alive() if pid not in stopped]:
        _signal(new, signal.SIGSTOP)
        stopped += new
    _signal(stopped, signal.SIGKILL)
    return stopped


def _others() -> Iterator[int]:
    own = os.getpid()
    return (pid for entry in _PROC.iterdir() if entry.name.isdigit() and (pid := int(entry.name)) != own)


def _environment(pid: int) -> list[bytes]:
    # Those of other users cannot be read, and any may end while we look.
    with suppress(OSError):
        return (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    return []


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
