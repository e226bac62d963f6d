"""The three streams of a program in a cell, as the engine holds them."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from vaultloop.aio.process import lines_of

# How much of standard error is kept for a message: its end says what went wrong.
COMPLAINT_BYTES = 4096

# How long after the program's end its pipes may stay open (seconds): what it wrote last is read, but a child
# that it left behind must not hold up the session.
LAST_WORDS = 0.5

# What a program may print on each stream (bytes); a line counts as so many more, as each one costs time.
OUTPUT_BYTES = 64 * 1024**2
LINE_BYTES = 256

_CHUNK = 64 * 1024


class Metered(asyncio.StreamReader):
    """A stream that ends, and says so, once too much has come out of it."""

    def __init__(self, flooded: Callable[[], None], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(limit=_CHUNK, loop=loop)
        self._flooded = flooded
        self._left = OUTPUT_BYTES

    async def read(self, n: int = -1) -> bytes:
        if self._left < 0:
            return b""
        data = await super().read(n)
        self._left -= len(data) + LINE_BYTES * data.count(b"\n")
        if self._left < 0:
            self._flooded()
        return data


class Complaint:
    """The end of a program's standard error; read all the time, so that the program never blocks on it."""

    def __init__(self, stderr: asyncio.StreamReader, name: str) -> None:
        self._stderr = stderr
        self._end = bytearray()
        self._listening = asyncio.create_task(self._listen(), name=f"stderr of {name}")

    async def text(self) -> str:
        """All of it that is kept, once it closed."""
        await asyncio.shield(self._listening)
        return self._end.decode(errors="replace").strip()

    async def close(self) -> None:
        """Stop listening."""
        self._listening.cancel()
        await asyncio.wait([self._listening])

    async def _listen(self) -> None:
        while chunk := await self._stderr.read(COMPLAINT_BYTES):
            self._end += chunk
            del self._end[:-COMPLAINT_BYTES]


class Pipes:
    """Pipes to a program that somebody else starts; `theirs` are its ends, to be given away.

    Entering opens them, leaving closes what is left of ours.
    """

    def __init__(self) -> None:
        self.theirs: tuple[int, ...] = ()
        # Called when the program prints too much.
        self.when_flooded: Callable[[], None] = lambda: None
        self._ours: tuple[int, ...] = ()
        self._transports: list[asyncio.BaseTransport] = []

    async def __aenter__(self) -> Self:
        (stdin, write), (read, stdout), (hear, stderr) = os.pipe(), os.pipe(), os.pipe()
        self.theirs = (stdin, stdout, stderr)
        try:
            self.stdout, self.stderr = await self._reading(read), await self._reading(hear)
            self._stdin = await self._writing(write)
        except BaseException:
            self._release()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def _release(self) -> None:
        self.give_away()
        self.close()

    def give_away(self) -> None:
        """Close the program's ends: it has its own by now."""
        for descriptor in self.theirs:
            os.close(descriptor)
        self.theirs = ()

    async def write(self, data: bytes, *, last: bool = False) -> None:
        """Send `data`; `last` closes the stream. A program that is gone is no error."""
        with suppress(ConnectionError):
            self._stdin.write(data)
            await self._stdin.drain()
        if last:
            self._stdin.close()

    def lines(self) -> AsyncIterator[bytes]:
        """Lines of standard output; to be gone through once."""
        return lines_of(self.stdout)

    def close(self) -> None:
        """Stop reading and writing; whoever still holds the other ends is no longer listened to."""
        for transport in self._transports:
            transport.close()

    def _flood(self) -> None:
        self.when_flooded()

    async def _reading(self, descriptor: int) -> asyncio.StreamReader:
        loop = asyncio.get_running_loop()
        reader = Metered(self._flood, loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        transport, _ = await loop.connect_read_pipe(
            lambda: protocol, os.fdopen(descriptor, "rb", buffering=0)
        )
        self._transports.append(transport)
        return reader

    async def _writing(self, descriptor: int) -> asyncio.StreamWriter:
        loop = asyncio.get_running_loop()
        pipe = os.fdopen(descriptor, "wb", buffering=0)
        protocol = asyncio.StreamReaderProtocol(asyncio.StreamReader(loop=loop), loop=loop)
        transport, _ = await loop.connect_write_pipe(lambda: protocol, pipe)
        self._transports.append(transport)
        return asyncio.StreamWriter(transport, protocol, None, loop)
