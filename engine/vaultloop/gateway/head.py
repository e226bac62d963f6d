"""The head of a request, if there is only one way to read it.

What different readers of HTTP understand differently is refused rather than guessed at: folded headers, bare
line ends, a header twice, a length beside a transfer encoding, a target that is an address, another host.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import h11

from vaultloop.gateway.refusal import Refusal, malformed

LARGEST_HEAD = 32 * 1024  # bytes

_TARGET = re.compile(rb"/[!-~]*")
_AUTHORITY = re.compile(rb"[!-.0-~]+")  # no space, no slash
_METHOD = re.compile(rb"[A-Z]{1,20}")


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a request.

    Attributes:
        target: path and query; host and port for CONNECT.
        headers: by lower-case name; none occurs twice.
    """

    method: str
    target: str
    headers: Mapping[str, str]

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]


def understood(raw: bytes, protocol: h11.Connection, address: str) -> Head:
    """The head, if there is only one way to read it.

    Raises:
        Refusal: there are others, or it is not for this door.
    """
    request, *lines = raw[:-4].split(b"\r\n")
    _check_lines(request, lines)
    protocol.receive_data(raw)
    try:
        event = protocol.next_event()
    except h11.RemoteProtocolError as error:
        raise malformed(f"Malformed HTTP: {error}.") from None
    if not isinstance(event, h11.Request):
        raise malformed("Malformed HTTP.")
    headers = {name.decode("ascii"): value.decode("latin-1") for name, value in event.headers}
    head = Head(event.method.decode("ascii"), event.target.decode("ascii"), headers)
    _check_framing(head, event.http_version)
    _check_host(head, address)
    return head


def _check_lines(request: bytes, lines: list[bytes]) -> None:
    """What h11 would put right or take for granted."""
    if any(sign in line for line in (request, *lines) for sign in (b"\r", b"\n", b"\0")):
        raise malformed("A line does not end as lines of HTTP do.")
    parts = request.split(b" ")
    if len(parts) != 3 or not _METHOD.fullmatch(parts[0]):
        raise malformed("The request line is not METHOD TARGET VERSION.")
    if not (_AUTHORITY if parts[0] == b"CONNECT" else _TARGET).fullmatch(parts[1]):
        raise malformed("The target is not a path.")
    names = set()
    for line in lines:
        name, colon, _ = line.partition(b":")
        if not colon or name != name.strip() or line[:1] in (b" ", b"\t"):
            raise malformed("A header is folded, or has no name.")
        if name.lower() in names:
            raise malformed(f"The header {name.decode('ascii', 'replace')[:40]} is there twice.")
        names.add(name.lower())


def _check_framing(head: Head, version: bytes) -> None:
    encoding, length = head.headers.get("transfer-encoding"), head.headers.get("content-length")
    if encoding is not None and (length is not None or version != b"1.1" or encoding.lower() != "chunked"):
        raise malformed("The end of the body can be understood in more than one way.")
    if length is not None and not re.fullmatch(r"[0-9]{1,15}", length):
        raise malformed("The length is not a number.")
    if head.method == "CONNECT" and (encoding is not None or length not in (None, "0")):
        raise malformed("CONNECT has no body.")
    if head.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refusal(415, "invalid_request_error", "A compressed body is not read.")


def _check_host(head: Head, address: str) -> None:
    host = head.headers.get("host")
    if head.method == "CONNECT":
        target = head.target.lower()
        fits = host is None or host.lower() in (target, target.rpartition(":")[0])
    else:
        fits = host == address
    if not fits:
        raise malformed("The request is for another host.")
