"""One commit status as the HTTP request that each kind of forge wants."""

import pytest

from vaultloop.forge.api import APIS, LONGEST_DESCRIPTION, State, Verdict, gitea, github, gitlab
from vaultloop.forge.repository import ForgeRepository

SHA = "0123456789abcdef0123456789abcdef01234567"
APPLIED = Verdict(SHA, State.APPLIED, "Applied.")


def at(remote: str) -> ForgeRepository:
    found = ForgeRepository.of(remote)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("kind", "remote", "url"),
    [
        ("github", "git@github.com:ada/vault.git", "https://api.github.com/repos/ada/vault/statuses/"),
        ("github", "https://octo.ghe.com/ada/vault", "https://api.octo.ghe.com/repos/ada/vault/statuses/"),
        ("github", "https://ghe.example.org/ada/v", "https://ghe.example.org/api/v3/repos/ada/v/statuses/"),
        ("gitlab", "git@gitlab.com:a/b/c.git", "https://gitlab.com/api/v4/projects/a%2Fb%2Fc/statuses/"),
        ("gitea", "https://codeberg.org/ada/vault", "https://codeberg.org/api/v1/repos/ada/vault/statuses/"),
        ("gitea", "https://x.org/git/ada/v.git", "https://x.org/git/api/v1/repos/ada/v/statuses/"),
    ],
)
def test_each_forge_has_its_own_address(kind: str, remote: str, url: str) -> None:
    assert APIS[kind](at(remote), APPLIED).url == url + SHA


def test_each_forge_has_its_own_words_for_how_a_revision_stands() -> None:
    vault = at("git@example.org:ada/vault.git")
    words = {
        api: [api(vault, Verdict(SHA, state, "")).body["state"] for state in State] for api in APIS.values()
    }
    assert words == {
        github: ["success", "pending", "failure"],
        gitlab: ["success", "pending", "failed"],
        gitea: ["success", "pending", "failure"],
    }


@pytest.mark.parametrize("kind", APIS)
def test_a_long_description_is_cut(kind: str) -> None:
    call = APIS[kind](at("git@example.org:ada/vault.git"), Verdict(SHA, State.PROBLEMS, "x" * 500))
    assert len(call.body["description"]) == LONGEST_DESCRIPTION
    assert call.body["description"].endswith("x…")
