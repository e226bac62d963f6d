"""Tunnels to hosts outside: what a door does with CONNECT.

A tunnel leads to a host that the scope names, to port 443 and to nothing else. The name is resolved once,
here; each answer must be a public address, and exactly that address is connected to, so that nobody can give
another answer in between. Bytes flow only after a ClientHello that names the same host. A redirect goes to
the session like any other answer, and needs a CONNECT of its own.

What is inside the tunnel is encrypted and not looked at: a host that serves many names may be told another
one there. So whom a scope lists is whom it trusts.
"""

import asyncio
import base64
import binascii
import hmac
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from vaultloop.gateway import client_hello, hosts
from vaultloop.gateway.client_hello import NoClientHello
from vaultloop.gateway.hosts import Unacceptable
from vaultloop.gateway.resolver import Address, Resolve, is_public, resolve
from vaultloop.gateway.terms import Terms
from vaultloop.gateway.told import Told
from vaultloop.model.gateway import USER

log = logging.getLogger(__name__)

# An alert as TLS clients understand it: fatal, unrecognized_name (RFC 8446, 6).
_ALERT = bytes.fromhex("15 03 03 00 02 02 70")

_CHUNK = 64 * 1024

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[Address], Awaitable[Streams]]


@dataclass(frozen=True, slots=True)
class Times:
    """How long what may take (seconds).

    Attributes:
        resolving, connecting: until there is an answer.
        hello: until the session has said for which host its first TLS message is.
        idle: with no byte in either direction.
        total: the longest life of a tunnel; the session that it belongs to usually ends long before.
    """

    resolving: float = 10.0
    connecting: float = 10.0
    hello: float = 10.0
    idle: float = 300.0
    total: float = 3600.0


class Refused(Exception):
    """No tunnel: a status of HTTP, and why."""

    def __init__(self, status: str, why: str) -> None:
        super().__init__(why)
        self.status = status


class Egress:
    """Connects sessions to the hosts that their scopes name."""

    def __init__(
        self, *, resolver: Resolve = resolve, connector: Connect | None = None, times: Times | None = None
    ) -> None:
        """The arguments are for tests, which have no internet; no setting reaches them."""
        self._resolve = resolver
        self._connect = connector or _connect
        self._times = times or Times()
        self._refused = Told()

    async def connect(  # noqa: PLR0917 - as the border says
        self,
        authority: str,
        headers: Mapping[str, str],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        terms: Terms,
        token: str,
    ) -> None:
        """Answer one CONNECT and carry bytes both ways; see `Tunnel`."""
        try:
            _prove(headers, token)
            host = _granted(authority, terms.hosts)
            there = await self._reached(host)
        except Refused as refusal:
            self._note(terms, authority, str(refusal))
            await _answer(writer, refusal)
            return
        async with _closing(there[1]):
            writer.write(b"HTTP/1.1 200 Connection Established\r\n\r\n")
            if hello := await self._greeted(host, reader, writer, terms):
                there[1].write(hello)
                sent, received = await self._carry((reader, writer), there)
                log.info(
                    "session %s: %s was sent %d bytes and sent %d",
                    terms.session,
                    host,
                    len(hello) + sent,
                    received,
                    extra={"session": terms.session},
                )

    async def _reached(self, host: str) -> Streams:
        """A connection to one of the addresses that `host` has now.

        Raises:
            Refused: it has none, one that is not public, or none that answers.
        """
        for address in await self._addresses(host):
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(self._times.connecting):
                    return await self._connect(address)
        raise Refused("502 Bad Gateway", "it cannot be reached")

    async def _addresses(self, host: str) -> Sequence[Address]:
        try:
            async with asyncio.timeout(self._times.resolving):
                found = await self._resolve(host)
        except (OSError, TimeoutError, UnicodeError):
            raise Refused("502 Bad Gateway", "its name cannot be resolved") from None
        if not all(map(is_public, found)):
            # One of several is enough: who answers so is not to be trusted with the others.
            raise Refused("403 Forbidden", "it has an address that is not on the public internet")
        return found

    async def _greeted(
        self, host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, terms: Terms
    ) -> bytes | None:
        """What the session said first, if that is a ClientHello for `host`; else it is told, and None."""
        try:
            async with asyncio.timeout(self._times.hello):
                await writer.drain()
                name, said = await client_hello.read(reader)
            if name == host:
                return said
            why = "its TLS is for another host"
        except TimeoutError:
            why = "it does not say for which host it is"
        except NoClientHello as error:
            why = str(error)
        except ConnectionError:
            return None
        self._note(terms, f"{host}:443", why)
        with suppress(ConnectionError):
            writer.write(_ALERT)
            await writer.drain()
        return None

    def _note(self, terms: Terms, authority: str, why: str) -> None:
        """One line in the log for what was refused, once."""
        shown = authority[:120].encode("ascii", "backslashreplace").decode()
        if self._refused.is_news(terms.session, f"{shown}: {why}"):
            log.warning(
                "session %s of scope %s: no tunnel to %r: %s",
                terms.session,
                terms.scope,
                shown,
                why,
                extra={"session": terms.session},
            )

    async def _carry(self, here: Streams, there: Streams) -> tuple[int, int]:
        """Carry bytes until both sides have ended or a limit is reached; how many went out and came in."""
        flows = (_Flow(here[0], there[1]), _Flow(there[0], here[1]))
        tasks = {asyncio.create_task(flow.run(), name="half of a tunnel") for flow in flows}
        try:
            async with asyncio.timeout(self._times.total):
                await self._until_ended(set(tasks), flows)
        except (TimeoutError, ConnectionError):
            log.debug("a tunnel was cut")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return flows[0].count, flows[1].count

    async def _until_ended(self, tasks: set[asyncio.Task[None]], flows: Sequence["_Flow"]) -> None:
        """Wait for both directions; whatever moves in one keeps the other one alive too.

        Raises:
            TimeoutError: nothing moved for long.
            ConnectionError: one side broke off.
        """
        seen = -1
        while tasks:
            ended, tasks = await asyncio.wait(
                tasks, timeout=self._times.idle, return_when=asyncio.FIRST_COMPLETED
            )
            for task in ended:
                task.result()
            moved = sum(flow.count for flow in flows)
            if not ended and moved == seen:
                raise TimeoutError
            seen = moved


