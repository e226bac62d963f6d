"""Talking to the remote: what is held for want of trust, references beside the branch, and racing writers."""

import asyncio
import random
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from support.commits import NOON, commit, text_at
from support.git_server import GitServer, bare_repository, git_server
from support.run import asynchronous
from support.vault_clone import VaultClone, git
from vaultloop.aio.clock import VirtualClock
from vaultloop.model.status import PushState
from vaultloop.vault.git.repository import Identity, Repository
from vaultloop.vault.git.signing import Signer
from vaultloop.vault.sync.sync import Sync
from vaultloop.vault.sync.trust import Trust
from vaultloop.vault.transport.remote import RefusedError

LEASE = "refs/vaultloop/lease"
# Each session, and each human, writes so many times.
TURNS = 4


class Guarded(Trust):
    """A trust that refuses what a message says it should.

    Attributes:
        forbidden: the message of a commit that may not come.
    """

    def __init__(self) -> None:
        super().__init__()
        self.forbidden = "Unsigned"

    def refusal(self, repository: Repository, old: str | None, new: str) -> str | None:
        for commit_, _ in repository.parted(new, old) if old else ():
            if repository.read_commit(commit_).subject == self.forbidden:
                return f"{commit_[:12]} is not signed by anybody trusted."
        return None


class Desk:
    """A served remote, and clones of it."""

    def __init__(self, folder: Path, server: GitServer) -> None:
        self.folder, self.server = folder, server
        self.origin = bare_repository(folder / "served" / "vault.git")
        self.human = self.clone("human")
        self.human.save("note.md", "one\n")
        self.human.push()

    def clone(self, name: str) -> VaultClone:
        return VaultClone.of(self.origin, self.folder / name)

    def sync(self, trust: Trust | None = None) -> Sync:
        url = self.server.url("vault.git")
        return Sync(self.folder / "state", VirtualClock(NOON), remote=url, trust=trust)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    (tmp_path / "served").mkdir()
    with git_server(tmp_path / "served") as server:
        yield Desk(tmp_path, server)


async def answered(sync: Sync, path: str, text: str) -> str:
    base = await sync.git(lambda: sync.repository.head)
    made = await sync.git(commit, sync.repository, base, {path: text})
    await sync.integrate(made)
    return made


# -- trust -------------------------------------------------------------------------------------------------


@asynchronous
async def test_what_nobody_trusted_signed_is_held_also_in_the_middle_until_it_may_come(desk: Desk) -> None:
    trust = Guarded()
    async with desk.sync(trust) as sync:
        first = await sync.look()
        desk.human.write("note.md", "two\n")
        middle = desk.human.commit("Unsigned")
        desk.human.save("other.md", "other\n")
        desk.human.push()
        assert await sync.look() == first
        assert sync.paused == f"{middle[:12]} is not signed by anybody trusted."
        # Nothing is only here, so nothing is stranded, however long theirs waits.
        assert (await sync.push()).state is PushState.PUSHED
        mine = await answered(sync, "answer.md", "42")
        push = await sync.push()
        assert (push.state, push.message) == (PushState.STRANDED, sync.paused)
        assert await sync.look() == mine
        trust.forbidden = ""
        assert await sync.look() != mine
        assert not sync.paused
        assert (await sync.push()).state is PushState.PUSHED


@asynchronous
async def test_a_rewritten_history_that_nobody_trusted_signed_is_not_accepted(desk: Desk) -> None:
    desk.human.save("note.md", "two\n")
    desk.human.push()
    async with desk.sync(Guarded()) as sync:
        old = await sync.look()
        desk.human.git("reset", "-q", "--hard", "HEAD~1")
        desk.human.write("note.md", "rewritten\n")
        new = desk.human.commit("Unsigned")
        desk.human.push("--force")
        with pytest.raises(Exception, match="not signed by anybody trusted"):
            await sync.resume(new)
        assert await sync.look() == old


# -- references beside the branch --------------------------------------------------------------------------


def empty(repository: Repository, base: str | None, said: str) -> str:
    who = Identity("engine", "engine@localhost")
    parents = [base] if base else []
    return repository.commit(repository.trees.edited(None, {}), parents, said, author=who, at=NOON)


@asynchronous
async def test_a_reference_is_set_over_what_it_was_only_and_everybody_hears_of_it(desk: Desk) -> None:
    heard: list[Mapping[str, str]] = []
    async with desk.sync() as sync:
        sync.on_heads = heard.append
        await sync.look()
        assert LEASE not in heard[-1]
        one = await sync.git(empty, sync.repository, None, "one\n")
        two = await sync.git(empty, sync.repository, one, "two\n")
        await sync.set_reference(LEASE, one, None)
        for over in (None, two):
            with pytest.raises(RefusedError):
                await sync.set_reference(LEASE, two, over)
        await sync.set_reference(LEASE, two, one)
        await sync.look()
        assert heard[-1][LEASE] == two
    async with Sync(desk.folder / "other", VirtualClock(NOON), remote=str(desk.origin)) as other:
        assert await other.fetch_reference(LEASE) == two
        assert (await other.git(other.repository.read_commit, two)).parents == (one,)


