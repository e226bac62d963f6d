"""The real Claude Code CLI in a cell fetches and searches, through a gateway whose internet is loopback."""

import asyncio
import os
import secrets
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path

import aiohttp
import pytest
import trustme

from support.claude_cli import claude
from support.messages_api import MessagesApi, Says, Use, messages_api
from support.real_agent import MODEL, TASK
from support.run import asynchronous
from vaultloop.aio import rpc
from vaultloop.aio.clock import SystemClock
from vaultloop.aio.supervise import background
from vaultloop.gateway import upstreams
from vaultloop.gateway.egress import Egress, Streams
from vaultloop.gateway.keys import Keys
from vaultloop.gateway.resolver import Address
from vaultloop.gateway.server import serve
from vaultloop.gateway.terms import Terms
from vaultloop.model.cell import Cell
from vaultloop.model.conversation import Trigger
from vaultloop.model.gateway import SOCKET, Bill, Door, Grant
from vaultloop.model.policy import Audience, Policy
from vaultloop.runners.claude.flags import Credential
from vaultloop.runners.claude.runner import ClaudeRunner
from vaultloop.sandbox.launcher import FencedLauncher
from vaultloop.sandbox.probe import probe

HOST = "docs.example.org"
AUTHORITY = trustme.CA()
PAGE = "<html><body><h1>Roses</h1><p>Water them at dusk.</p></body></html>"
POLICY = Policy(
    "garden", Audience.GROUP, can_read=("**",), abilities=("web-fetch",), hosts=(HOST,), model=MODEL
)