class _Flow:
    """One direction of a tunnel.

    Attributes:
        count: bytes so far.
    """

    def __init__(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        self._source = source
        self._target = target
        self.count = 0

    async def run(self) -> None:
        while chunk := await self._source.read(_CHUNK):
            self.count += len(chunk)
            self._target.write(chunk)
            await self._target.drain()
        if self._target.can_write_eof():
            self._target.write_eof()


def _prove(headers: Mapping[str, str], token: str) -> None:
    """Refuse who does not know what opens this door.

    Raises:
        Refused: no password, or another one.
    """
    scheme, _, encoded = headers.get("proxy-authorization", "").partition(" ")
    try:
        given = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        given = b""
    wanted = f"{USER}:{token}".encode()
    if scheme.lower() != "basic" or not hmac.compare_digest(given, wanted):
        raise Refused("407 Proxy Authentication Required", "this door was not given its token")


def _granted(authority: str, listed: tuple[str, ...]) -> str:
    """The host that is asked for, if the scope names it.

    Raises:
        Refused: it does not, or no host is asked for.
    """
    try:
        host = hosts.asked_for(authority)
    except Unacceptable as error:
        raise Refused("403 Forbidden", str(error)) from None
    if not hosts.covered(host, listed):
        raise Refused("403 Forbidden", "the scope does not name this host in `hosts`")
    return host


async def _answer(writer: asyncio.StreamWriter, refusal: Refused) -> None:
    body = f"No tunnel: {refusal}.\n".encode()
    head = [f"HTTP/1.1 {refusal.status}", "Content-Type: text/plain", f"Content-Length: {len(body)}"]
    if refusal.status.startswith("407"):
        head.append('Proxy-Authenticate: Basic realm="vaultloop"')
    with suppress(ConnectionError):
        writer.write("\r\n".join([*head, "Connection: close", "", ""]).encode() + body)
        await writer.drain()


async def _connect(address: Address) -> Streams:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    return await asyncio.open_connection(str(address), 443, family=family, flags=socket.AI_NUMERICHOST)


@asynccontextmanager
async def _closing(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    """Close at the end, and do not wait for the other side's word on it."""
    try:
        yield
    finally:
        writer.close()
