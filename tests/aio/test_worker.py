"""One thread for what must not be used from two."""

import threading

import pytest

from support.run import asynchronous
from vaultloop.aio.worker import Worker


@asynchronous
async def test_all_work_runs_in_one_thread_that_is_not_the_loops() -> None:
    async with Worker("git") as worker:
        threads = {await worker.run(threading.current_thread) for _ in range(10)}
    assert len(threads) == 1
    assert threads.pop() is not threading.current_thread()


@asynchronous
async def test_an_error_reaches_the_caller() -> None:
    async with Worker("git") as worker:
        with pytest.raises(ZeroDivisionError):
            await worker.run(divmod, 1, 0)
