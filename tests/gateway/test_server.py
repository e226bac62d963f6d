"""The gateway's body: its doors, its end, and what is left of it when it is killed."""

import asyncio
import os
import signal
import threading
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

from support.gateway_at import BODY, REAL_KEY, gateway_at, process_on, terms
from support.messages_api import Dawdles, Says, messages_api
from support.run import asynchronous
from vaultloop.aio.rpc import RpcError
from vaultloop.aio.supervise import background
from vaultloop.gateway.account import Account
from vaultloop.model.gateway import SOCKET
from vaultloop.state.ledger import FILE_NAME, NANO, Entry, Ledger, Usage
from vaultloop.state.period import Period
from vaultloop.state.writer import name_of_process


@asynchronous
async def test_a_door_is_opened_once_however_often_it_is_asked_for(tmp_path: Path) -> None:
    with messages_api() as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            one, again = await asyncio.gather(gateway.open(terms()), gateway.open(terms()))
            other = await gateway.open(terms("s2"))
            with pytest.raises(RpcError, match="has a door already, under other terms"):
                await gateway.open(terms(abilities=("web-search",)))
    assert one == again
    assert len({one.port, other.port}) == 2
    assert len(one.token) >= 43
    assert one.token not in repr(one)


@asynchronous
async def test_nobody_gets_in_at_a_door_that_is_closed(tmp_path: Path) -> None:
    with messages_api() as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            door = await gateway.open(terms())
            _, writer = await asyncio.open_connection(door.host, door.port)
            await gateway.close()
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(door.host, door.port)
            new = await gateway.open(terms())
            stale = await gateway.ask(new, headers={"x-api-key": door.token})
            writer.close()
    assert stale.status == 401


@asynchronous
async def test_a_door_may_be_closed_twice_for_the_same_bill(tmp_path: Path) -> None:
    with messages_api() as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            await gateway.ask(await gateway.open(terms()))
            bills = [await gateway.bill(), await gateway.close(), await gateway.close(), await gateway.bill()]
            with pytest.raises(RpcError, match="No door was opened for session s9"):
                await gateway.close("s9")
    assert [bill.requests for bill in bills] == [1, 1, 1, 1]


@asynchronous
async def test_a_bill_waits_for_what_is_under_way_and_not_for_ever() -> None:
    loop, never = asyncio.get_running_loop(), asyncio.Event()
    account = Account(terms(), "token")
    await account.settled(0.1)
    begun = loop.time()
    async with background("a stream", _for(never)) as stream:
        account.under_way.add(stream)
        await account.settled(0.1)
        await account.settled(60.0)
    assert 0.1 <= loop.time() - begun < 5


@asynchronous
async def test_doors_that_were_closed_leave_nothing_open(tmp_path: Path) -> None:
    with messages_api() as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            await gateway.open(terms("s0"))
            before = len(list(Path("/proc/self/fd").iterdir()))
            for n in range(1, 100):
                door = await gateway.open(terms(f"s{n}"))
                _, writer = await asyncio.open_connection(door.host, door.port)
                await gateway.close(f"s{n}")
                writer.close()
                await writer.wait_closed()
            assert len(list(Path("/proc/self/fd").iterdir())) <= before + 2


@asynchronous
async def test_terms_that_are_none_are_refused_in_words(tmp_path: Path) -> None:
    with messages_api() as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            with pytest.raises(RpcError, match="Europe/Atlantis"):
                await gateway.open(terms(timezone="Europe/Atlantis"))
            with pytest.raises(RpcError, match="no terms of a session"):
                await gateway.peer.call("open", terms={"session": "s1"})
            with pytest.raises(RpcError, match="no terms of a session"):
                await gateway.peer.call("open")


