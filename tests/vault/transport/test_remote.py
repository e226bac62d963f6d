"""Every way to a remote: who is let in, who is refused, and what people read then."""

import socket
import subprocess
from pathlib import Path

import pytest
from pygit2.enums import CredentialType

from support.commits import commit
from support.git_server import bare_repository, git_server
from support.ssh_server import SshServer, known_host, ssh_key, ssh_server
from support.vault_clone import VaultClone
from vaultloop.model.errors import Retry, Stalled
from vaultloop.vault.git.repository import Repository
from vaultloop.vault.transport.remote import Address, Credentials, RefusedError, Remote, scrubbed


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    return bare_repository(tmp_path / "served" / "vault.git")


@pytest.fixture
def local(tmp_path: Path) -> Repository:
    return Repository.bare(tmp_path / "state" / "vault.git")


def _round_trip(remote: Remote, local: Repository) -> None:
    """Push a first commit to an empty remote, and fetch it back."""
    assert remote.heads().branches == {}
    first = commit(local, None, {"note.md": "hello"})
    remote.push(first, "refs/heads/main")
    assert remote.heads().branches == {"main": first}
    remote.fetch("refs/heads/main", "refs/vaultloop/back")
    assert local.kept("back") == first


def test_an_empty_remote_over_http_is_filled_polled_and_fetched(origin: Path, local: Repository) -> None:
    with git_server(origin.parent) as server:
        _round_trip(Remote(local.path, server.url("vault.git")), local)


def test_an_empty_remote_over_http_with_a_token_is_filled_polled_and_fetched(
    origin: Path, local: Repository
) -> None:
    with git_server(origin.parent, "git", "a-token") as server:
        _round_trip(Remote(local.path, server.url("vault.git"), Credentials(password="a-token")), local)


def test_a_login_inside_the_url_is_used_and_never_shown(origin: Path, local: Repository) -> None:
    with git_server(origin.parent, "hana", "s3cret") as server:
        remote = Remote(local.path, server.url("vault.git", "hana:s3cret"))
        _round_trip(remote, local)
        assert remote.url == server.url("vault.git")


def test_an_empty_remote_at_a_local_path_is_filled_polled_and_fetched(
    origin: Path, local: Repository
) -> None:
    _round_trip(Remote(local.path, str(origin)), local)


@pytest.mark.parametrize("address", ["{}", "file://{}"])
def test_a_local_path_where_no_repository_is_is_named_with_the_cure(
    address: str, local: Repository, tmp_path: Path
) -> None:
    for place in (tmp_path / "missing.git", tmp_path):
        remote = Remote(local.path, address.format(place))
        with pytest.raises(Retry, match=r"there is no git repository\. Make one \(git init --bare\)"):
            remote.heads()


def test_an_empty_remote_over_ssh_is_filled_polled_and_fetched(
    origin: Path, local: Repository, tmp_path: Path
) -> None:
    with ssh_server(tmp_path / "ssh") as server:
        _round_trip(_over_ssh(server, origin, local, tmp_path), local)


