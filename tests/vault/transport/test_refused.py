"""What people are told when a remote does not take a push: its own words, and what to do."""

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.commits import NOON, commit
from support.git_server import GitServer, bare_repository, git_server
from support.run import asynchronous
from support.vault_clone import VaultClone
from vaultloop.aio.clock import VirtualClock
from vaultloop.model.status import PushState
from vaultloop.vault.git.repository import Repository
from vaultloop.vault.sync.sync import Sync
from vaultloop.vault.transport.refused import explained

# What forges answer, as their documentation and source have it.
PROTECTED = {
    "github": "error: GH006: Protected branch update failed for refs/heads/main.\nerror: Changes must be made"
    " through a pull request.",
    "github-rules": "error: GH013: Repository rule violations found for refs/heads/main.",
    "gitlab": "GitLab: You are not allowed to push code to protected branches on this project.",
    "gitea": "Gitea: Not allowed to push to protected branch main",
    "gitea-force": "Forgejo: branch main is protected from force push",
}


class Desk:
    """A served remote that refuses, and a vault with something to push."""

    def __init__(self, folder: Path, server: GitServer) -> None:
        self.folder, self.server = folder, server
        self.origin = bare_repository(folder / "served" / "vault.git")
        human = VaultClone.of(self.origin, folder / "human")
        human.save("note.md", "one")
        human.push()

    @property
    def hook(self) -> Path:
        return self.origin / "hooks" / "pre-receive"

    def refuses(self, words: str) -> None:
        self.hook.write_text(f"#!/bin/sh\nprintf '%s\\n' {shlex.quote(words)} >&2\nexit 1\n")
        self.hook.chmod(0o755)

    def sync(self) -> Sync:
        return Sync(self.folder / "state", VirtualClock(NOON), remote=self.server.url("vault.git"))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    (tmp_path / "served").mkdir()
    with git_server(tmp_path / "served") as server:
        yield Desk(tmp_path, server)


async def answered(sync: Sync, texts: dict[str, str | None]) -> str:
    base = await sync.look()
    made = await sync.git(commit, sync.repository, base, texts)
    await sync.integrate(made)
    return made


@asynchronous
async def test_the_words_of_a_hook_reach_people_without_what_drives_a_terminal(desk: Desk) -> None:
    desk.refuses("Line one: \x1b[31mno notes on Sundays\nLine two")
    async with desk.sync() as sync:
        await answered(sync, {"answer.md": "42"})
        push = await sync.push()
        assert push.state is PushState.STRANDED
        assert "hook declined. It says: Line one:" in push.message
        assert "no notes on Sundays Line two" in push.message
        assert "\x1b" not in push.message
        desk.hook.unlink()
        assert (await sync.push()).state is PushState.PUSHED


@asynchronous
@pytest.mark.parametrize("words", PROTECTED.values(), ids=PROTECTED)
async def test_a_protected_branch_is_named_with_the_setting_to_change(desk: Desk, words: str) -> None:
    desk.refuses(words)
    async with desk.sync() as sync:
        await answered(sync, {"answer.md": "42"})
        message = (await sync.push()).message
    assert words.splitlines()[0] in message
    assert "The branch main is protected there. Let the engine's account push to it" in message
    assert "(the setting branch)" in message


@asynchronous
async def test_a_push_that_is_too_large_for_the_remote_names_the_file_and_its_commit(desk: Desk) -> None:
    desk.refuses("error: GH001: Large files detected.\nerror: this exceeds GitHub's file size limit")
    async with desk.sync() as sync:
        await answered(sync, {"small.md": "s"})
        large = await answered(sync, {"films/large.csv": "x" * 5000, "note.md": "two"})
        await answered(sync, {"films/large.csv": None})
        message = (await sync.push()).message
    assert f"films/large.csv (5,000 bytes, commit {large[:12]})" in message
    assert "git LFS" in message


@asynchronous
async def test_any_other_refusal_is_told_without_guesses(desk: Desk) -> None:
    desk.refuses("Come back tomorrow.")
    async with desk.sync() as sync:
        await answered(sync, {"answer.md": "42"})
        message = (await sync.push()).message
    assert message.endswith("It says: Come back tomorrow.")
    assert "protected" not in message


def test_a_proxy_that_knows_only_a_number_is_understood_and_the_largest_file_named(tmp_path: Path) -> None:
    repository = Repository.bare(tmp_path / "vault.git")
    first = commit(repository, None, {"large.md": "x" * 900})
    head = commit(repository, first, {"new.md": "x" * 700, "small.md": "x"})
    said = "https://example.org/vault.git could not be pushed to: unexpected http status code: 413."
    assert f"new.md (700 bytes, commit {head[:12]})" in explained(said, repository, head, first)
    assert "large.md (900 bytes" in explained(said, repository, head, None)
    assert explained("It is away.", repository, head, first) == "It is away."
