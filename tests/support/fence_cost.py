"""What the fence costs, measured: the time that a program in a cell takes, and what weighs who guards it."""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from support.cells import cell_at
from vaultloop.model.cell import Cell
from vaultloop.sandbox.launcher import FencedLauncher
from vaultloop.sandbox.probe import probe

PROGRAM = "/bin/true"
TIMES = 50
WARM_UP = 5
MOST_MS = 40.0

SESSIONS = 4
MOST_MIB = 6.0


@dataclass(frozen=True, slots=True)
class Cost:
    """Medians.

    Attributes:
        fenced_ms, plain_ms: until `/bin/true` has run, and all of it is gone.
        session_mib: PSS of what guards one session, the zygote not counted.
    """

    fenced_ms: float
    plain_ms: float
    session_mib: float

    @property
    def overhead_ms(self) -> float:
        return self.fenced_ms - self.plain_ms


async def measured() -> Cost:
    """Run programs in turn with and without the fence."""
    with tempfile.TemporaryDirectory() as folder:
        async with FencedLauncher(await asyncio.to_thread(probe)) as launcher:
            cell = cell_at(Path(folder))

            async def fenced() -> None:
                async with launcher.launch([PROGRAM], cell) as child:
                    assert await child.wait() == 0

            pairs = [(await _wall(fenced), await _wall(_plain)) for _ in range(TIMES + WARM_UP)][WARM_UP:]
            memory = await _memory(launcher, cell)
    return Cost(median(pair[0] for pair in pairs), median(pair[1] for pair in pairs), memory)


async def _wall(work: Callable[[], Awaitable[None]]) -> float:
    """Milliseconds that `work` takes."""
    begun = time.perf_counter()
    await work()
    return (time.perf_counter() - begun) * 1000


async def _plain() -> None:
    process = await asyncio.create_subprocess_exec(PROGRAM)
    assert await process.wait() == 0


async def _memory(launcher: FencedLauncher, cell: Cell) -> float:
    zygote = launcher.zygote
    assert zygote is not None
    alone = _pss(zygote)
    async with AsyncExitStack() as stack:
        for _ in range(SESSIONS):
            child = await stack.enter_async_context(launcher.launch(["cat"], cell))
            # Once it has written, its supervisor has nothing to do but to watch.
            await child.write(b"here\n")
            assert await anext(child.lines()) == b"here\n"
        supervisors = Path(f"/proc/{zygote}/task/{zygote}/children").read_text().split()
        together = sum(map(_pss, (zygote, *map(int, supervisors))))
    return (together - alone) / SESSIONS


def _pss(pid: int) -> float:
    """Proportional memory of a process (MiB)."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise ValueError(pid)
