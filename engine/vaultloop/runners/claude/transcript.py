"""Transcripts of the CLI: where it looks for one to go on from, and what it leaves behind.

It keeps them below its home, one folder for each working directory, and finds one by its id in any of these
folders. Each run of ours has a home of its own, so exactly what is put there can be resumed.
"""

import json
import math
import os
import shutil
import stat
from pathlib import Path

from vaultloop.model.cell import Transcript

_PROJECTS = Path(".claude") / "projects"

# The cost is said in one of the last lines: so many bytes of the end are looked at.
_END = 1024 * 1024
_COST = b'{"type":"cost-state"'


def put(transcript: Transcript, home: Path) -> None:
    """Let the CLI with this home find a conversation by its id.

    Raises:
        OSError: the transcript cannot be read.
    """
    target = home / _PROJECTS / "earlier" / f"{transcript.id}.jsonl"
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.copyfile(transcript.file, target)


def found(home: Path, name: str) -> Path | None:
    """The transcript with this id, as the run left it; None if there is none."""
    return next(iter((home / _PROJECTS).glob(f"*/{name}.jsonl")), None)


def total_cost(transcript: Path) -> float:
    """What the conversation has cost in all (US dollars) as its transcript says; 0 if it does not.

    The CLI writes this also when a signal ends it before it can print a result. The file is in the agent's
    own reach, so it may be anything by now.
    """
    try:
        # NONBLOCK: opening a named pipe must not wait for somebody to write into it.
        descriptor = os.open(transcript, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return 0.0
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return 0.0
        file.seek(max(0, status.st_size - _END))
        lines = file.read(_END).splitlines()
    return next((_cost(line) for line in reversed(lines) if line.startswith(_COST)), 0.0)


def _cost(line: bytes) -> float:
    try:
        cost = float(json.loads(line)["totalCostUSD"])
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return 0.0
    return cost if math.isfinite(cost) else 0.0
