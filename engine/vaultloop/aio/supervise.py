"""Tasks that are owned, named and never end unnoticed."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from vaultloop.aio.clock import Clock, sleep

log = logging.getLogger(__name__)

# First and longest pause between two attempts of a task that keeps failing (seconds).
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 300.0


@asynccontextmanager
async def background(name: str, work: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.Task[None]]:
    """Run `work` as a named task for as long as the block lasts, and cancel it at the end.

    A task that fails takes the block down with it: the failure reaches the caller instead of a log.
    """
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work, name=name)
        try:
            yield task
        finally:
            task.cancel()


@asynccontextmanager
async def running(work: Mapping[str, Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Run named tasks for as long as the block lasts; one that fails ends the block."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(coroutine, name=name) for name, coroutine in work.items()]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def every(period: timedelta, clock: Clock, action: Callable[[], None]) -> None:
    """Call `action` after each `period`, with a tenth of it as jitter, until cancelled."""
    while True:
        await sleep(clock, period.total_seconds() * random.uniform(0.9, 1.1))  # noqa: S311 - spreads load, keeps no secret
        action()


async def persist(name: str, attempt: Callable[[], Awaitable[None]], clock: Clock) -> None:
    """Run `attempt` again and again until cancelled; after a failure pause, each time twice as long.

    An attempt that ends without an error starts afresh at once and resets the pause.
    """
    pause = FIRST_PAUSE
    while True:
        try:
            await attempt()
            pause = FIRST_PAUSE
        except Exception:
            log.exception("%s failed; next try in %.0f s", name, pause, extra={"task": name})
            await sleep(clock, pause)
            pause = min(pause * 2, LONGEST_PAUSE)


async def first(*waits: Coroutine[None, None, None]) -> None:
    """Return once one of `waits` is over; the others are cancelled."""
    tasks = [asyncio.create_task(wait, name="first of several") for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def to_the_end(cleanup: Coroutine[Any, Any, None]) -> None:
    """Finish `cleanup` even when the caller is cancelled meanwhile; the cancellation is raised afterwards."""
    task = asyncio.create_task(cleanup, name="cleanup")
    interrupted: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            if task.cancelled():
                raise
            interrupted = error
    task.result()
    if interrupted is not None:
        raise interrupted
