"""Cells in which tests run programs of their own."""

import asyncio
import importlib.util
import inspect
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from support import unprivileged
from vaultloop.model.cell import Cell
from vaultloop.model.gateway import Door
from vaultloop.model.policy import Audience, Policy
from vaultloop.sandbox.launcher import FencedLauncher
from vaultloop.sandbox.probe import CAP, Probe, probe

# Versions of Landlock between which something changes: renames, TCP ports, signals; and all there is.
ABIS = (1, 2, 4, 6, 7)

# Who runs a scenario: the suite's own user, who may be root, and one without rights.
WHO = ("suite", "unprivileged")


@cache
def found(abi: int) -> Probe:
    """What a machine with this version of Landlock offers."""
    return probe({CAP: str(abi)})


def fence(abi: int = ABIS[-1], **more: Any) -> FencedLauncher:
    """A launcher on such a machine, whose operator lets the owner's sessions run with less."""
    return FencedLauncher(found(abi), [Audience.OWNER], **more)


def cell_at(
    folder: Path, audience: Audience = Audience.OWNER, *, writes: bool = True, door: Door | None = None
) -> Cell:
    """A cell with an empty view, home and scratch folder in `folder`."""
    view, home, scratch = (folder / name for name in ("view", "home", "tmp"))
    for place in (view, home, scratch):
        place.mkdir(exist_ok=True, mode=0o700)
    policy = Policy("tested", audience, can_read=("**",), can_write=("**",) if writes else ())
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(home), "TMPDIR": str(scratch)}
    return Cell(view, home, scratch, environment, policy, door)


def python(program: str, *arguments: object) -> Sequence[str]:
    """The command that runs this Python program."""
    return [sys.executable, "-c", program, *map(str, arguments)]


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of a program."""

    status: int
    output: str
    complaint: str


async def ended(launcher: FencedLauncher, command: Sequence[str], cell: Cell, said: bytes = b"") -> Ended:
    """Run a program to its end."""
    async with launcher.launch(command, cell) as child:
        await child.write(said, last=True)
        lines = [line async for line in child.lines()]
        return Ended(await child.wait(), b"".join(lines).decode(), await child.complaint())


# How long a scenario may take (seconds), unless it is said; a test has 60.
PATIENCE = 40.0


def run_by(
    who: str, scenario: Callable[..., Awaitable[Any]], *arguments: Any, patience: float = PATIENCE
) -> Any:
    """What `scenario(folder, *arguments)`, a function at the top of a module, returns when `who` runs it."""
    if who == "suite" or unprivileged.user().is_me:
        with tempfile.TemporaryDirectory() as folder:
            return asyncio.run(bounded(scenario(Path(folder), *arguments), patience))
    return unprivileged.drive(_driven, inspect.getsourcefile(scenario), scenario.__name__, *arguments)


async def bounded(scenario: Awaitable[Any], patience: float = PATIENCE) -> Any:
    """What it returns, if that does not take too long."""
    async with asyncio.timeout(patience):
        return await scenario


def _driven(source: str, name: str, *arguments: Any) -> Any:
    spec = importlib.util.spec_from_file_location("scenarios", source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    scenario = getattr(module, name)
    with unprivileged.place() as folder:
        return asyncio.run(bounded(scenario(folder, *arguments)))


def alive(pid: int) -> bool:
    """Whether there is such a process; one that ended and was not fetched yet is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
