"""What a session meets at its door: HTTP/1.1, one request a connection, read strictly.

One request a connection leaves nothing over that could be taken for a second one.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import h11

from vaultloop.gateway.head import LARGEST_HEAD, Head, understood
from vaultloop.gateway.refusal import Refusal, malformed

# How long (seconds) a head and a body may take to come, and a session to take what it is sent.
HEAD_PATIENCE = 10.0
BODY_PATIENCE = 60.0
TAKING_PATIENCE = 60.0

# How long (seconds) a connection is read on after its answer: to close it on unread bytes would throw away
# the answer too.
FAREWELL = 2.0

_CHUNK = 64 * 1024

# In how many pieces a body may come: so many, and one more for each so many bytes. A program writes kilobytes
# at a time; a byte at a time costs us as much for each.
_MOST_PIECES = 256
_SMALL_PIECE = 512

# After so many pieces others have their turn.
_PIECES_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Times:
    """How long what may take at a door (seconds)."""

    head: float = HEAD_PATIENCE
    body: float = BODY_PATIENCE
    taking: float = TAKING_PATIENCE
    farewell: float = FAREWELL


PATIENCE = Times()


class Exchange:
    """One request and its answer."""

    def __init__(
        self,
        head: Head,
        protocol: h11.Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        times: Times,
    ) -> None:
        self.head = head
        self._protocol = protocol
        self._reader = reader
        self._writer = writer
        self._times = times
        self._lost = False
        self._begun = False

    @property
    def gone(self) -> bool:
        """Whether the session does not listen any more."""
        return self._lost or self._writer.is_closing() or self._reader.at_eof()

    @property
    def begun(self) -> bool:
        """Whether an answer was begun: then nothing else can be answered."""
        return self._begun

    async def body(self, most: int) -> bytes:
        """The whole body of the request, of at most `most` bytes.

        Raises:
            Refusal: it is too large, too slow, in too small pieces or malformed.
            ConnectionError: it never came to its end.
        """
        if int(self.head.headers.get("content-length", "0")) > most:
            raise _too_large(most)
        try:
            async with asyncio.timeout(self._times.body):
                return await self._read_body(most)
        except TimeoutError:
            raise Refusal(408, "invalid_request_error", "The body did not come in time.") from None
        except h11.RemoteProtocolError as error:
            raise malformed(f"The body is malformed: {error}.") from None

    async def _read_body(self, most: int) -> bytes:
        if self._protocol.they_are_waiting_for_100_continue:
            await self._write(self._protocol.send(h11.InformationalResponse(status_code=100, headers=[])))
        body, pieces = bytearray(), 0
        while True:
            event = self._protocol.next_event()
            if event is h11.NEED_DATA:
                await self._receive()
            elif isinstance(event, h11.Data):
                body += event.data
                pieces += 1
                _check_size(len(body), pieces, most)
                if pieces % _PIECES_AT_ONCE == 0:
                    await asyncio.sleep(0)
            else:
                return bytes(body)

    async def _receive(self) -> None:
        data = await self._reader.read(_CHUNK)
        if not data:
            raise ConnectionResetError("the session left in the middle of a request")
        self._protocol.receive_data(data)

    async def begin(self, status: int, headers: Mapping[str, str], *, length: int | None = None) -> None:
        """Begin the answer; nothing is raised if the session is gone."""
        self._begun = True
        all_headers = {**headers, "connection": "close"}
        if length is not None:
            all_headers["content-length"] = str(length)
        await self._write(
            self._protocol.send(h11.Response(status_code=status, headers=list(all_headers.items())))
        )

    async def send(self, data: bytes) -> None:
        """Pass on a piece of the answer; nothing is raised if the session is gone."""
        await self._write(self._protocol.send(h11.Data(data=data)))

    async def end(self) -> None:
        """The answer is complete."""
        await self._write(self._protocol.send(h11.EndOfMessage()))

    async def refuse(self, refusal: Refusal) -> None:
        """Answer with an error, if nothing else was answered yet."""
        if self._begun:
            self.break_off()
            return
        body = refusal.body
        await self.begin(refusal.status, {"content-type": "application/json"}, length=len(body))
        if self.head.method != "HEAD":
            await self.send(body)
        await self.end()

    def break_off(self) -> None:
        """Let the session see that the answer is not complete."""
        self._lost = True
        self._writer.transport.abort()

    async def _write(self, data: bytes | None) -> None:
        if not data or self._lost or self._writer.is_closing():
            return
        try:
            self._writer.write(data)
            async with asyncio.timeout(self._times.taking):
                await self._writer.drain()
        except (OSError, TimeoutError):
            # Gone, or as good as gone: it takes nothing any more.
            self.break_off()


def _check_size(size: int, pieces: int, most: int) -> None:
    if size > most:
        raise _too_large(most)
    if pieces > _MOST_PIECES + size // _SMALL_PIECE:
        raise malformed("The body comes in too many small pieces.")


def _too_large(most: int) -> Refusal:
    return Refusal(413, "request_too_large", f"The body is longer than {most} bytes.")


Answering = Callable[[Exchange], Awaitable[None]]
Tunnelling = Callable[[Head, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def meet(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    *,
    address: str,
    answer: Answering,
    tunnel: Tunnelling,
    times: Times = PATIENCE,
) -> None:
    """Serve one connection: read one request, have it answered, close.

    Args:
        address: host and port of the door; requests are for this host and no other.
        answer: what a request gets; what it raises as Refusal is answered.
        tunnel: what CONNECT gets.
    """
    try:
        raw = await _read_head(reader, times)
        protocol = h11.Connection(h11.SERVER, max_incomplete_event_size=LARGEST_HEAD)
        head = understood(raw, protocol, address)
    except Refusal as refusal:
        await _refuse_unread(writer, refusal, times)
        await _farewell(reader, writer, times)
        return
    except (OSError, asyncio.IncompleteReadError):
        return
    if head.method == "CONNECT":
        await tunnel(head, reader, writer)
        return
    exchange = Exchange(head, protocol, reader, writer, times)
    try:
        await answer(exchange)
    except Refusal as refusal:
        await exchange.refuse(refusal)
    except ConnectionError:
        return
    await _farewell(reader, writer, times)


async def _read_head(reader: asyncio.StreamReader, times: Times) -> bytes:
    """The head of a request, with the empty line that ends it.

    Raises:
        Refusal: it is too long, or does not come.
    """
    try:
        async with asyncio.timeout(times.head):
            return await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        message = f"The head is longer than {LARGEST_HEAD} bytes."
        raise Refusal(431, "invalid_request_error", message) from None
    except TimeoutError:
        raise Refusal(408, "invalid_request_error", "The head did not come in time.") from None


async def _refuse_unread(writer: asyncio.StreamWriter, refusal: Refusal, times: Times) -> None:
    """Answer a request that was not understood."""
    body = refusal.body
    head = (
        f"HTTP/1.1 {refusal.status} Refused\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    with suppress(OSError, TimeoutError):
        writer.write(head.encode() + body)
        async with asyncio.timeout(times.taking):
            await writer.drain()


async def _farewell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, times: Times) -> None:
    """Close our side, and read on for a moment what is still coming."""
    with suppress(OSError, TimeoutError, RuntimeError):
        if writer.can_write_eof() and not writer.is_closing():
            writer.write_eof()
        async with asyncio.timeout(times.farewell):
            while await reader.read(_CHUNK):
                pass


@asynccontextmanager
async def listening(
    meet_one: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], *, most: int
) -> AsyncIterator[int]:
    """Listen on a port of loopback that nobody else has; the port, for as long as the block lasts.

    Leaving closes it, and ends the connections that are left.

    Args:
        most: how many connections may be open at once; more are closed unread.
    """
    connections: set[asyncio.Task[None]] = set()

    async def welcome(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(connections) >= most:
            writer.transport.abort()
            return
        connections.add(task)
        try:
            await meet_one(reader, writer)
        except asyncio.CancelledError:
            # The door closes; nobody waits for this task but the block below.
            writer.transport.abort()
        finally:
            connections.discard(task)
            writer.close()

    server = await asyncio.start_server(welcome, "127.0.0.1", 0, limit=LARGEST_HEAD)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