@dataclass
class Internet:
    """One host, on loopback, and a gateway that takes it for the internet."""

    folder: Path
    api: MessagesApi
    asked: list[str]
    port: int = 0

    async def answers(self, policy: Policy, use: Use) -> Bill:
        """What a session is charged whose model uses this tool; what it saw is in the API's requests."""
        task = replace(TASK, session=secrets.token_hex(8))
        self.api.follows(Says(uses=[use]), Says("Roses need water at dusk."), Says("Done."))
        async with self._gateway() as peer:
            grant = Grant(task.session, policy, Trigger("message", "m"), (MODEL,))
            door = Door(**await peer.call("open", terms=Terms.of(grant).to_json()))
            async with FencedLauncher(probe()) as launcher:
                runner = ClaudeRunner(launcher, claude(), Credential.API_KEY)
                async with runner.spawn(task, self._cell(policy, door)) as run:
                    async for _ in run.events():
                        pass
                    assert (await run.result()).ok
            return Bill(**await peer.call("close", session=task.session))

    def _cell(self, policy: Policy, door: Door) -> Cell:
        view, home, scratch = (self.folder / name for name in ("view", "home", "tmp"))
        for place in (view, home, scratch):
            place.mkdir(exist_ok=True)
        authority = scratch / "authority.pem"
        AUTHORITY.cert_pem.write_to_path(str(authority))
        own = {"HOME": str(home), "TMPDIR": str(scratch), "NODE_EXTRA_CA_CERTS": str(authority)}
        return Cell(view, home, scratch, {"PATH": os.environ["PATH"], **own}, policy, door)

    @asynccontextmanager
    async def _gateway(self) -> AsyncIterator[rpc.Peer]:
        orphaned = asyncio.Event()

        async def gone() -> None:
            await orphaned.wait()

        serving = serve(
            self.folder,
            Keys(api_key="sk-ant-the-real-one"),
            upstreams.claude(self.api.url),
            tunnel=Egress(resolver=self._resolve, connector=self._reach),
            connector=aiohttp.TCPConnector,
            clock=SystemClock(),
            orphaned=gone(),
        )
        async with self._host(), background("gateway", serving):
            while not (self.folder / SOCKET).exists():
                await asyncio.sleep(0.01)
            async with rpc.connected(self.folder / SOCKET) as peer:
                yield peer

    @asynccontextmanager
    async def _host(self) -> AsyncIterator[None]:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        AUTHORITY.issue_cert(HOST).configure_cert(context)
        server = await asyncio.start_server(self._page, "127.0.0.1", 0, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()

    async def _page(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).decode().split()[1]
        self.asked.append(path)
        elsewhere = "Location: https://evil.example.com/\r\n" if path == "/moved" else ""
        status = "302 Found" if elsewhere else "200 OK"
        head = f"HTTP/1.1 {status}\r\n{elsewhere}content-type: text/html\r\nconnection: close\r\n"
        writer.write(f"{head}content-length: {len(PAGE)}\r\n\r\n{PAGE}".encode())
        await writer.drain()
        writer.close()

    async def _resolve(self, host: str) -> list[Address]:
        return [ip_address("10.0.0.1" if host.startswith("inside.") else "93.184.216.34")]

    async def _reach(self, _: Address) -> Streams:
        return await asyncio.open_connection("127.0.0.1", self.port)


@pytest.fixture
def internet(tmp_path: Path) -> Iterator[Internet]:
    with messages_api() as api:
        yield Internet(tmp_path, api, [])


def fetch(url: str) -> Use:
    return Use("WebFetch", {"url": url, "prompt": "What do roses need?"})


@asynchronous
async def test_a_page_of_a_host_of_the_scope_is_fetched_and_its_reading_is_charged(
    internet: Internet,
) -> None:
    bill = await internet.answers(POLICY, fetch(f"https://{HOST}/roses"))
    assert internet.asked == ["/roses"]
    # The page is read in a request of its own, by the same model, and without tools.
    assert "Water them at dusk." in internet.api.asked(2).said
    assert (internet.api.asked(2).model, internet.api.asked(2).tools) == (MODEL, [])
    assert "Roses need water at dusk." in internet.api.asked(3).said
    assert (bill.requests, bill.refused) == (3, "")


@pytest.mark.parametrize(
    "url",
    ["https://evil.example.com/", "https://93.184.216.34/", f"https://inside.{HOST}/", "https://localhost/"],
)
def test_no_other_host_is_reached(internet: Internet, url: str) -> None:
    @asynchronous
    async def attempt() -> None:
        await internet.answers(replace(POLICY, hosts=(HOST, f"*.{HOST}")), fetch(url))
        assert internet.asked == []
        assert "Water them" not in internet.api.asked(2).everything

    attempt()


@asynchronous
async def test_a_redirect_is_not_followed_to_another_host(
    internet: Internet, caplog: pytest.LogCaptureFixture
) -> None:
    await internet.answers(POLICY, fetch(f"https://{HOST}/moved"))
    assert internet.asked == ["/moved"]
    assert "evil.example.com" in internet.api.asked(2).said
    assert "no tunnel to 'evil" not in caplog.text


@asynchronous
async def test_without_the_ability_or_without_hosts_there_is_nothing_to_fetch_with(
    internet: Internet,
) -> None:
    for policy in (replace(POLICY, abilities=()), replace(POLICY, hosts=())):
        await internet.answers(policy, fetch(f"https://{HOST}/roses"))
        assert "WebFetch" not in internet.api.asked().tools
        assert internet.asked == []


@asynchronous
async def test_a_search_is_a_request_to_the_model_and_needs_the_ability(internet: Internet) -> None:
    search = Use("WebSearch", {"query": "roses"})
    bill = await internet.answers(replace(POLICY, abilities=("web-search",)), search)
    [tool] = internet.api.asked(2).body["tools"]
    assert tool["type"].startswith("web_search_")
    assert "Roses need water at dusk." in internet.api.asked(3).said
    assert bill.requests == 3

    await internet.answers(replace(POLICY, abilities=()), search)
    assert "WebSearch" not in internet.api.asked().tools
    offered = [tool for request in internet.api.requests for tool in request.body.get("tools", [])]
    assert not [tool for tool in offered if str(tool.get("type", "")).startswith("web_search")]