def test_an_ssh_agent_serves_when_no_key_file_is_set(
    origin: Path, local: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = tmp_path / "agent.sock"
    with (
        ssh_server(tmp_path / "ssh") as server,
        subprocess.Popen(["ssh-agent", "-D", "-a", agent], stdout=subprocess.PIPE) as keeper,
    ):
        assert keeper.stdout is not None
        keeper.stdout.readline()
        monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
        subprocess.run(["ssh-add", "-q", server.key], check=True)
        remote = Remote(local.path, server.url(origin), known_hosts=server.known_hosts, state=tmp_path)
        assert remote.heads().branches == {}
        keeper.terminate()


def test_an_unknown_host_key_is_refused_with_the_line_that_would_add_it(
    origin: Path, local: Repository, tmp_path: Path
) -> None:
    empty = tmp_path / "known_hosts"
    empty.touch()
    with ssh_server(tmp_path / "ssh") as server:
        remote = _over_ssh(server, origin, local, tmp_path, known_hosts=empty)
        with pytest.raises(Stalled, match=rf"unknown.*ssh-keyscan -p {server.port} 127\.0\.0\.1 >> "):
            remote.heads()


def test_a_wrong_host_key_is_refused_and_called_a_possible_impostor(
    origin: Path, local: Repository, tmp_path: Path
) -> None:
    wrong = tmp_path / "known_hosts"
    with ssh_server(tmp_path / "ssh") as server:
        impostor = ssh_key(tmp_path / "impostor").with_suffix(".pub")
        wrong.write_text(known_host(server.port, impostor))
        remote = _over_ssh(server, origin, local, tmp_path, known_hosts=wrong)
        with pytest.raises(Stalled, match=r"posing as that host.*ssh-keygen -R"):
            remote.heads()
        with pytest.raises(Stalled, match="posing"):
            remote.push(commit(local, None, {"note.md": "secret"}), "refs/heads/main")


def test_a_key_that_the_server_does_not_know_is_refused_once_and_said(
    origin: Path, local: Repository, tmp_path: Path
) -> None:
    with ssh_server(tmp_path / "ssh") as server:
        stranger = Credentials(ssh_key=ssh_key(tmp_path / "stranger"))
        remote = _over_ssh(server, origin, local, tmp_path, credentials=stranger)
        with pytest.raises(Stalled, match="refuses the credentials"):
            remote.heads()


@pytest.mark.parametrize(
    ("login", "credentials"),
    [
        (None, None),
        ("hana:wr0ng-secret", None),
        (None, Credentials("hana", "wr0ng-secret")),
    ],
)
def test_refused_http_credentials_are_said_without_being_shown(
    origin: Path, local: Repository, login: str | None, credentials: Credentials | None
) -> None:
    with git_server(origin.parent, "hana", "s3cret") as server:
        remote = Remote(local.path, server.url("vault.git", login), credentials)
        with pytest.raises(Stalled, match="refuses") as refused:
            remote.heads()
        assert "wr0ng-secret" not in f"{refused.value!r} {refused.value.__cause__!r} {credentials!r}"
        # Asked for credentials, showed them once, was refused: no hammering.
        assert len(server.requests) <= 3


def test_no_secret_of_a_url_is_in_the_message_when_the_host_is_not_there(local: Repository) -> None:
    remote = Remote(local.path, "http://hana:s3cret@127.0.0.1:1/vault.git")
    with pytest.raises(Retry) as failed:
        remote.heads()
    assert "s3cret" not in str(failed.value)
    assert "127.0.0.1:1/vault.git" in str(failed.value)


def test_a_repository_that_is_not_there_is_named(origin: Path, local: Repository) -> None:
    with (
        git_server(origin.parent) as server,
        pytest.raises(Retry, match=r"other\.git could not be asked.*404"),
    ):
        Remote(local.path, server.url("other.git")).heads()


def test_a_server_that_never_answers_is_given_up(local: Repository) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        remote = Remote(local.path, f"http://127.0.0.1:{deaf.getsockname()[1]}/vault.git", timeout=0.2)
        with pytest.raises(Retry, match="could not be asked"):
            remote.heads()
    Remote(local.path, "http://127.0.0.1:1/vault.git")  # puts the process-wide time-outs back


def test_credentials_are_not_handed_to_another_host_that_the_remote_sends_us_to(local: Repository) -> None:
    remote = Remote(local.path, "http://git.example.org/vault.git", Credentials("hana", "s3cret"))
    with remote._talking("asked") as (_, callbacks), pytest.raises(Stalled, match="another host"):
        callbacks.credentials("http://evil.example.net/vault.git", None, _any_credential())


def test_a_hook_of_the_remote_that_says_no_is_a_refusal_with_its_reference(
    origin: Path, local: Repository
) -> None:
    hook = origin / "hooks" / "update"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    with (
        git_server(origin.parent) as server,
        pytest.raises(RefusedError, match="refs/heads/main: hook declined"),
    ):
        Remote(local.path, server.url("vault.git")).push(
            commit(local, None, {"note.md": "x"}), "refs/heads/main"
        )


def test_a_push_never_overwrites_what_others_pushed(origin: Path, local: Repository, tmp_path: Path) -> None:
    human = VaultClone.of(origin, tmp_path / "human")
    theirs = human.save("note.md", "theirs")
    human.push()
    with git_server(origin.parent) as server:
        remote = Remote(local.path, server.url("vault.git"))
        ours = commit(local, None, {"note.md": "ours"})
        with pytest.raises(RefusedError, match=f"is at {theirs}"):
            remote.push(ours, "refs/heads/main")
        with pytest.raises(Retry, match="could not be pushed to"):
            remote.push(ours, "refs/heads/main", over=theirs)
        assert remote.heads().branches == {"main": theirs}


@pytest.mark.parametrize(
    ("url", "clean", "known_as"),
    [
        ("https://user:token@git.example.org/v.git", "https://git.example.org/v.git", "git.example.org"),
        (
            "ssh://git@git.example.org:2222/v.git",
            "ssh://git@git.example.org:2222/v.git",
            "[git.example.org]:2222",
        ),
        ("git@git.example.org:team/v.git", "git@git.example.org:team/v.git", "git.example.org"),
    ],
)
def test_addresses_are_read_as_people_write_them(url: str, clean: str, known_as: str) -> None:
    address = Address.parse(url)
    assert (address.url, address.known_as) == (clean, known_as)
    assert "token" not in repr(address)


def test_urls_in_texts_are_scrubbed() -> None:
    assert (
        scrubbed("fatal: https://u:p@host/x and ssh://git@host/y") == "fatal: https://host/x and ssh://host/y"
    )


def _over_ssh(
    server: SshServer,
    origin: Path,
    local: Repository,
    state: Path,
    *,
    known_hosts: Path | None = None,
    credentials: Credentials | None = None,
) -> Remote:
    return Remote(
        local.path,
        server.url(origin),
        credentials or Credentials(ssh_key=server.key),
        known_hosts=known_hosts or server.known_hosts,
        state=state,
    )


def _any_credential() -> CredentialType:
    return CredentialType.USERPASS_PLAINTEXT