@asynchronous
async def test_once_the_engine_is_gone_streams_are_read_to_their_end_and_nobody_gets_in(
    tmp_path: Path,
) -> None:
    go = threading.Event()
    with messages_api(Dawdles(Says("long", output_tokens=77), go)) as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            door = await gateway.open(terms())
            asking = asyncio.create_task(gateway.ask(door))
            await asyncio.to_thread(api.asked)
            gateway.orphaned.set()
            with pytest.raises(aiohttp.ClientError):
                await asking
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(door.host, door.port)
            go.set()
    with Ledger(tmp_path / FILE_NAME) as ledger:
        bill = ledger.bill("s1")
    assert (bill.usage["output_tokens"], bill.estimated) == (77, False)
    assert not (tmp_path / SOCKET).exists()


@asynchronous
async def test_what_a_killed_gateway_had_under_way_becomes_an_estimate(tmp_path: Path) -> None:
    go = threading.Event()
    story = "A long story. " * 20
    with messages_api(Dawdles(Says(story, input_tokens=500), go)) as api:
        async with process_on(tmp_path, api.url) as (pid, gateway):
            door = await gateway.open(terms(run=10**9))
            url = f"http://{door.host}:{door.port}/v1/messages"
            async with gateway.http.post(url, json=BODY, headers={"x-api-key": door.token}) as response:
                begun = await response.content.readuntil(b"content_block_delta")
                assert begun
                os.kill(pid, signal.SIGKILL)
        go.set()
        with Ledger(tmp_path / FILE_NAME, read_only=True) as ledger:
            # Budgets count it before another gateway has closed it.
            assert len(ledger.gateways()) == 1
            spent = ledger.spent(Period.DAY, datetime.now(UTC), "UTC")
            assert 0 < spent == round(ledger.bill("s1").usd * NANO)
        async with gateway_at(tmp_path, api.url) as gateway:
            with Ledger(tmp_path / FILE_NAME, read_only=True) as ledger:
                bill = ledger.bill("s1")
                assert ledger.gateways() == []
    assert bill.estimated
    assert bill.usage["input_tokens"] == 500
    assert bill.usage["output_tokens"] >= len(story) / 4


@asynchronous
async def test_a_gateway_that_is_told_to_end_at_once_closes_its_rows(tmp_path: Path) -> None:
    go = threading.Event()
    with messages_api(Dawdles(Says("A long story."), go)) as api:
        async with process_on(tmp_path, api.url) as (pid, gateway):
            asking = asyncio.create_task(gateway.ask(await gateway.open(terms())))
            await asyncio.to_thread(api.asked)
            os.kill(pid, signal.SIGTERM)
            with pytest.raises(aiohttp.ClientError):
                await asking
            while (tmp_path / SOCKET).exists():
                await asyncio.sleep(0.01)
        go.set()
    with Ledger(tmp_path / FILE_NAME) as ledger:
        assert ledger.gateways() == []
        assert ledger.bill("s1").estimated


@asynchronous
async def test_rows_of_a_gateway_that_still_reads_its_last_streams_are_left_to_it(tmp_path: Path) -> None:
    alive, dead = name_of_process(os.getppid()), f"{os.getppid()}/gone/of-another-boot"
    with Ledger(tmp_path / FILE_NAME) as ledger:
        for gateway in (alive, dead):
            entry = Entry("s1", "finance", ("cron", "digest"), "claude-opus-5-5", datetime.now(UTC))
            ledger.begin(entry, Usage(), 0, gateway=gateway)
        with messages_api() as api:
            async with gateway_at(tmp_path, api.url):
                assert ledger.gateways() == [alive]


@asynchronous
async def test_the_real_key_is_in_no_file_that_the_gateway_leaves(tmp_path: Path) -> None:
    with messages_api() as api:
        async with gateway_at(tmp_path, api.url) as gateway:
            await gateway.ask(await gateway.open(terms()))
            await gateway.close()
    for path in tmp_path.iterdir():
        assert path.is_socket() or REAL_KEY.encode() not in path.read_bytes()


async def _for(event: asyncio.Event) -> None:
    await event.wait()
