"""A gateway in this process, over real sockets, whose upstream is a scripted Messages API."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp

from vaultloop.aio import rpc
from vaultloop.aio.clock import VirtualClock
from vaultloop.aio.process import running
from vaultloop.aio.rpc import Peer
from vaultloop.gateway import face, upstreams
from vaultloop.gateway.keys import Keys
from vaultloop.gateway.server import serve
from vaultloop.gateway.terms import Terms
from vaultloop.model.gateway import SOCKET, Bill, Door
from vaultloop.model.policy import Audience

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
REAL_KEY = "sk-ant-the-real-one"
MODEL = "claude-opus-5-5"
BODY: dict[str, Any] = {
    "model": MODEL,
    "max_tokens": 100,
    "stream": True,
    "messages": [{"role": "user", "content": "Hello."}],
}


def terms(session: str = "s1", **more: Any) -> Terms:
    """The terms of a session that may ask for the model."""
    given = {"scope": "finance", "audience": Audience.OWNER, "trigger": ("message", "console"), **more}
    return Terms(session, **{"models": (MODEL,), **given})


class NoTunnel:
    """For tests in which nobody asks for a tunnel."""

    async def connect(  # noqa: PLR0917 - as it is called
        self,
        authority: str,
        headers: Mapping[str, str],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        terms: Terms,
        token: str,
    ) -> None:
        writer.write(f"HTTP/1.1 403 {authority}\r\ncontent-length: 0\r\n\r\n".encode())


@dataclass(frozen=True)
class Answer:
    """What a session got."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def error(self) -> tuple[str, str]:
        """The vendor's kind of error, and its message."""
        error = json.loads(self.body)["error"]
        return error["type"], error["message"]


@dataclass
class Gateway:
    """A gateway that runs."""

    state: Path
    peer: Peer
    http: aiohttp.ClientSession
    clock: VirtualClock
    orphaned: asyncio.Event

    async def open(self, terms: Terms) -> Door:
        return Door(**await self.peer.call("open", terms=terms.to_json()))

    async def bill(self, session: str = "s1") -> Bill:
        return Bill(**await self.peer.call("bill", session=session))

    async def close(self, session: str = "s1") -> Bill:
        return Bill(**await self.peer.call("close", session=session))

    async def ask(
        self,
        door: Door,
        path: str = "/v1/messages?beta=true",
        *,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> Answer:
        """What the session behind `door` gets for a request with these keys in its body."""
        body = {name: value for name, value in {**BODY, **more}.items() if value is not None}
        given = {"x-api-key": door.token} if headers is None else headers
        url = f"http://{door.host}:{door.port}{path}"
        async with self.http.post(url, json=body, headers=given) as response:
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status, await response.read(), headers)

    async def raw(self, door: Door, data: bytes) -> bytes:
        """What comes back for these very bytes."""
        reader, writer = await asyncio.open_connection(door.host, door.port)
        writer.write(data)
        try:
            return await reader.read()
        finally:
            writer.close()


@asynccontextmanager
async def knocked(state: Path) -> AsyncIterator[Peer]:
    """A connection to the gateway on a state directory, which may be starting."""
    async with AsyncExitStack() as stack:
        while True:
            with suppress(OSError):
                peer = await stack.enter_async_context(rpc.connected(state / SOCKET))
                break
            await asyncio.sleep(0.005)
        yield peer


@asynccontextmanager
async def gateway_at(
    state: Path,
    upstream: str,
    *,
    keys: Keys = Keys(api_key=REAL_KEY),  # noqa: B008 - a frozen value
    times: face.Times = face.PATIENCE,
    clock: VirtualClock | None = None,
) -> AsyncIterator[Gateway]:
    """A gateway on a state directory, asked through its socket."""
    state.mkdir(exist_ok=True)
    clock = clock or VirtualClock(NOON)
    orphaned = asyncio.Event()

    async def gone() -> None:
        await orphaned.wait()

    serving = asyncio.create_task(
        serve(
            state,
            keys,
            upstreams.claude(upstream),
            tunnel=NoTunnel(),
            connector=aiohttp.TCPConnector,
            clock=clock,
            orphaned=gone(),
            times=times,
        ),
        name="gateway",
    )
    try:
        async with knocked(state) as peer, aiohttp.ClientSession() as http:
            yield Gateway(state, peer, http, clock, orphaned)
    finally:
        orphaned.set()
        await serving


@asynccontextmanager
async def process_on(state: Path, upstream: str) -> AsyncIterator[tuple[int, Gateway]]:
    """A gateway in a process of its own, as the engine starts it: its pid, and it."""
    command = [sys.executable, "-m", "vaultloop", "gateway", "--state", str(state)]
    environment = {**os.environ, "PYTHONPATH": "engine"}
    async with running(command, cwd=Path.cwd(), environment=environment) as process:
        await process.write(Keys(api_key=REAL_KEY, base_url=upstream).to_line())
        async with knocked(state) as peer, aiohttp.ClientSession() as http:
            yield process.pid, Gateway(state, peer, http, VirtualClock(NOON), asyncio.Event())
