"""One thread for one thing that must not be used from two: a git repository, say."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, Self, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Worker:
    """Runs plain functions one after the other in a single named thread, off the event loop."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        # Waiting in a thread keeps the loop free while the last job, a slow fetch perhaps, winds down.
        await asyncio.to_thread(self._pool.shutdown, wait=True, cancel_futures=True)

    async def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The result of `work(*args, **kwargs)`, once it was its turn.

        A cancelled caller does not undo work that has begun: it runs to its end in the thread.
        """
        return await asyncio.wrap_future(self._pool.submit(work, *args, **kwargs))
