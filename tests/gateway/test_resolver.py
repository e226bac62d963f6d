"""What a name resolves to, and which addresses are the public internet."""

from ipaddress import ip_address

import pytest

from support.run import asynchronous
from vaultloop.gateway.resolver import is_public, resolve


@asynchronous
async def test_a_name_of_this_machine_resolves_to_addresses_that_are_not_public() -> None:
    found = await resolve("localhost")
    assert found
    assert not any(map(is_public, found))


@asynchronous
async def test_a_name_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(OSError, match=r".+"):
        await resolve("no-such-host.invalid")


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "2a00:1450:4001::200e", "2001:4860:4860::8888"]
)
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(ip_address(address))
