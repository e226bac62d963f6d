"""A program in its cell, as the engine holds it: its streams, and the control socket of its supervisor."""

import asyncio
import errno
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from vaultloop.aio.census import kill_marked
from vaultloop.aio.process import Patience
from vaultloop.aio.supervise import to_the_end
from vaultloop.model.errors import Stalled
from vaultloop.sandbox.grants import missing
from vaultloop.sandbox.limits import said
from vaultloop.sandbox.request import Request
from vaultloop.sandbox.streams import LAST_WORDS, OUTPUT_BYTES, Complaint, Pipes
from vaultloop.sandbox.supervisor import END

# How long a program may take to end after INT and after TERM (seconds), before all is killed. With the moment
# that its runner gives it to end by itself, somebody who cancels waits for less than a second.
PATIENCE = Patience(interrupt=0.2, terminate=0.15)

# How long the rest of a session may take to end after its program (seconds), before nobody listens any more.
CLEARING = 5.0

# The exit status of a program whose supervisor was killed: nobody knows a better one.
_KILLED = -int(signal.SIGKILL)

# Steps of the entry into a cell whose failing means that the program is to blame.
_PROGRAM = "program"

# Hands the supervisor's descriptors (control socket and streams) to the zygote.
Hand = Callable[[list[int]], Awaitable[None]]


@asynccontextmanager
async def fenced(request: Request, hand_over: Hand) -> AsyncIterator["FencedChild"]:
    """Run the program of `request` under a supervisor; leaving the block ends all of it.

    Raises:
        Stalled: it does not start, or cannot be held in; names the step.
    """
    ours, its = socket.socketpair()
    with its:
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        try:
            async with Pipes() as pipes:
                await hand_over([its.fileno(), *pipes.theirs])
                its.close()
                pipes.give_away()
                child = FencedChild(request, pipes, reader, writer)
                try:
                    await child.begin()
                    yield child
                finally:
                    # A cancelled caller must not leave a process behind.
                    await to_the_end(child.leave())
        finally:
            writer.close()


class FencedChild:
    """A running program; its supervisor tells what becomes of it."""

    def __init__(
        self, request: Request, pipes: Pipes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._request = request
        self._pipes = pipes
        pipes.when_flooded = self._end_of_flood
        self._control = writer
        loop = asyncio.get_running_loop()
        self._started: asyncio.Future[int] = loop.create_future()
        self._exited: asyncio.Future[int] = loop.create_future()
        self._gone = asyncio.Event()
        # Whether nothing is left that could hold the other ends of the pipes.
        self._is_empty = False
        self._breach = ""
        self._complaint = Complaint(pipes.stderr, request.command[0])
        self._following = asyncio.create_task(self._follow(reader), name=f"cell of {request.command[0]}")
        self._ending = asyncio.create_task(self._end(), name=f"end of {request.command[0]}")

    async def begin(self) -> None:
        """Ask the supervisor to start the program; returns once it runs.

        Raises:
            Stalled: it does not.
        """
        with suppress(ConnectionError):
            self._control.write(self._request.packed())
            await self._control.drain()
        await asyncio.shield(self._started)

    @property
    def pid(self) -> int:
        return self._started.result()

    async def write(self, data: bytes, *, last: bool = False) -> None:
        await self._pipes.write(data, last=last)

    def lines(self) -> AsyncIterator[bytes]:
        return self._pipes.lines()

    async def complaint(self) -> str:
        text = await self._complaint.text()
        return f"{self._breach} {text}".strip()

    async def wait(self) -> int:
        return await asyncio.shield(self._exited)

    async def stop(self) -> None:
        for number, seconds in ((signal.SIGINT, PATIENCE.interrupt), (signal.SIGTERM, PATIENCE.terminate)):
            if self._exited.done():
                break
            self._signal(number)
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self.wait()
        self._signal(END)
        await self._gone.wait()

    async def leave(self) -> None:
        """End it and all it started, and listen no more."""
        await self.stop()
        await self._following
        self._ending.cancel()
        await asyncio.wait([self._ending])
        await self._complaint.close()
        if self._started.done() and not self._started.cancelled():
            self._started.exception()  # whoever began it has heard of it

    def _end_of_flood(self) -> None:
        self._breach = f"The session was ended: it printed more than {said(OUTPUT_BYTES)}."
        self._signal(END)

    def _signal(self, number: int) -> None:
        if not self._gone.is_set():
            self._control.write(bytes([number]))

    async def _follow(self, control: asyncio.StreamReader) -> None:
        """Take what the supervisor tells, to its end."""
        with suppress(ConnectionError):
            while line := await control.readline():
                self._hear(line.decode(errors="replace").rstrip("\n"))
        if not self._gone.is_set():
            await self._end_without_supervisor()

    def _hear(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        match word:
            case "started":
                self._started.set_result(int(rest))
            case "failed":
                self._started.set_exception(_failure(self._request, *json.loads(rest)))
            case "breach":
                self._breach = rest
            case "exit" if not self._exited.done():
                self._exited.set_result(int(rest))
            case "gone":
                self._is_empty = True
                self._gone.set()

    async def _end_without_supervisor(self) -> None:
        """Its supervisor was killed: the zygote ends what is left, and so do we, whoever is faster."""
        self._breach = "The session was ended: the process that guarded it was killed."
        if home := self._request.environment.get("HOME"):
            await asyncio.to_thread(kill_marked, "HOME", home)
        if not self._started.done():
            self._started.set_exception(
                Stalled("The session's supervisor ended before the program started.", cure="Try it again.")
            )
        if not self._exited.done():
            self._exited.set_result(_KILLED)
        self._gone.set()

    async def _end(self) -> None:
        """Close the pipes of a session that is over, if somebody may still hold their other ends."""
        await self.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLEARING):
                await self._gone.wait()
        if not self._is_empty:
            await asyncio.sleep(LAST_WORDS)
            self._pipes.close()


def _failure(request: Request, step: str, number: int, detail: str) -> Stalled:
    """What to tell of a program that did not start."""
    why = os.strerror(number) if number else detail
    if step == _PROGRAM:
        error = missing(request.command[0], why)
        if number == errno.EACCES and Path(request.program).is_file():
            return Stalled(
                f"{request.command[0]} cannot be started ({why}).",
                cure="A cell runs the system's programs alone: name the folders that it, and the "
                "interpreter in its first line, lie in, in the setting `programs`.",
            )
        return error
    return Stalled(
        f"{request.command[0]} cannot be held in: the step `{step}` failed ({why}; {detail}).",
        cure="`vaultloop doctor` says what this machine lacks.",
    )
