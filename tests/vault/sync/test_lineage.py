"""Whether the remote's history goes on: when sync stands still, and how an owner accepts a rewritten one."""

import asyncio
import shlex
import subprocess
from pathlib import Path

import pytest

from support.commits import NOON, commit, text_at
from support.git_server import bare_repository
from support.run import asynchronous
from support.vault_clone import VaultClone, git
from vaultloop.aio.clock import VirtualClock
from vaultloop.model.errors import Stalled
from vaultloop.model.status import PushState
from vaultloop.vault.sync.standing import Resumed
from vaultloop.vault.sync.sync import Sync


class Scene:
    """A remote at a local path, and a human's clone of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.origin = bare_repository(folder / "vault.git")
        self.human = VaultClone.of(self.origin, folder / "human")

    def sync(self, *, watched: Path | None = None) -> Sync:
        return Sync(self.folder / "state", VirtualClock(NOON), remote=str(self.origin), folder=watched)

    def push(self, path: str, text: str) -> str:
        saved = self.human.save(path, text)
        self.human.push()
        return saved

    def rewrite(self, back: int, path: str, text: str) -> str:
        """The human throws away their newest commits, writes another one, and forces it on the remote."""
        self.human.git("reset", "-q", "--hard", f"HEAD~{back}")
        saved = self.human.save(path, text)
        self.human.push("--force")
        return saved


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


async def answered(sync: Sync, path: str, text: str) -> str:
    """A session's commit on what is there."""
    base = await sync.git(lambda: sync.repository.head)
    made = await sync.git(commit, sync.repository, base, {path: text})
    await sync.integrate(made)
    return made


async def texts(sync: Sync, *paths: str) -> list[str | None]:
    head = await sync.git(lambda: sync.repository.head)
    assert head is not None
    return [await sync.git(text_at, sync.repository, head, path) for path in paths]


@asynchronous
async def test_a_rewritten_history_says_how_to_take_it_and_the_old_one_is_kept(scene: Scene) -> None:
    scene.push("note.md", "one")
    old = scene.push("secret.md", "a secret")
    async with scene.sync() as sync:
        await sync.look()
        new = scene.rewrite(1, "other.md", "other")
        assert await sync.look() == old
        assert f"vaultloop resume --accept-remote {new[:12]}" in (sync.paused or "")
        assert await sync.git(sync.repository.kept, f"rescue/{old}") == old


@asynchronous
async def test_an_accepted_history_replaces_ours_where_nothing_was_only_here(scene: Scene) -> None:
    scene.push("note.md", "one")
    old = scene.push("secret.md", "a secret")
    async with scene.sync() as sync:
        await sync.look()
        new = scene.rewrite(1, "other.md", "other")
        said = (await sync.resume(new[:8])).message
        look = f"git --git-dir {sync.repository.path} log refs/vaultloop/rescue/{old}"
        assert look in said
        assert old in await asyncio.to_thread(subprocess.check_output, shlex.split(look), cwd="/", text=True)
        assert await sync.look() == new
        assert await texts(sync, "note.md", "secret.md", "other.md") == ["one", None, "other"]
        assert not sync.paused
        assert said.splitlines()[0] in (sync.attention or "")
        assert (await sync.push()).state is PushState.PUSHED
    # What the human threw away is not pushed again.
    assert git(scene.origin, "rev-list", "--count", "main") == "2"
    async with scene.sync() as sync:
        assert await sync.look() == new
        assert not sync.attention


@asynchronous
async def test_what_was_only_here_comes_on_top_of_an_accepted_history_and_nothing_else_comes_back(
    scene: Scene,
) -> None:
    scene.push("note.md", "one\n\n# Two\n\ntwo\n")
    scene.push("secret.md", "a secret")
    async with scene.sync() as sync:
        await sync.look()
        mine = await answered(sync, "answer.md", "42")
        await answered(sync, "note.md", "one\n\n# Two\n\ntwo\nthree\n")
        before = await sync.git(lambda: sync.repository.head)
        new = scene.rewrite(1, "note.md", "ONE\n\n# Two\n\ntwo\n")
        said = (await sync.resume(new)).message
        assert "(2 commits)" in said
        found = await texts(sync, "note.md", "secret.md", "answer.md")
        assert found == ["ONE\n\n# Two\n\ntwo\nthree\n", None, "42"]
        head = await sync.look()
        assert head is not None
        assert (await sync.git(sync.repository.read_commit, head)).parents == (new, before)
        assert (await sync.push()).state is PushState.PUSHED
        assert await sync.git(sync.repository.kept, f"rescue/{before}") == before
    scene.human.pull()
    assert scene.human.read("answer.md") == "42"
    assert git(scene.origin, "merge-base", "--is-ancestor", mine, "main") == ""


