"""The life of the gateway process, ended by its engine."""

import asyncio
import os
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

# How soon the thread that understands a large body makes way for the event loop (seconds). The loop waits so
# long for each of the some thirty steps of a request, and Python's own 5 ms would add up.
_SWITCH_INTERVAL = 0.0005


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
