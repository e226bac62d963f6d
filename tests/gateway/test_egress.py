"""The tunnels of a door, over real sockets and real TLS; resolver and connector stand on loopback."""

import asyncio
import base64
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address

import pytest
import trustme

from support.run import asynchronous
from vaultloop.gateway.egress import Egress, Streams, Times
from vaultloop.gateway.resolver import Address
from vaultloop.gateway.terms import Terms
from vaultloop.gateway.told import MOST_TOLD
from vaultloop.model.policy import Audience

HOST = "api.example.org"
PUBLIC = "93.184.216.34"
TOKEN = "token-of-this-door"
AUTHORITY = trustme.CA()


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@dataclass
class World:
    """A host on loopback behind a door, and what was asked about it.

    Attributes:
        answers: what each name resolves to; any other name is at `PUBLIC`.
        asked: names that were resolved; `reached`: addresses that were connected to.
        heard: what the host was told, after TLS.
    """

    times: Times = field(default_factory=Times)
    hosts: tuple[str, ...] = (HOST,)
    answers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    greets: bytes = b"200 hello"
    asked: list[str] = field(default_factory=list)
    reached: list[str] = field(default_factory=list)
    heard: list[bytes] = field(default_factory=list)
    session: str = "s1"
    egress: Egress = field(init=False)
    door: int = 0
    host: int = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator["World"]:
        self.egress = Egress(resolver=self._resolve, connector=self._reach, times=self.times)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        AUTHORITY.issue_cert(HOST, "*.example.org").configure_cert(context)
        async with _serving(self._answer, context) as self.host, _serving(self._meet) as self.door:
            yield self

    async def connect(self, authority: str = f"{HOST}:443", proof: str | None = None) -> Streams:
        """The connection after a CONNECT was answered with 200."""
        streams, head = await self.asks(authority, proof)
        assert head.startswith("HTTP/1.1 200 "), head
        return streams

    async def asks(self, authority: str, proof: str | None = None) -> tuple[Streams, str]:
        """The connection, and the head of the answer to a CONNECT."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.door)
        writer.write(f"{authority}\n{basic('session', TOKEN) if proof is None else proof}\n".encode())
        return (reader, writer), (await reader.readuntil(b"\r\n\r\n")).decode()

    async def refusal(self, authority: str = f"{HOST}:443", proof: str | None = None) -> str:
        """Status and reason of a CONNECT that has to be refused; nobody was reached."""
        (reader, writer), head = await self.asks(authority, proof)
        body = (await reader.read()).decode()
        writer.close()
        assert self.reached == []
        return f"{head.split()[1]} {body.strip()}"

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """What the face of a door does: read the head of the request, hand the rest on, close."""
        authority = (await reader.readline()).decode().rstrip("\n")
        proof = (await reader.readline()).decode().rstrip("\n")
        headers = {"proxy-authorization": proof} if proof else {}
        terms = Terms(self.session, "finance", Audience.GROUP, ("message", "m"), hosts=self.hosts)
        await self.egress.connect(authority, headers, reader, writer, terms, TOKEN)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while said := await reader.read(65536):
            self.heard.append(said)
            writer.write(self.greets)
            await writer.drain()

    async def _resolve(self, host: str) -> list[Address]:
        self.asked.append(host)
        if "nowhere" in host:
            raise OSError("no such name")
        return [ip_address(address) for address in self.answers.get(host, (PUBLIC,))]

    async def _reach(self, address: Address) -> Streams:
        self.reached.append(str(address))
        return await asyncio.open_connection("127.0.0.1", self.host)


Meet = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def _serving(meet: Meet, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    tasks: set[asyncio.Task[None]] = set()

    async def welcome(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(ConnectionError, asyncio.CancelledError):
            await meet(reader, writer)
        writer.close()

    server = await asyncio.start_server(welcome, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def secured(streams: Streams, name: str | None = HOST) -> Streams:
    """TLS inside of a tunnel, for a host of this name."""
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    if name is None:
        context.check_hostname = False
    reader, writer = streams
    await writer.start_tls(context, server_hostname=name or "127.0.0.1")
    return reader, writer


def hello_for(name: str) -> bytes:
    """A real ClientHello, as OpenSSL writes it."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.check_hostname = False
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


def in_records(hello: bytes, size: int) -> bytes:
    """The same ClientHello in many records."""
    content = hello[5:]
    parts = [content[at : at + size] for at in range(0, len(content), size)]
    return b"".join(b"\x16\x03\x01" + len(part).to_bytes(2) + part for part in parts)


@asynchronous
async def test_bytes_flow_both_ways_to_a_host_that_the_scope_names(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "vaultloop.gateway.egress")
    async with World().open() as world:
        reader, writer = await secured(await world.connect())
        writer.write(b"GET /")
        assert await reader.readexactly(9) == b"200 hello"
        writer.close()
        await writer.wait_closed()
        while not caplog.messages:
            await asyncio.sleep(0)
    assert (world.asked, world.reached, world.heard) == ([HOST], [PUBLIC], [b"GET /"])
    assert f"session s1: {HOST} was sent " in caplog.text


