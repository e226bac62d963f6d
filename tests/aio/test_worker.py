"""One thread for what must not be used from two."""

import asyncio
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
async def test_another_thread_waits_for_its_turn_and_its_result() -> None:
    async with Worker("git") as worker:
        mine = await worker.run(threading.current_thread)
        theirs = await asyncio.to_thread(worker.run_from_thread, threading.current_thread)
    assert mine is theirs


@asynchronous
async def test_leaving_waits_for_what_has_begun_and_drops_the_rest() -> None:
    begun, release = threading.Event(), threading.Event()
    done: list[str] = []

    def first() -> None:
        begun.set()
        release.wait()
        done.append("first")

    worker = Worker("git")
    running = asyncio.create_task(worker.run(first))
    waiting = asyncio.create_task(worker.run(done.append, "second"))
    await asyncio.to_thread(begun.wait)
    leaving = asyncio.create_task(worker.__aexit__())
    with pytest.raises(asyncio.CancelledError):
        await waiting
    release.set()
    await asyncio.gather(running, leaving)
    assert done == ["first"]
    with pytest.raises(RuntimeError, match="no more work"):
        await worker.run(done.append, "third")


@asynchronous
async def test_leaving_waits_no_longer_than_its_patience_for_work_that_hangs() -> None:
    begun, release = threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        release.wait()

    worker = Worker("network", patience=0.01)
    hanging = asyncio.create_task(worker.run(hang))
    await asyncio.to_thread(begun.wait)
    await worker.__aexit__()
    assert not hanging.done()
    release.set()
    await hanging


@asynchronous
async def test_leaving_a_worker_that_never_worked_is_nothing() -> None:
    async with Worker("git"):
        pass


@asynchronous
async def test_an_error_reaches_the_caller() -> None:
    async with Worker("git") as worker:
        with pytest.raises(ZeroDivisionError):
            await worker.run(divmod, 1, 0)
