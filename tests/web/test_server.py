"""One HTTP server on one address, bounded in all that a stranger can make it hold."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from support.run import asynchronous
from support.running import until
from vaultloop.aio import rpc
from vaultloop.aio.supervise import background
from vaultloop.model.errors import VaultloopError
from vaultloop.web import server
from vaultloop.web.address import Address

Answer = tuple[int, dict[str, str], bytes]


async def healthy(_: rpc.Peer, __: rpc.JsonObject) -> Any:
    return {"ready": True, "revision": "0a1b", "applied": "0a1b", "push": "local"}


@asynccontextmanager
async def site(folder: Path) -> AsyncIterator[int]:
    """A server in front of an engine that is well; its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    web = server.server(folder / "engine.sock")
    async with (
        rpc.serving(folder / "engine.sock", {"health": healthy}),
        background("web", web.serve([listener])) as serving,
    ):
        await until(lambda: web.started)
        yield listener.getsockname()[1]
        web.should_exit = True
        await serving


async def request(port: int, head: bytes) -> Answer:
    """What the server says to a request that ends the connection: status, headers, body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head)
    said = await reader.read()
    writer.close()
    top, _, body = said.partition(b"\r\n\r\n")
    first, *lines = top.decode().split("\r\n")
    return int(first.split()[1]), dict(line.lower().split(": ", 1) for line in lines), body


def asking(method: str, path: str = "/healthz", headers: str = "") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n".encode()


@asynchronous
async def test_health_is_answered_to_get_and_head_alone(tmp_path: Path) -> None:
    async with site(tmp_path) as port:
        status, headers, body = await request(port, asking("GET"))
        assert (status, headers["content-type"], headers["cache-control"]) == (
            200,
            "application/json",
            "no-store",
        )
        expected = {"status": "ok", "revision": "0a1b", "applied": "0a1b", "push": "local"}
        assert json.loads(body) == expected
        assert "server" not in headers
        assert (await request(port, asking("HEAD")))[::2] == (200, b"")
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
            assert (await request(port, asking(method, headers="Content-Length: 0\r\n")))[0] == 405


@pytest.mark.parametrize(
    "path", ["/", "/healthz/", "/healthz/../etc/passwd", "//evil.example/", "/engine.sock"]
)
@asynchronous
async def test_nothing_else_is_there(tmp_path: Path, path: str) -> None:
    async with site(tmp_path) as port:
        status, headers, body = await request(port, asking("GET", path))
        assert (status, body) == (404, b"Not Found")
        assert "location" not in headers


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(asking("GET", headers=f"X: {'x' * 1_000_000}\r\n"), id="a header of 1 MB"),
        pytest.param(asking("GET", "/" + "x" * 1_000_000), id="an address of 1 MB"),
        pytest.param(asking("GET", headers="X: x\r\n" * 200_000), id="200,000 headers"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 100 + b"\r\n\r\n", id="TLS"),
        pytest.param(b"GET /healthz HTTP/1.1\r\nContent-Length: -5\r\n\r\n", id="a length below nothing"),
    ],
)
@asynchronous
async def test_a_monstrous_request_is_refused_and_the_next_is_answered(tmp_path: Path, head: bytes) -> None:
    async with site(tmp_path) as port:
        try:
            status, _, _ = await request(port, head)
        except ConnectionError:
            status = 400  # it stopped listening before the request had ended
        assert status == 400
        assert (await request(port, asking("GET")))[0] == 200


@asynchronous
async def test_connections_that_dribble_are_ended_and_make_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "LONGEST_CONNECTION", 1.0)
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 20)
    async with site(tmp_path) as port:
        slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
        for _, writer in slow:
            writer.write(b"GET /healthz HTTP/1.1\r\nX-Slow: ")
        assert (await request(port, asking("GET")))[0] == 503
        for reader, writer in slow:
            assert await reader.read() == b""
            writer.close()
        assert (await request(port, asking("GET")))[0] == 200


def test_an_address_in_use_is_refused_with_the_cure(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            VaultloopError, match=rf"127\.0\.0\.1:{port} cannot be listened on \(Address already in use\)"
        ):
            server.serve(Address("127.0.0.1", port), tmp_path / "engine.sock")
