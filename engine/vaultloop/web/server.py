"""One HTTP server on one address, bounded in all that a stranger can make it hold."""

import asyncio
import errno
import logging
import resource
import signal
import socket
import sys
import time
from pathlib import Path
from typing import NoReturn

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from vaultloop.model.errors import VaultloopError
from vaultloop.web.address import Address
from vaultloop.web.health import Pulse
from vaultloop.web.site import site

log = logging.getLogger(__name__)

# Open connections, and bytes of one request's head. Beyond that: 503, and 400. There is room for what a forge
# sends at once after many pushes, and for those who ask after health meanwhile.
MOST_CONNECTIONS = 1280
LARGEST_HEAD = 16 * 1024

# Bytes that are taken from a connection at once: what waits in memory for one that nobody reads stays below
# this and the server's own 64 KiB.
READ_SIZE = 16 * 1024

# Descriptors beside the connections.
_OTHER_FILES = 64

# How often (seconds) an address is tried again that is taken until another engine ends.
RETRY = 1.0

# How long a connection may last in all (seconds): nothing here takes that long, and one that dribbles a
# request in, or asks for ever, makes room for others.
LONGEST_CONNECTION = 10.0
IDLE_CONNECTION = 5


class BoundedConnection(H11Protocol):
    """One connection of a visitor, with an end."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        transport.max_size = READ_SIZE  # type: ignore[attr-defined]  # of asyncio's own transports
        super().connection_made(transport)
        self._end = self.loop.call_later(LONGEST_CONNECTION, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end.cancel()
        super().connection_lost(exc)


def serve(address: Address, engine: Path, secret: str | None = None, *, waits: bool = False) -> None:
    """Answer on `address` until INT or TERM; `engine` is the engine's socket.

    Args:
        secret: what webhooks are signed with; without it they are not taken.
        waits: whether the address may be taken for a while, by the engine that acts until now.

    Raises:
        VaultloopError: the address cannot be listened on.
    """
    listener = _awaited(address) if waits else _listener(address)
    _allow_files(MOST_CONNECTIONS + _OTHER_FILES)
    # Once all is closed the server sends itself the signal that ended it: to be told to end is no failure.
    signal.signal(signal.SIGTERM, _end)
    with listener:
        host, port = listener.getsockname()[:2]
        log.info("listens on %s", Address(host, port))
        asyncio.run(server(engine, secret).serve([listener]))


def _end(*_: object) -> NoReturn:
    sys.exit(0)


def _allow_files(wanted: int) -> None:
    """Let this process open so many descriptors, as far as it may itself say so."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def server(engine: Path, secret: str | None = None) -> uvicorn.Server:
    """A server that is not started yet; it gets its listening socket from `serve`."""
    config = uvicorn.Config(
        site(Pulse(engine), engine, secret),
        http=BoundedConnection,
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MOST_CONNECTIONS,
        h11_max_incomplete_event_size=LARGEST_HEAD,
        timeout_keep_alive=IDLE_CONNECTION,
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)


def _awaited(address: Address) -> socket.socket:
    """As `_listener`, once nobody else listens there."""
    told = False
    while True:
        try:
            return _listener(address)
        except VaultloopError as error:
            if not isinstance(error.__cause__, OSError) or error.__cause__.errno != errno.EADDRINUSE:
                raise
            if not told:
                log.info("%s is taken; it is tried again every second", address)
            told = True
            time.sleep(RETRY)


def _listener(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server((address.host, address.port), family=family)
    except OSError as error:
        why = str(error.strerror).partition(" (")[0]  # the rest repeats the address
        raise VaultloopError(
            f"{address} cannot be listened on ({why}). "
            "Name an address of this machine and a free port: VAULTLOOP_WEB=127.0.0.1:8080."
        ) from error
