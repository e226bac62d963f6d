"""Async tests without a plugin: one event loop a test, and a bound on every wait."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import ParamSpec

P = ParamSpec("P")

# No test waits longer for anything: what hangs fails, with the line where it hung.
PATIENCE = 20.0


def asynchronous(test: Callable[P, Awaitable[None]]) -> Callable[P, None]:
    """Run a coroutine test function in a fresh event loop, for at most `PATIENCE` seconds."""

    @functools.wraps(test)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(PATIENCE):
                await test(*args, **kwargs)

        asyncio.run(bounded())

    return wrapped