@asynchronous
async def test_a_session_that_began_before_brings_its_own_change_only(scene: Scene) -> None:
    scene.push("note.md", "one")
    old = scene.push("secret.md", "a secret")
    async with scene.sync() as sync:
        await sync.look()
        late = await sync.git(commit, sync.repository, old, {"answer.md": "42"})
        await sync.resume(scene.rewrite(1, "other.md", "other"))
        await sync.integrate(late)
        assert await texts(sync, "secret.md", "answer.md", "other.md") == [None, "42", "other"]


@asynchronous
async def test_a_history_that_was_set_back_can_be_accepted(scene: Scene) -> None:
    first = scene.push("note.md", "one")
    scene.push("note.md", "two")
    async with scene.sync() as sync:
        await sync.look()
        await answered(sync, "answer.md", "42")
        git(scene.origin, "update-ref", "refs/heads/main", first)
        await sync.resume(first[:4])
        assert await texts(sync, "note.md", "answer.md") == ["one", "42"]
        assert (await sync.push()).state is PushState.PUSHED


@asynchronous
async def test_only_the_commit_that_the_remote_has_is_accepted_and_only_while_there_is_a_question(
    scene: Scene,
) -> None:
    scene.push("note.md", "one")
    old = scene.push("note.md", "two")
    async with scene.sync() as sync:
        await sync.look()
        with pytest.raises(Stalled, match="Nothing waits to be accepted"):
            await sync.resume(old[:8])
        first = scene.rewrite(1, "note.md", "rewritten")
        await sync.look()
        second = scene.push("note.md", "rewritten again")
        for named in (first[:8], second[:3], "HEAD"):
            with pytest.raises(Stalled, match=f"accept-remote {second[:12]}"):
                await sync.resume(named)
        assert await sync.look() == old
        git(scene.origin, "update-ref", "-d", "refs/heads/main")
        with pytest.raises(Stalled, match="nothing to accept"):
            await sync.resume(second)


@asynchronous
async def test_another_vault_is_joined_with_this_one_if_its_owner_says_so(
    scene: Scene, tmp_path: Path
) -> None:
    first = scene.push("note.md", "one")
    async with scene.sync() as sync:
        await sync.look()
    stranger = bare_repository(tmp_path / "stranger.git")
    other = VaultClone.of(stranger, tmp_path / "other")
    theirs = other.save("else.md", "else")
    other.save("note.md", "theirs")
    other.push()
    async with Sync(scene.folder / "state", VirtualClock(NOON), remote=str(stranger)) as sync:
        assert await sync.look() == first
        assert f"refs/vaultloop/rescue/{first}" in (sync.paused or "")
        await sync.resume(other.head)
        assert not sync.paused
        note, there = await texts(sync, "note.md", "else.md")
        assert there == "else"
        assert "one" in (note or "")
        assert "theirs" in (note or "")
        head = await sync.git(lambda: sync.repository.head)
        assert head is not None
        assert await sync.git(sync.repository.is_ancestor, theirs, head)
        assert (await sync.push()).state is PushState.PUSHED


@asynchronous
async def test_an_accepted_history_is_written_to_the_folder_with_what_a_human_saved_there(
    scene: Scene, tmp_path: Path
) -> None:
    scene.push("note.md", "one\n")
    scene.push("gone.md", "gone")
    watched = tmp_path / "watched"
    watched.mkdir()
    async with scene.sync(watched=watched) as sync:
        await sync.look()
        assert (watched / "gone.md").read_text() == "gone"
        new = scene.rewrite(1, "note.md", "ONE\n")
        (watched / "note.md").write_text("one\nsaved\n")
        await sync.resume(new)
        assert not (watched / "gone.md").exists()
        written = (watched / "note.md").read_text()
        assert "ONE\n" in written
        assert "saved\n" in written


@asynchronous
async def test_without_a_question_resume_looks_again_and_says_how_it_stands(scene: Scene) -> None:
    scene.push("note.md", "one")
    async with scene.sync() as sync:
        await sync.look()
        theirs = scene.push("note.md", "two")
        assert (await sync.resume()).message == "Nothing stands still."
        assert await sync.git(lambda: sync.repository.head) == theirs
        scene.rewrite(1, "note.md", "rewritten")
        told = await sync.resume()
        assert told.paused
        assert "was rewritten" in told.message
        scene.human.git("push", "-q", "--force", "origin", f"{theirs}:main")
        assert await sync.resume() == Resumed("Sync goes on.", paused=False)
    async with Sync(scene.folder / "alone", VirtualClock(NOON), folder=scene.human.path) as alone:
        with pytest.raises(Stalled, match="There is no remote"):
            await alone.resume("abcd")
