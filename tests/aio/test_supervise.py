"""Tasks that are owned, named and never end unnoticed."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from support.run import asynchronous
from vaultloop.aio.clock import VirtualClock
from vaultloop.aio.supervise import background, every, first, persist, to_the_end

START = datetime(2026, 11, 22, tzinfo=UTC)


@asynchronous
async def test_background_work_ends_with_its_block() -> None:
    ended: list[str] = []

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("with its block")

    async with background("waits for ever", waits()) as task:
        assert task.get_name() == "waits for ever"
        await asyncio.sleep(0)
    assert ended == ["with its block"]


@asynchronous
async def test_a_failure_in_the_background_reaches_the_block() -> None:
    async def fails() -> None:
        raise OSError("gone")

    with pytest.raises(ExceptionGroup) as caught:
        async with background("fails", fails()):
            await asyncio.Event().wait()
    assert caught.group_contains(OSError, match="gone")


@asynchronous
async def test_an_attempt_that_fails_is_repeated_after_growing_pauses() -> None:
    clock = VirtualClock(START)
    attempts: list[datetime] = []

    async def fails() -> None:
        attempts.append(clock.now())
        raise OSError("still gone")

    async with background("persist", persist("telegram", fails, clock)):
        await clock.advance(8)
    assert [a - START for a in attempts] == [timedelta(seconds=s) for s in (0, 1, 3, 7)]


@asynchronous
async def test_every_period_acts_once_give_or_take_a_tenth() -> None:
    clock = VirtualClock(START)
    acted: list[datetime] = []
    async with background("poll", every(timedelta(seconds=10), clock, lambda: acted.append(clock.now()))):
        for _ in range(200):
            await clock.advance(1)
    assert 17 <= len(acted) <= 22


@asynchronous
async def test_cleanup_finishes_although_its_caller_is_cancelled() -> None:
    steps: list[str] = []
    may_go_on = asyncio.Event()

    async def cleanup() -> None:
        steps.append("begun")
        await may_go_on.wait()
        steps.append("finished")

    caller = asyncio.create_task(to_the_end(cleanup()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.sleep(0)
    may_go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert steps == ["begun", "finished"]


@asynchronous
async def test_the_first_of_several_to_end_ends_the_others() -> None:
    rung, never = asyncio.Event(), asyncio.Event()
    ended: list[str] = []

    async def waits(event: asyncio.Event, name: str) -> None:
        try:
            await event.wait()
        finally:
            ended.append(name)

    rung.set()
    await first(waits(never, "never rung"), waits(rung, "rung"))
    assert ended == ["rung", "never rung"]


@asynchronous
async def test_a_failure_of_the_first_to_end_reaches_the_caller() -> None:
    async def fails() -> None:
        raise ValueError("broken")

    async def waits() -> None:
        await asyncio.Event().wait()

    with pytest.raises(ValueError, match="broken"):
        await first(fails(), waits())
