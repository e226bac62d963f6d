"""The launcher without a fence: a clean environment, a folder of its own, and nothing that holds it there."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from vaultloop.aio.census import kill_marked
from vaultloop.aio.process import Patience, Process, running
from vaultloop.aio.supervise import to_the_end
from vaultloop.model.cell import Cell, Child
from vaultloop.model.policy import Audience
from vaultloop.model.status import Confinement
from vaultloop.sandbox.grants import missing
from vaultloop.sandbox.streams import LAST_WORDS, Complaint

# How long a program may take to end after INT and after TERM (seconds). With the moment that its runner gives
# it to end by itself, somebody who cancels waits for less than a second.
PATIENCE = Patience(interrupt=0.2, terminate=0.15)


class DirectLauncher:
    """Starts programs as plain children of the engine: UNCONFINED."""

    def confinement(self, _: Audience) -> Confinement:
        """Nothing."""
        return Confinement.UNCONFINED

    def remedy(self, _program: Path, _path: Path) -> str:
        """Nothing: it reads whatever the engine's user reads."""
        return ""

    @asynccontextmanager
    async def launch(self, command: Sequence[str], cell: Cell) -> AsyncIterator[Child]:
        """Start `command` in its view with exactly the cell's environment; leaving the block ends it.

        What it started ends with it, also in a session and group of its own: the home of a cell is nobody
        else's, so whoever was given it belongs to the cell.

        Raises:
            Stalled: the program cannot be started.
        """
        child: DirectChild | None = None
        try:
            async with running(
                command, cwd=cell.view, environment=cell.environment, patience=PATIENCE
            ) as process:
                child = DirectChild(process)
                try:
                    yield child
                finally:
                    await child.close()
        except OSError as error:
            if child is not None:
                raise
            raise missing(command[0], str(error.strerror)) from error
        finally:
            if cell.environment.get("HOME") == str(cell.home):
                await to_the_end(_end_the_rest(cell))


async def _end_the_rest(cell: Cell) -> None:
    await asyncio.to_thread(kill_marked, "HOME", str(cell.home))


class DirectChild:
    """A running program."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._complaint = Complaint(process.stderr, str(process.pid))
        self._ending = asyncio.create_task(self._end(), name=f"end of {process.pid}")

    @property
    def pid(self) -> int:
        return self._process.pid

    async def write(self, data: bytes, *, last: bool = False) -> None:
        await self._process.write(data, last=last)

    def lines(self) -> AsyncIterator[bytes]:
        return self._process.lines()

    async def complaint(self) -> str:
        return await self._complaint.text()

    async def wait(self) -> int:
        return await self._process.wait()

    async def stop(self) -> None:
        await self._process.stop()

    async def close(self) -> None:
        """Stop listening; what still runs is about to be ended."""
        self._ending.cancel()
        await asyncio.wait([self._ending])
        await self._complaint.close()

    async def _end(self) -> None:
        await self._process.wait()
        # Time for the loop to take what is still in the pipes; a pipe that closes by itself needs none.
        await asyncio.sleep(LAST_WORDS)
        self._process.close_pipes()
