"""The life of the gateway process: closed to its neighbours, ended by its engine."""

import asyncio
import ctypes
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from vaultloop.aio.clock import SystemClock
from vaultloop.gateway import upstreams
from vaultloop.gateway.egress import Egress
from vaultloop.gateway.keys import Keys
from vaultloop.gateway.server import serve

_PR_SET_DUMPABLE = 4

# How soon the thread that understands a large body makes way for the event loop (seconds). The loop waits so
# long for each of the some thirty steps of a request, and Python's own 5 ms would add up.
_SWITCH_INTERVAL = 0.0005


def close_to_others() -> None:
    """Let no process of the same user look into this one: /proc, ptrace, core files (prctl(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl(PR_SET_DUMPABLE): {os.strerror(number)}")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run(state: Path, keys: Keys) -> None:
    """Serve until the engine is gone or says so.

    INT, and the end of standard input, let it read what is under way to its end; TERM ends it at once.
    """
    sys.setswitchinterval(_SWITCH_INTERVAL)
    asyncio.run(_until_ended(state, keys))


async def _until_ended(state: Path, keys: Keys) -> None:
    serving = asyncio.current_task()
    assert serving is not None
    async with _orphaned() as orphaned:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, orphaned.set)
        loop.add_signal_handler(signal.SIGTERM, serving.cancel)
        try:
            await serve(
                state,
                keys,
                upstreams.claude(keys.base_url),
                tunnel=Egress(),
                connector=aiohttp.TCPConnector,
                clock=SystemClock(),
                orphaned=_set(orphaned),
            )
        except asyncio.CancelledError:
            # TERM: nobody waits for more.
            return


@asynccontextmanager
async def _orphaned() -> AsyncIterator[asyncio.Event]:
    """An event that is set once standard input ends: the engine holds its other side."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    descriptor = sys.stdin.fileno()

    def look() -> None:
        if not os.read(descriptor, 4096):
            loop.remove_reader(descriptor)
            ended.set()

    loop.add_reader(descriptor, look)
    try:
        yield ended
    finally:
        loop.remove_reader(descriptor)


async def _set(event: asyncio.Event) -> None:
    await event.wait()
