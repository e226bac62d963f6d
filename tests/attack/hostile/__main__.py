"""Run cases and tell, a line of JSON for each, what became of them.

    python -I -S -m hostile TARGETS CASE... MARK

TARGETS is JSON, or `-` for standard input. Each case has a process of its own, so that one that spoils its
process spoils no other; the whole has what a session has.
"""

import errno
import json
import os
import select
import signal
import sys
import time
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from . import files, gateway, kernel, limits, metadata, processes, publishing, sockets
from .catalogue import CASES, Case, Granted, Stopped, Targets

# How long a case may take (seconds).
PATIENCE = 20.0

CONTROLS = MappingProxyType(
    {"the-model": gateway.works, "a-tunnel": gateway.tunnels, "a-note": publishing.plant}
)
__all__ = ["CASES", "files", "kernel", "limits", "metadata", "processes", "sockets"]


def outcome(case: Case, targets: Targets) -> dict[str, Any]:
    """What became of one attack, in this process."""
    try:
        return {"outcome": "escaped", "what": case.attack(targets)}
    except Stopped as stopped:
        return {"outcome": "stopped", "what": str(stopped)}
    except Granted as granted:
        return {"outcome": "granted", "what": str(granted)}
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, type(error).__name__)
        return {"outcome": "stopped", "what": name if error.errno else str(error)[-60:]}
    except MemoryError:
        return {"outcome": "stopped", "what": "ENOMEM"}


def isolated(case: Case, targets: Targets) -> dict[str, Any]:
    """What became of one attack, in a process of its own."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        try:
            found = outcome(case, targets)
        except BaseException as error:  # the mistake is the case's own
            found = {"outcome": "broken", "what": f"{type(error).__name__}: {error}"}
        os.write(writing, json.dumps(found).encode())
        os._exit(0)
    os.close(writing)
    said = _said(reading)
    os.close(reading)
    if not said:
        os.kill(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if said:
        return dict(json.loads(said))
    return {"outcome": "stopped", "what": f"signal {-code}" if code < 0 else f"it ended ({code})"}


def _said(reading: int) -> bytes:
    """What comes out of a pipe until it closes or the patience ends."""
    said = b""
    ends = time.monotonic() + PATIENCE
    while (left := ends - time.monotonic()) > 0:
        if not select.select([reading], [], [], left)[0]:
            break
        part = os.read(reading, 65536)
        if not part:
            break
        said += part
        # Whoever a case left behind holds the pipe open as well.
        if said.endswith(b"}"):
            break
    return said


def tell(**line: Any) -> None:
    """Tell one line."""
    os.write(1, json.dumps(line).encode() + b"\n")


def main() -> None:
    """Run what the arguments name."""
    # The last argument marks whatever this session starts.
    given, *names, _ = sys.argv[1:]
    targets = Targets(**json.loads(sys.stdin.read() if given == "-" else given))
    if targets.extra.get("supervised"):
        targets = replace(targets, supervisor=os.getppid())
    for name in names:
        if control := CONTROLS.get(name):
            try:
                control(targets)
                tell(case=name, outcome="works", what="")
            except Exception as error:
                tell(case=name, outcome="broken", what=f"{type(error).__name__}: {error}")
            continue
        begun = time.monotonic()
        found = isolated(CASES[name], targets)
        tell(case=name, seconds=round(time.monotonic() - begun, 3), **found)
    tell(case="the-end", outcome="works", what="")
    if targets.extra.get("stay"):
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        while True:
            signal.pause()


if __name__ == "__main__":
    main()