@asynchronous
async def test_a_name_is_resolved_once_and_exactly_its_address_is_reached() -> None:
    async with World(answers={HOST: ("1.1.1.1", "2606:4700::1111")}).open() as world:
        await secured(await world.connect())
    assert (world.asked, world.reached) == ([HOST], ["1.1.1.1"])


@asynchronous
async def test_whoever_does_not_prove_the_token_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    proofs = ["", "Basic", "Basic !", basic("session", "another"), basic("root", TOKEN), f"Bearer {TOKEN}"]
    async with World().open() as world:
        for proof in proofs:
            assert (await world.refusal(proof=proof)).startswith("407 ")
        assert world.asked == []
    assert caplog.messages == [
        f"session s1 of scope finance: no tunnel to '{HOST}:443': this door was not given its token"
    ]
    assert TOKEN not in caplog.text


@asynchronous
async def test_of_what_a_session_is_refused_the_log_tells_each_thing_once_and_not_too_much(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with World().open() as world:
        for n in range(MOST_TOLD * 2):
            for _ in range(2):
                assert (await world.refusal(f"evil{n}.org:443")).startswith("403 ")
        told = list(caplog.messages)
        world.session = "s2"
        await world.refusal("evil0.org:443")
    assert [f"'evil{n}.org:443'" in line for n, line in enumerate(told)] == [True] * MOST_TOLD
    assert caplog.messages[len(told) :] == [
        (
            "session s2 of scope finance: no tunnel to 'evil0.org:443': "
            "the scope does not name this host in `hosts`"
        )
    ]


@pytest.mark.parametrize(
    "authority",
    [
        *("evil.example.com:443", "example.org:443", "api.example.org.evil.com:443", "xapi.example.org:443"),
        *(f"{HOST}:80", f"{HOST}:8443", f"{HOST}:0443", f"{HOST}", f"{HOST}:", ":443", f"{HOST}:443:443"),
        *(f"{HOST}.:443", f"{HOST}..:443", f".{HOST}:443", f"user@{HOST}:443", f"{HOST}/x:443", " :443"),
        *("127.0.0.1:443", "2130706433:443", "0x7f000001:443", "0x7f.1:443", "0177.0.0.1:443", "127.1:443"),
        *("[::1]:443", "[::ffff:127.0.0.1]:443", "::1:443", "[fe80::1%lo]:443", "0:443", "0x:443"),
        *(
            "\uff41pi.example.org:443",
            "api\u3002example.org:443",
            f"{HOST}%00.evil.com:443",
            f"{HOST}:\uff14\uff14\uff13",
        ),
        *(f"-{HOST}:443", f"{'a' * 64}.example.org:443", f"{'a.' * 130}example.org:443"),
    ],
)
@asynchronous
async def test_what_is_no_plain_name_of_a_listed_host_on_443_is_refused(authority: str) -> None:
    async with World(hosts=(HOST, "127.0.0.1", "[::1]", "2130706433")).open() as world:
        assert (await world.refusal(authority)).startswith("403 ")
        assert world.asked == []


@pytest.mark.parametrize(
    ("listed", "authority"),
    [
        (HOST, f"{HOST.upper()}:443"),
        (HOST.upper(), f"{HOST}:443"),
        ("*.example.org", f"{HOST}:443"),
        ("*.example.org", "a.b.example.org:443"),
        ("bücher.example.org", "xn--bcher-kva.example.org:443"),
    ],
)
@asynchronous
async def test_a_list_covers_its_hosts_however_they_are_written(listed: str, authority: str) -> None:
    async with World(hosts=(listed,)).open() as world:
        _, writer = await world.connect(authority)
        writer.close()


@asynchronous
async def test_an_empty_list_and_a_list_of_what_lies_below_grant_nothing_else() -> None:
    for listed in ((), ("*.example.org",), ("*.org.",), ("*",), ("**",), ("*.*",)):
        async with World(hosts=listed).open() as world:
            assert "does not name this host" in await world.refusal("example.org:443")


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),  # noqa: S104 - never bound to
        *("224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "192.88.99.1", "192.0.0.1"),
        *(
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:93.184.216.34",
        ),
        *("::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::", "2001:0:1::1", "2001:db8::1"),
        *("fec0::1", "100::1", "3fff::1", "5f00::1", "fe80::1%1", "2606:4700::1111%1"),
    ],
)
@asynchronous
async def test_a_host_with_an_address_that_is_not_public_is_refused(address: str) -> None:
    for answer in ((address,), (PUBLIC, address)):
        async with World(answers={HOST: answer}).open() as world:
            assert "not on the public internet" in await world.refusal()


