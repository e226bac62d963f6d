"""One engine as a process: from the first signal it hears to the last task it ends."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from vaultloop.aio.bell import Bell
from vaultloop.aio.clock import Clock, SystemClock
from vaultloop.aio.supervise import running
from vaultloop.app import Engine, assembled
from vaultloop.overview import sandbox_text
from vaultloop.settings import Settings

log = logging.getLogger(__name__)


async def up(
    settings: Settings,
    *,
    clock: Clock | None = None,
    beside: Callable[[], Coroutine[Any, Any, None]] | None = None,
) -> None:
    """Run an engine until ctrl-C or TERM; `beside` runs once it is ready, and ends with it."""
    stop, hang_up = asyncio.Event(), Bell()
    # From the first moment to the last: also what is slow to start or to end can be told to stop.
    with _hearing(stop, hang_up):
        async with assembled(settings, clock or SystemClock()) as engine:
            log.info("sessions: %s", sandbox_text(engine.book.sandbox))
            beside_it = {
                "beside the engine": _companion(engine, beside),
                "hang-up": _obey(hang_up, engine.look_again),
            }
            async with running(beside_it):
                await stop.wait()
                log.info("stopping")
                await engine.dispatcher.wind_down()
        log.info("stopped")


async def _companion(engine: Engine, beside: Callable[[], Coroutine[Any, Any, None]] | None) -> None:
    await engine.ready.wait()
    log.info("ready at %s", (engine.book.revision or "")[:12])
    if beside is not None:
        await beside()


async def _obey(bell: Bell, action: Callable[[], None]) -> None:
    while True:
        await bell.heard()
        action()


@contextmanager
def _hearing(stop: asyncio.Event, hang_up: Bell) -> Iterator[None]:
    """The first ctrl-C or TERM asks to stop, a second one insists; HUP looks again."""

    def asked() -> None:
        if stop.is_set():
            # What is running is on the record: the next start goes on from there.
            os._exit(130)
        stop.set()

    heard = {signal.SIGINT: asked, signal.SIGTERM: asked, signal.SIGHUP: hang_up.ring}
    loop = asyncio.get_running_loop()
    for number, handler in heard.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in heard:
            loop.remove_signal_handler(number)
