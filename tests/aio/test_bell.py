"""Level, not edge."""

import asyncio

from support.run import asynchronous
from vaultloop.aio.bell import Bell


@asynchronous
async def test_many_rings_before_a_look_are_one_ring() -> None:
    bell = Bell()
    for _ in range(100):
        bell.ring()
    await bell.heard()
    second = asyncio.ensure_future(bell.heard())
    await asyncio.sleep(0)
    assert not second.done()
    bell.ring()
    await second


@asynchronous
async def test_a_ring_during_a_look_causes_another_look() -> None:
    bell = Bell()
    bell.ring()
    await bell.heard()
    bell.ring()
    await bell.heard()