@asynchronous
async def test_a_name_that_does_not_resolve_and_a_host_that_does_not_answer_are_502() -> None:
    async with World(hosts=("*.example.org",)).open() as world:
        assert "cannot be resolved" in await world.refusal("nowhere.example.org:443")
    async with World(answers={HOST: ()}).open() as world:
        assert "502 No tunnel: it cannot be reached." in await world.refusal()


@pytest.mark.parametrize(
    ("first", "why"),
    [
        (hello_for("evil.example.com"), "its TLS is for another host"),
        (hello_for("other.example.org"), "its TLS is for another host"),
        (hello_for(f"{HOST}."), "its TLS is for another host"),
        (hello_for("127.0.0.1"), "does not say for which host it is"),
        (b"GET / HTTP/1.1\r\nHost: api.example.org\r\n\r\n", "it is not TLS"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "it is not TLS"),
        (b"\x17" + hello_for(HOST)[1:], "it is not TLS"),
        (b"\x16\x03\x01\x00\x00", "no valid length"),
        (b"\x16\x03\x01\xff\xff", "no valid length"),
        (b"\x16\x03\x01\x00\x04\x02\x00\x00\x00", "does not begin with a ClientHello"),
        (b"\x16\x03\x01\x00\x04\x01\x00\x00\x00", "malformed"),
        (
            b"\x16\x03\x01\x40\x00\x01\xff\xff\xff"
            + b"\x00" * 16380
            + (b"\x16\x03\x01\x40\x00" + b"\x00" * 16384) * 2,
            "too long",
        ),
    ],
)
@asynchronous
async def test_nothing_flows_unless_tls_is_for_the_same_host(
    first: bytes, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with World(hosts=("*.example.org",)).open() as world:
        reader, writer = await world.connect()
        writer.write(first)
        assert await reader.read() in {bytes.fromhex("15030300020270"), b""}
        writer.close()
    assert world.heard == []
    assert why in caplog.text


@asynchronous
async def test_a_client_hello_in_many_records_is_understood() -> None:
    for size in (1, 7, 100):
        async with World().open() as world:
            reader, writer = await world.connect()
            writer.write(in_records(hello_for(HOST), size))
            # A ServerHello, or an alert of the real host: in either case it is the host who answers.
            assert (await reader.readexactly(1))[0] in {21, 22}
            writer.close()
    async with World().open() as world:
        reader, writer = await world.connect()
        writer.write(in_records(hello_for("evil.example.com"), 7))
        assert await reader.read() == bytes.fromhex("15030300020270")
        writer.close()


@asynchronous
async def test_who_says_nothing_or_half_of_it_is_cut_off_in_time() -> None:
    for first in (b"", hello_for(HOST)[:20]):
        async with World(times=Times(hello=0.05)).open() as world:
            reader, writer = await world.connect()
            writer.write(first)
            assert await reader.read() == bytes.fromhex("15030300020270")
            writer.close()
        assert world.heard == []


@pytest.mark.parametrize("times", [Times(idle=0.05), Times(total=0.1)])
@asynchronous
async def test_a_tunnel_ends_when_nothing_moves_and_when_its_time_is_up(times: Times) -> None:
    async with World(times=times).open() as world:
        reader, writer = await secured(await world.connect())
        writer.write(b"GET /")
        assert await reader.readexactly(9) == b"200 hello"
        with suppress(ConnectionError, ssl.SSLError):
            assert await reader.read() == b""
        writer.close()


@asynchronous
async def test_a_slow_resolver_and_a_slow_connection_are_given_up() -> None:
    async def never(_: object) -> Streams:
        await asyncio.Event().wait()
        raise AssertionError

    async def at_once(_: str) -> list[Address]:
        return [ip_address(PUBLIC)]

    terms = Terms("s1", "finance", Audience.GROUP, ("message", "m"), hosts=(HOST,))
    times = Times(resolving=0.02, connecting=0.02)
    slow = (Egress(resolver=never, times=times), Egress(resolver=at_once, connector=never, times=times))  # type: ignore[arg-type]
    for egress in slow:

        async def meet(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter, egress: Egress = egress
        ) -> None:
            proof = {"proxy-authorization": basic("session", TOKEN)}
            await egress.connect(f"{HOST}:443", proof, reader, writer, terms, TOKEN)

        async with _serving(meet) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert (await reader.read()).startswith(b"HTTP/1.1 502 ")
            writer.close()


@asynchronous
async def test_a_redirect_to_another_host_needs_a_tunnel_of_its_own() -> None:
    async with World(
        greets=b"HTTP/1.1 302 Found\r\nLocation: https://evil.example.com/\r\n\r\n"
    ).open() as world:
        reader, writer = await secured(await world.connect())
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert b"evil.example.com" in await reader.readuntil(b"\r\n\r\n")
        writer.close()
        world.reached.clear()
        assert (await world.refusal("evil.example.com:443")).startswith("403 ")
