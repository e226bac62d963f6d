"""Where a repository lies at its forge, told from the address of the remote."""

import pytest

from vaultloop.forge.repository import ForgeRepository


@pytest.mark.parametrize(
    ("remote", "site", "path"),
    [
        ("https://github.com/ada/vault.git", "https://github.com", "ada/vault"),
        ("https://x:secret@github.com/ada/vault", "https://github.com", "ada/vault"),
        ("git@github.com:ada/vault.git", "https://github.com", "ada/vault"),
        ("ssh://git@ssh.github.com:443/ada/vault.git", "https://github.com", "ada/vault"),
        ("git@gitlab.com:group/sub/sub/vault.git", "https://gitlab.com", "group/sub/sub/vault"),
        ("ssh://git@altssh.gitlab.com:443/ada/vault.git", "https://gitlab.com", "ada/vault"),
        ("ssh://git@git.example.org:2222/ada/vault.git/", "https://git.example.org", "ada/vault"),
        ("https://git.example.org:8443/ada/vault.git", "https://git.example.org:8443", "ada/vault"),
        ("http://[::1]:3000/ada/my%20vault.git", "http://[::1]:3000", "ada/my vault"),
        ("https://example.org/git/ada/vault", "https://example.org", "git/ada/vault"),
    ],
)
def test_addresses_of_forges_are_read(remote: str, site: str, path: str) -> None:
    found = ForgeRepository.of(remote)
    assert found is not None
    assert (found.site, found.path) == (site, path)
    assert "secret" not in repr(found)


@pytest.mark.parametrize(
    "remote",
    ["", "/srv/git/vault.git", "file:///srv/vault.git", "vault.git", "https://github.com/vault", "../v"],
)
def test_what_is_at_no_forge_has_no_repository_there(remote: str) -> None:
    assert ForgeRepository.of(remote) is None
