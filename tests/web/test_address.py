"""Where the web process listens."""

from pathlib import Path

import pytest

from vaultloop.settings import InvalidSettings, load
from vaultloop.web.address import Address


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080),
        (":8080", "", 8080),
        ("[::1]:80", "::1", 80),
        ("localhost:0", "localhost", 0),
    ],
)
def test_an_address_is_read_and_written_the_same(text: str, host: str, port: int) -> None:
    assert Address.parse(text) == Address(host, port)
    assert str(Address(host, port)) == text


@pytest.mark.parametrize(
    "text", ["8080", "127.0.0.1", ":", ":http", ":65536", "::1:80", "http://x:80", ": 80", ""]
)
def test_what_is_no_address_is_refused_with_one_that_is(text: str) -> None:
    with pytest.raises(ValueError, match=r"such as 127\.0\.0\.1:8080"):
        Address.parse(text)


def test_a_wrong_setting_names_its_variable() -> None:
    with pytest.raises(InvalidSettings, match=r"^VAULTLOOP_WEB: an address and a port, such as"):
        load(environment={"VAULTLOOP_FOLDER": "v", "VAULTLOOP_WEB": "8080"})
    found = load(environment={"VAULTLOOP_FOLDER": "v", "VAULTLOOP_WEB": ":8080"})
    assert found.web == Address("", 8080)
    assert load(environment={"VAULTLOOP_FOLDER": "v", "VAULTLOOP_WEB": ""}).web is None


def test_a_bare_port_in_a_file_is_refused_with_what_to_write(tmp_path: Path) -> None:
    (tmp_path / "vaultloop.toml").write_text('folder = "v"\nweb = 8080\n')
    with pytest.raises(InvalidSettings, match=r"vaultloop\.toml: web: an address and a port, such as"):
        load(config=tmp_path / "vaultloop.toml", environment={})
