"""The watcher names what was touched, once it has settled, though events get lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from support.commits import NOON
from support.run import asynchronous
from support.vault_clone import VaultClone
from vaultloop.aio.bell import Bell
from vaultloop.aio.clock import SystemClock, VirtualClock
from vaultloop.vault.settling import Settling
from vaultloop.vault.sync import Sync
from vaultloop.vault.watcher import Watcher

# Long enough that a file still being written is not settled, short enough for a test on the system's clock.
SOON = timedelta(milliseconds=50)


@asynccontextmanager
async def _watching(folder: Path) -> AsyncIterator[tuple[Watcher, Bell]]:
    bell = Bell()
    clock = SystemClock()
    async with Watcher(folder, Settling(clock, SOON, SOON), clock, bell.ring) as watcher:
        yield watcher, bell


async def _named(watcher: Watcher, bell: Bell, wanted: set[str]) -> set[str]:
    """All that was named until everything wanted was."""
    seen: set[str] = set()
    while not wanted <= seen:
        await bell.heard()
        seen |= watcher.named() or set()
    return seen


@asynchronous
async def test_an_edited_a_new_and_a_deleted_file_are_named(tmp_path: Path) -> None:
    (tmp_path / "old.md").write_text("x")
    (tmp_path / "gone.md").write_text("x")
    async with _watching(tmp_path) as (watcher, bell):
        (tmp_path / "old.md").write_text("y")
        (tmp_path / "new.md").write_text("y")
        (tmp_path / "gone.md").unlink()
        assert await _named(watcher, bell, {"old.md", "new.md", "gone.md"}) == {"old.md", "new.md", "gone.md"}


@asynchronous
async def test_every_file_of_a_folder_tree_that_was_made_this_instant_is_named(tmp_path: Path) -> None:
    async with _watching(tmp_path) as (watcher, bell):
        wanted = set()
        for number in range(40):
            path = Path(f"made{number}") / "deep" / "er" / "note.md"
            (tmp_path / path.parent).mkdir(parents=True)
            (tmp_path / path).write_text("x")
            wanted.add(str(path))
        assert await _named(watcher, bell, wanted) == wanted


@asynchronous
async def test_every_file_of_a_folder_that_was_moved_in_is_named(tmp_path: Path) -> None:
    watched, outside = tmp_path / "watched", tmp_path / "outside" / "job"
    watched.mkdir()
    (outside / "deep").mkdir(parents=True)
    (outside / "deep" / "note.md").write_text("x")
    async with _watching(watched) as (watcher, bell):
        outside.rename(watched / "job")
        assert "job/deep/note.md" in await _named(watcher, bell, {"job/deep/note.md"})


@asynchronous
async def test_the_git_directory_and_leftovers_are_never_named(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    async with _watching(tmp_path) as (watcher, bell):
        (tmp_path / ".git" / "index").write_text("x")
        (tmp_path / ".vaultloop-1.tmp").write_text("x")
        (tmp_path / "note.md").write_text("x")
        assert await _named(watcher, bell, {"note.md"}) == {"note.md"}


@asynchronous
async def test_a_commit_that_the_human_makes_by_hand_rings_and_names_nothing(tmp_path: Path) -> None:
    human = VaultClone.fresh(tmp_path)
    human.write("note.md", "x")
    async with _watching(tmp_path) as (watcher, bell):
        human.commit()
        await bell.heard()
        assert watcher.named() == set()


@asynchronous
async def test_a_folder_that_is_not_there_means_look_everywhere_and_does_not_hang(tmp_path: Path) -> None:
    async with _watching(tmp_path / "missing") as (watcher, bell):
        await bell.heard()
        assert watcher.named() is None


@asynchronous
async def test_a_file_is_named_when_it_has_settled_and_not_before() -> None:
    clock = VirtualClock(NOON)
    settling = Settling(clock)
    settling.touched("agent/crons/digest.md")
    settling.touched("note.md")
    await clock.advance(1.9)
    assert settling.take() == set()
    settling.touched("agent/crons/digest.md")
    await clock.advance(1.9)
    assert settling.take() == set()
    await clock.advance(0.1)
    assert settling.take() == {"agent/crons/digest.md"}
    assert settling.due() == NOON + timedelta(seconds=60)
    await clock.advance(56.1)
    assert settling.take() == {"note.md"}
    assert settling.due() is None


@asynchronous
async def test_an_edit_becomes_a_commit_without_a_walk(tmp_path: Path) -> None:
    folder, bell, clock = tmp_path / "folder", Bell(), SystemClock()
    folder.mkdir()
    (folder / "note.md").write_text("one")
    async with (
        Sync(tmp_path / "state", clock, folder=folder, settle=SOON, quiet=SOON) as sync,
        Watcher(folder, sync.settling, clock, bell.ring) as watcher,
    ):
        await sync.look(None)
        while await sync.look(watcher.named()) is None:
            await bell.heard()
        first, walks = await sync.look([]), sync.effort.walks
        (folder / "note.md").write_text("two")
        while (head := await sync.look(watcher.named())) == first:
            await bell.heard()
        assert head is not None
        assert (await sync.git(sync.repository.read_commit, head)).subject == "Edit note.md"
        assert sync.effort.walks == walks


@asynchronous
async def test_an_edit_that_only_a_walk_found_is_named_when_it_has_settled(tmp_path: Path) -> None:
    folder, bell, clock = tmp_path / "folder", Bell(), VirtualClock(NOON)
    folder.mkdir()
    (folder / "note.md").write_text("one")
    async with (
        Sync(tmp_path / "state", clock, folder=folder) as sync,
        Watcher(folder, sync.settling, clock, bell.ring) as watcher,
    ):
        assert await sync.look(None) is None
        await asyncio.sleep(0)
        await clock.advance(60)
        await bell.heard()
        assert watcher.named() == {"note.md"}
        assert await sync.look(["note.md"]) is not None