@asynchronous
async def test_an_engine_that_stands_by_takes_what_comes_and_pushes_nothing(desk: Desk) -> None:
    async with desk.sync() as sync:
        await sync.look()
        sync.may_push = lambda: False
        await answered(sync, "answer.md", "42")
        assert (await sync.push()).state is PushState.LOCAL
        theirs = desk.human.save("note.md", "two\n")
        desk.human.push()
        await sync.look()
        assert git(desk.origin, "rev-parse", "main") == theirs
        sync.may_push = lambda: True
        assert (await sync.push()).state is PushState.PUSHED


# -- figures -----------------------------------------------------------------------------------------------


@asynchronous
async def test_the_figures_say_where_the_commits_are_and_how_old_the_news_is(desk: Desk) -> None:
    async with desk.sync() as sync:
        assert "contact_age_seconds" not in sync.figures()
        await sync.look()
        await answered(sync, "note.md", "mine\n")
        await answered(sync, "note.md", "mine again\n")
        figures = sync.figures()
        assert (figures["push_local"], figures["push_pushed"], figures["commits_ahead"]) == (1, 0, 2)
        desk.human.save("note.md", "theirs\n")
        desk.human.push()
        await sync.look()
        assert sync.figures()["commits_ahead"] == 3
        await sync.push()
        figures = sync.figures()
        assert (figures["push_local"], figures["push_pushed"], figures["commits_ahead"]) == (0, 1, 0)
        assert (figures["merges"], figures["contact_age_seconds"]) == (1, 0)


# -- racing ------------------------------------------------------------------------------------------------


@asynchronous
async def test_two_clones_and_an_engine_race_and_a_remote_that_refuses_at_random_gets_every_line(
    desk: Desk,
) -> None:
    coin = random.Random(7)
    hook = desk.origin / "hooks" / "pre-receive"
    hook.write_text('#!/bin/sh\n[ ! -f "$GIT_DIR/tails" ]\n')
    hook.chmod(0o755)
    tails = desk.origin / "tails"
    humans = [desk.human, desk.clone("second")]

    def tossed(method: str, path: str) -> None:
        if path.endswith("git-receive-pack"):
            tails.touch() if coin.random() < 0.4 else tails.unlink(missing_ok=True)

    def saved(human: VaultClone, line: str) -> None:
        """A human's turn: pull, write, push; whoever is slower than others tries again."""
        human.git("pull", "-q", "--no-rebase", "--no-edit")
        human.write(f"{human.path.name}.md", f"{line}\n{read(human)}")
        human.commit(line)
        for _ in range(20):
            # The engine may have tossed the coin meanwhile.
            tails.unlink(missing_ok=True)
            with suppress(AssertionError):
                human.git("push", "-q", "origin", "HEAD")
                return
            human.git("pull", "-q", "--no-rebase", "--no-edit")
        raise AssertionError("twenty pushes of a human were refused")

    def read(human: VaultClone) -> str:
        file = human.path / f"{human.path.name}.md"
        return file.read_text() if file.exists() else ""

    desk.server.before = tossed
    async with desk.sync() as sync:
        signer = Signer.make(desk.folder / "state")
        await sync.look()
        agents = []
        for turn in range(TURNS):
            base = await sync.git(lambda: sync.repository.head)
            assert base is not None
            here = await sync.git(text_at, sync.repository, base, "log.md") or ""
            texts: dict[str, str | None] = {"log.md": f"{here}agent {turn}\n"}
            agents.append(await sync.git(commit, sync.repository, base, texts, signer=signer))
            for human in humans:
                await asyncio.to_thread(saved, human, f"{human.path.name} {turn}")
            await sync.integrate(agents[-1])
            await sync.push()
        desk.server.before = lambda method, path: None
        tails.unlink(missing_ok=True)
        assert (await sync.push()).state is PushState.PUSHED
        head = await sync.look()
    assert git(desk.origin, "rev-parse", "main") == head
    for human in humans:
        human.git("pull", "-q", "--no-rebase", "--no-edit")
        assert human.head == head
        assert read(human).split("\n")[:-1] == [
            f"{human.path.name} {turn}" for turn in reversed(range(TURNS))
        ]
        assert human.read("log.md") == "".join(f"agent {turn}\n" for turn in range(TURNS))
    for made in agents:
        git(desk.origin, "merge-base", "--is-ancestor", made, "main")
    assert all(VaultClone(human.path).git("status", "--porcelain") == "" for human in humans)
