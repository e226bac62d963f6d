"""JSON-RPC 2.0 over a unix socket."""

import asyncio
import gc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from support.run import asynchronous
from vaultloop.aio import rpc
from vaultloop.aio.rpc import JsonObject, Peer, RpcError, connected, serving


async def echo(_: Peer, params: JsonObject) -> Any:
    return params


async def fail(_: Peer, __: JsonObject) -> Any:
    raise RuntimeError("password=hunter2")


async def refuse(_: Peer, __: JsonObject) -> Any:
    raise RpcError(rpc.REFUSED, "not today")


async def ask_back(peer: Peer, params: JsonObject) -> Any:
    return await peer.call("double", number=params["number"])


async def double(_: Peer, params: JsonObject) -> Any:
    return params["number"] * 2


HANDLERS = {"echo": echo, "fail": fail, "refuse": refuse, "ask_back": ask_back}


@asynchronous
async def test_a_call_returns_what_the_method_returned(tmp_path: Path) -> None:
    async with serving(tmp_path / "s", HANDLERS), connected(tmp_path / "s") as peer:
        assert await peer.call("echo", text="grüße") == {"text": "grüße"}


@asynchronous
async def test_the_side_that_was_called_may_call_back(tmp_path: Path) -> None:
    async with serving(tmp_path / "s", HANDLERS), connected(tmp_path / "s", {"double": double}) as peer:
        assert await peer.call("ask_back", number=21) == 42


@asynchronous
async def test_many_calls_at_once_each_get_their_own_answer(tmp_path: Path) -> None:
    async with serving(tmp_path / "s", HANDLERS), connected(tmp_path / "s") as peer:
        answers = await asyncio.gather(*(peer.call("echo", n=n) for n in range(50)))
    assert answers == [{"n": n} for n in range(50)]


@asynchronous
async def test_a_refusal_carries_its_sentence(tmp_path: Path) -> None:
    async with serving(tmp_path / "s", HANDLERS), connected(tmp_path / "s") as peer:
        with pytest.raises(RpcError, match="not today"):
            await peer.call("refuse")


@asynchronous
async def test_an_unexpected_error_names_its_type_but_not_its_text(tmp_path: Path) -> None:
    async with serving(tmp_path / "s", HANDLERS), connected(tmp_path / "s") as peer:
        with pytest.raises(RpcError, match=r"fail failed: RuntimeError") as caught:
            await peer.call("fail")
    assert "hunter2" not in str(caught.value)


@asynchronous
async def test_an_unknown_method_is_named(tmp_path: Path) -> None:
    async with serving(tmp_path / "s", HANDLERS), connected(tmp_path / "s") as peer:
        with pytest.raises(RpcError, match="no such method: nonsense"):
            await peer.call("nonsense")


@asynchronous
async def test_a_server_that_goes_away_fails_the_calls_in_flight(tmp_path: Path) -> None:
    asked = asyncio.Event()

    async def never(_: Peer, __: JsonObject) -> Any:
        asked.set()
        await asyncio.Event().wait()

    async with connected_later(tmp_path / "s", {"never": never}) as (peer, server):
        call = asyncio.ensure_future(peer.call("never"))
        await asked.wait()
        server.cancel()
        with pytest.raises(ConnectionError):
            await call


class connected_later:  # noqa: N801 - reads like the context managers beside it
    """A connected peer and the task that serves it."""

    def __init__(self, path: Path, handlers: Mapping[str, rpc.Handler]) -> None:
        self._path = path
        self._handlers = handlers

    async def __aenter__(self) -> tuple[Peer, asyncio.Task[None]]:
        up = asyncio.Event()

        async def serve() -> None:
            async with serving(self._path, self._handlers):
                up.set()
                await asyncio.Event().wait()

        self._server = asyncio.create_task(serve())
        await up.wait()
        self._connection = connected(self._path)
        return await self._connection.__aenter__(), self._server

    async def __aexit__(self, *_: object) -> None:
        await self._connection.__aexit__(None, None, None)
        self._server.cancel()
        await asyncio.gather(self._server, return_exceptions=True)


@asynchronous
async def test_waiting_for_the_other_side_ends_when_it_goes_away(tmp_path: Path) -> None:
    began, cancelled = asyncio.Event(), asyncio.Event()

    async def never() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with connected_later(tmp_path / "s", HANDLERS) as (peer, server):
        waiting = asyncio.create_task(peer.while_open(never()))
        await began.wait()
        server.cancel()
        with pytest.raises(ConnectionError):
            await waiting
        assert cancelled.is_set()


@asynchronous
async def test_what_came_before_the_other_side_went_away_counts(tmp_path: Path) -> None:
    async with serving(tmp_path / "s", HANDLERS), connected(tmp_path / "s") as peer:
        assert await peer.while_open(peer.call("echo", n=1)) == {"n": 1}


@pytest.mark.parametrize(
    "line",
    [
        b"GET / HTTP/1.1\r\n",
        b"[" * 100_000,
        b"[]",
        b"7",
        b'{"method": []}',
        b'{"id": {}}',
        b"\xff",
        b'"' + b"\\ud800" + b'"',
    ],
    ids=lambda line: line[:12].decode(errors="replace"),
)
@asynchronous
async def test_a_peer_that_speaks_nonsense_is_dropped_and_others_go_on(tmp_path: Path, line: bytes) -> None:
    async with serving(tmp_path / "s", HANDLERS):
        reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
        writer.write(line + b"\n")
        assert await reader.read() == b""
        writer.close()
        async with connected(tmp_path / "s") as peer:
            assert await peer.call("echo") == {}


@asynchronous
async def test_the_socket_is_closed_to_others_and_may_lie_deep(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    async with serving(deep / "s", HANDLERS), connected(deep / "s") as peer:
        assert (deep / "s").stat().st_mode & 0o777 == 0o600
        assert await peer.call("echo") == {}
    assert not (deep / "s").exists()


@asynchronous
async def test_a_socket_left_by_a_killed_server_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("left over")
    async with serving(tmp_path / "s", HANDLERS), connected(tmp_path / "s") as peer:
        assert await peer.call("echo") == {}


@asynchronous
async def test_a_call_that_could_not_be_sent_to_its_end_leaves_no_unread_error(tmp_path: Path) -> None:
    unread: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unread.append(context["message"]))
    gone = asyncio.Event()

    async def leave(peer: Peer, _: JsonObject) -> None:
        # More than the socket holds: the sending waits, and fails when the other side goes away.
        with pytest.raises(ConnectionError):
            await peer.call("never", text="x" * 10_000_000)
        gone.set()

    async with serving(tmp_path / "s", {"leave": leave}):
        _, writer = await asyncio.open_unix_connection(tmp_path / "s")
        writer.write(b'{"jsonrpc": "2.0", "method": "leave"}\n')
        await writer.drain()
        writer.transport.abort()
        await gone.wait()
    gc.collect()
    assert unread == []
