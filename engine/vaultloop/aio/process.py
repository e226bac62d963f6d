"""Child processes that end when asked, and are ended when they do not listen."""

import asyncio
import ctypes
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from vaultloop.aio.supervise import to_the_end

# How long a child may take after each step of the ladder INT, TERM, KILL (seconds), unless it is said.
INT_PATIENCE = 2.0
TERM_PATIENCE = 2.0

# What is longer is cut: a line holds a whole tool result at most, and none may fill our memory.
LONGEST_LINE = 16 * 1024 * 1024

_CHUNK = 64 * 1024

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def _die_with_parent() -> None:
    # Between fork and exec: an agent must not outlive the engine that would publish and account its work.
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class _Exit(asyncio.subprocess.SubprocessStreamProtocol):
    """Notes the exit of the child itself.

    asyncio's own `wait` lasts until every pipe is closed, which a grandchild that left the group can put off
    for ever.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(limit=_CHUNK, loop=loop)
        self.happened = asyncio.Event()

    def process_exited(self) -> None:
        super().process_exited()
        self.happened.set()


class Patience(NamedTuple):
    """How long a child may take to end by itself after each signal (seconds)."""

    interrupt: float
    terminate: float


class Process:
    """One running child, leader of its own session and process group."""

    def __init__(
        self, child: asyncio.subprocess.Process, transport: asyncio.SubprocessTransport, exited: asyncio.Event
    ) -> None:
        self._child = child
        self._transport = transport
        self._exited = exited

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def returncode(self) -> int | None:
        return self._child.returncode

    @property
    def stdout(self) -> asyncio.StreamReader:
        assert self._child.stdout is not None
        return self._child.stdout

    @property
    def stderr(self) -> asyncio.StreamReader:
        assert self._child.stderr is not None
        return self._child.stderr

    def lines(self) -> AsyncIterator[bytes]:
        """Lines of standard output until it closes; to be gone through once."""
        return lines_of(self.stdout)

    async def write(self, data: bytes, *, last: bool = False) -> None:
        """Send `data` to the child's standard input; `last` closes it. A child that is gone is no error."""
        stdin = self._child.stdin
        assert stdin is not None
        with suppress(ConnectionError):
            stdin.write(data)
            await stdin.drain()
        if last:
            stdin.close()

    async def wait(self) -> int:
        """The exit status: negative for a signal."""
        await self._exited.wait()
        assert self._child.returncode is not None
        return self._child.returncode

    def close_pipes(self) -> None:
        """Stop reading and writing; whoever still holds the other ends is no longer listened to."""
        for number in range(3):
            if (pipe := self._transport.get_pipe_transport(number)) is not None:
                pipe.close()

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal to the child and to all it started that stayed in its group."""
        with suppress(ProcessLookupError):
            os.killpg(self._child.pid, number)

    async def stop(self, patience: Patience | None = None) -> None:
        """End the child in widening steps: interrupt, terminate, kill. Returns when it is gone."""
        allowed = patience or Patience(INT_PATIENCE, TERM_PATIENCE)
        steps = ((signal.SIGINT, allowed.interrupt), (signal.SIGTERM, allowed.terminate))
        for number, seconds in steps:
            if self.returncode is not None:
                break
            self.signal_group(number)
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self.wait()
        # Also when the leader ended by itself: its children may not have.
        self.signal_group(signal.SIGKILL)
        await self.wait()


async def lines_of(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Lines of `stream` until it closes; of a longer one, its first `LONGEST_LINE` bytes.

    To be gone through once: what was read ahead is not given back.
    """
    begun = bytearray()
    while chunk := await stream.read(_CHUNK):
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            yield bytes(begun + end[: LONGEST_LINE - len(begun)] + b"\n")
            begun.clear()
        begun += rest[: LONGEST_LINE - len(begun)]
    if begun:
        yield bytes(begun)


@asynccontextmanager
async def running(
    command: Sequence[str], *, cwd: Path, environment: Mapping[str, str], patience: Patience | None = None
) -> AsyncIterator[Process]:
    """Start `command` with exactly `environment`, pipes for its three streams, and stop it at the end.

    `patience` is for its end, where it is not the usual one.

    Raises:
        FileNotFoundError, PermissionError: the program cannot be started.
    """
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.subprocess_exec(
        lambda: _Exit(loop),
        *command,
        cwd=cwd,
        env=dict(environment),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        preexec_fn=_die_with_parent,
    )
    child = asyncio.subprocess.Process(transport, protocol, loop)
    process = Process(child, transport, protocol.happened)
    try:
        yield process
    finally:
        # A cancelled caller must not leave a process behind.
        await to_the_end(process.stop(patience))
        transport.close()
