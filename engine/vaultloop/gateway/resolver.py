"""Where a host is: asked once, and refused unless every answer is an address of the public internet."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address

# All addresses of a host.
Resolve = Callable[[str], Awaitable[Sequence[Address]]]

# Of IPv6 only this is handed out for the public internet (IANA, IPv6 Global Unicast Address Assignments);
# IPv4 in other clothes (mapped, compatible, NAT64) lies outside of it.
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")

# Inside of it, and of IPv4, but a way to somewhere else: Teredo, ORCHID, 6to4 and its relays, documentation.
_ELSEWHERE: Final = tuple(
    ip_network(network)
    for network in (
        *("2001::/32", "2001:10::/28", "2001:20::/28", "2001:db8::/32", "2002::/16", "3fff::/20"),
        "192.88.99.0/24",
    )
)


async def resolve(host: str) -> list[Address]:
    """All addresses of `host`, as this machine resolves names.

    Raises:
        OSError: there is none, or nobody knows.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, 443, type=socket.SOCK_STREAM)
    addresses = [str(where[0]) for *_, where in found]
    return [ip_address(address) for address in dict.fromkeys(addresses)]


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet, by itself and not by what it may be a way to."""
    if isinstance(address, IPv6Address) and (address.scope_id or address not in _GLOBAL_UNICAST):
        return False
    if any(address in network for network in _ELSEWHERE if network.version == address.version):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved)
