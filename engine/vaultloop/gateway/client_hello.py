"""The first thing that a TLS client says: read as far as its name of the host, and not a byte further.

Of a ClientHello (RFC 8446, 4.1.2) only the server name (RFC 6066, 3) is looked at. Where the client encrypts
its ClientHello (ECH), the outer one counts: it is the one that is routed by.
"""

import asyncio

# A ClientHello with keys that withstand quantum computers has 2 KB; no client needs more than this (bytes).
LONGEST = 32 * 1024

_HANDSHAKE = 22
_CLIENT_HELLO = 1
_SERVER_NAME = 0
_HOST_NAME = 0
_LONGEST_RECORD = 2**14


class NoClientHello(Exception):
    """What came first is no ClientHello, or it does not say which host it is for; the text says what."""


async def read(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    """The host that a ClientHello names, in lower case, and all bytes that were read for it.

    Raises:
        NoClientHello: it is something else, too long, or ends early.
    """
    said, hello = bytearray(), bytearray()
    while True:
        try:
            hello += await _record(reader, said)
        except asyncio.IncompleteReadError:
            raise NoClientHello("it ended before it said for which host it is") from None
        if hello[0] != _CLIENT_HELLO:
            raise NoClientHello("it does not begin with a ClientHello")
        if len(hello) >= 4 and len(hello) >= (whole := 4 + int.from_bytes(hello[1:4])):
            break
        if len(said) > LONGEST:
            raise NoClientHello("its ClientHello is too long")
    if len(hello) > whole:
        raise NoClientHello("it says more than a ClientHello at once")
    return server_name(bytes(hello[4:])), bytes(said)


async def _record(reader: asyncio.StreamReader, said: bytearray) -> bytes:
    """The content of the next record; its bytes are added to `said`."""
    head = await reader.readexactly(5)
    length = int.from_bytes(head[3:])
    if head[0] != _HANDSHAKE or head[1] != 3:
        raise NoClientHello("it is not TLS")
    if not 0 < length <= _LONGEST_RECORD:
        raise NoClientHello("its first record has no valid length")
    content = await reader.readexactly(length)
    said += head + content
    return content


def server_name(hello: bytes) -> str:
    """The host that the body of a ClientHello names, in lower case.

    Raises:
        NoClientHello: it names none, or more than one, or is malformed.
    """
    names = [content for kind, content in _extensions(hello) if kind == _SERVER_NAME]
    if not names:
        raise NoClientHello("it does not say for which host it is (SNI)")
    if len(names) > 1:
        raise NoClientHello("it says twice for which host it is (SNI)")
    listed = _Bytes(names[0])
    entry = _Bytes(listed.vector(2))
    kind, name = entry.number(1), entry.vector(2)
    if listed.left or entry.left or kind != _HOST_NAME or not name.isascii():
        raise NoClientHello("its name of a host (SNI) is malformed")
    return name.decode("ascii").lower()


def _extensions(hello: bytes) -> list[tuple[int, bytes]]:
    body = _Bytes(hello)
    body.take(2 + 32)  # version and random
    for size in (1, 2, 1):  # session id, cipher suites, compression methods
        body.vector(size)
    if not body.left:
        return []
    block = _Bytes(body.vector(2))
    if body.left:
        raise NoClientHello("its ClientHello is malformed")
    found = []
    while block.left:
        found.append((block.number(2), block.vector(2)))
    return found


class _Bytes:
    """Bytes that are read from their beginning."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._content) - self._at

    def take(self, count: int) -> bytes:
        if count > self.left:
            raise NoClientHello("its ClientHello is malformed")
        self._at += count
        return self._content[self._at - count : self._at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size))

    def vector(self, size: int) -> bytes:
        """Bytes behind their length, which is a number of `size` bytes."""
        return self.take(self.number(size))
