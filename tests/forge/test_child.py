"""Commit statuses sent by a real child process to servers as strict as the forges' documents."""

import socket
from pathlib import Path

import pytest
from pydantic import SecretStr

from support.forges import KINDS, TOKEN, ForgeServer, forge_server
from support.run import asynchronous
from vaultloop.forge.api import State, Verdict
from vaultloop.forge.child import ChildForge
from vaultloop.forge.repository import ForgeRepository
from vaultloop.model.errors import Retry, Stalled

SHA = "0123456789abcdef0123456789abcdef01234567"
PROBLEM = Verdict(SHA, State.PROBLEMS, "agent/crons/digest.md:3: This is no schedule. And 2 more. Ü")


def forge(server: ForgeServer, folder: Path, token: str = TOKEN, path: str = "ada/vault") -> ChildForge:
    repository = ForgeRepository.of(f"{server.site}/{path}.git")
    assert repository is not None
    return ChildForge(server.kind, repository, SecretStr(token), folder)


@pytest.mark.parametrize("kind", KINDS)
@asynchronous
async def test_each_forge_takes_what_is_sent(kind: str, tmp_path: Path) -> None:
    path = "group/sub group/vault" if kind == "gitlab" else "ada/vault"
    with forge_server(kind) as server:
        await forge(server, tmp_path, path=path).show(PROBLEM)
    failed = "failed" if kind == "gitlab" else "failure"
    assert server.shown == [(path, SHA, failed, PROBLEM.description)]


@asynchronous
async def test_a_forge_that_refuses_is_told_apart_from_one_that_cannot_just_now(tmp_path: Path) -> None:
    with forge_server("gitea") as server:
        with pytest.raises(Stalled, match=r"127\.0\.0\.1 refuses commit statuses \(HTTP 401\)") as refused:
            await forge(server, tmp_path, token="wrong-token").show(PROBLEM)
        assert "wrong-token" not in str(refused.value)
        server.says += [503, 429, 302]
        for _ in range(2):
            with pytest.raises(Retry, match="did not take a commit status: HTTP"):
                await forge(server, tmp_path).show(PROBLEM)
        # A redirect might lead the token elsewhere.
        with pytest.raises(Stalled, match="HTTP 302"):
            await forge(server, tmp_path).show(PROBLEM)
        assert server.shown == []


@asynchronous
async def test_a_forge_that_is_not_there_is_tried_again(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    repository = ForgeRepository.of(f"http://127.0.0.1:{port}/ada/vault")
    assert repository is not None
    with pytest.raises(Retry, match="Connection refused"):
        await ChildForge("github", repository, SecretStr(TOKEN), tmp_path).show(PROBLEM)


@asynchronous
async def test_the_way_through_a_proxy_is_the_environments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone, forge_server("github") as server:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{gone.getsockname()[1]}")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        await forge(server, tmp_path).show(PROBLEM)
        assert len(server.shown) == 1
        # A proxy that answers what it likes.
        monkeypatch.setenv("http_proxy", server.site)
        monkeypatch.delenv("no_proxy")
        server.says.append(502)
        repository = ForgeRepository.of("http://forge.invalid/ada/vault")
        assert repository is not None
        with pytest.raises(Retry, match=r"forge\.invalid did not take a commit status: HTTP 502"):
            await ChildForge("github", repository, SecretStr(TOKEN), tmp_path).show(PROBLEM)
