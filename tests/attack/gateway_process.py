"""The gateway process of the grounds: the real one, with a name server and an internet on this machine.

    python -m attack.gateway_process STATE PORT MARK

PORT is of the one server of that internet; by MARK the grounds find the process. What it gets from whom is
decided by the real gateway.
"""

import asyncio
import sys
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType

import aiohttp

from attack.hostile.gateway import HERE, INSIDE, LISTED, MAPPED, UNLISTED
from vaultloop.aio.clock import SystemClock
from vaultloop.aio.privacy import close_to_others
from vaultloop.gateway import upstreams
from vaultloop.gateway.egress import Egress, Streams
from vaultloop.gateway.keys import LONGEST_LINE, Keys
from vaultloop.gateway.resolver import Address
from vaultloop.gateway.server import serve

ADDRESSES = MappingProxyType(
    {
        LISTED: "93.184.215.14",
        UNLISTED: "93.184.215.15",
        INSIDE: "10.0.0.7",
        HERE: "127.0.0.1",
        MAPPED: "::ffff:127.0.0.1",
    }
)


async def _resolve(host: str) -> Sequence[Address]:
    if host not in ADDRESSES:
        raise OSError(f"{host} is not known")
    return [ip_address(ADDRESSES[host])]


async def _run(state: Path, keys: Keys, port: int) -> None:
    async def connect(address: Address) -> Streams:
        # Every address of this internet is the same server.
        del address
        return await asyncio.open_connection("127.0.0.1", port)

    await serve(
        state,
        keys,
        upstreams.claude(keys.base_url),
        tunnel=Egress(resolver=_resolve, connector=connect),
        connector=aiohttp.TCPConnector,
        clock=SystemClock(),
        orphaned=_end_of_input(),
    )


async def _end_of_input() -> None:
    """Return once the engine is gone: it holds the other side of standard input."""
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin.buffer)
    await reader.read()


def main() -> None:
    """Be the gateway until standard input ends."""
    state, port, _ = sys.argv[1:]
    close_to_others()
    keys = Keys.from_line(sys.stdin.buffer.readline(LONGEST_LINE))
    asyncio.run(_run(Path(state), keys, int(port)))


if __name__ == "__main__":
    main()
