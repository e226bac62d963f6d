"""The watcher names what was touched, once it has settled, though events get lost."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from support.commits import NOON
from support.run import asynchronous
from support.vault_clone import VaultClone
from vaultloop.aio.bell import Bell
from vaultloop.aio.clock import SystemClock, VirtualClock
from vaultloop.vault.folder import watcher as watcher_module
from vaultloop.vault.folder.settling import LATENCY, LONGEST_TOGETHER, QUIET, SETTLE, Settling, Signature
from vaultloop.vault.folder.watcher import Watcher
from vaultloop.vault.sync.sync import Sync

# Long enough that a file still being written is not settled, short enough for a test on the system's clock.
SOON = timedelta(milliseconds=50)


@asynccontextmanager
async def _watching(folder: Path) -> AsyncIterator[tuple[Watcher, Bell]]:
    bell = Bell()
    clock = SystemClock()
    async with Watcher(folder, Settling(clock, SOON, SOON), clock, bell.ring) as watcher:
        yield watcher, bell


def _changed(at: datetime) -> Signature:
    """A file that changed then."""
    moment = int(at.timestamp() * 1e9)
    return (moment, moment, 1, 1)


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
async def test_a_clock_that_is_set_back_keeps_no_edit_waiting() -> None:
    clock = VirtualClock(NOON)
    settling = Settling(clock)
    settling.touched("agent/crons/digest.md", _changed(NOON))
    clock.set_back(timedelta(hours=1))
    assert settling.take() == set()
    await clock.advance(SETTLE.total_seconds())
    assert settling.take() == {"agent/crons/digest.md"}


@asynchronous
async def test_a_file_is_named_when_it_has_settled_and_not_before() -> None:
    clock = VirtualClock(NOON)
    settling = Settling(clock)
    settling.touched("agent/crons/digest.md", _changed(NOON))
    settling.touched("note.md", _changed(NOON))
    await clock.advance(1.9)
    assert settling.take() == set()
    settling.touched("agent/crons/digest.md", _changed(clock.now()))
    await clock.advance(1.9)
    assert settling.take() == set()
    await clock.advance(0.1)
    assert settling.take() == {"agent/crons/digest.md"}
    assert settling.due() == NOON + timedelta(seconds=60)
    await clock.advance(56.1)
    assert settling.take() == {"note.md"}
    assert settling.due() is None


def test_waiting_counts_from_the_change_and_not_from_the_word_of_it() -> None:
    settling = Settling(VirtualClock(NOON))
    settling.touched("agent/rule.md", _changed(NOON - timedelta(milliseconds=150)))
    assert settling.due() == NOON + SETTLE - timedelta(milliseconds=150)


@pytest.mark.parametrize("ago", [timedelta(days=1), timedelta(days=-1)])
def test_a_time_of_the_disk_that_cannot_be_that_of_the_change_counts_for_nothing(ago: timedelta) -> None:
    settling = Settling(VirtualClock(NOON))
    settling.touched("agent/moved-here.md", _changed(NOON - ago))
    assert settling.due() == NOON + SETTLE


@asynchronous
async def test_what_is_saved_together_is_named_together_and_nothing_waits_for_it_long() -> None:
    clock = VirtualClock(NOON)
    settling = Settling(clock)
    for number in range(10):
        settling.touched(f"{number}.md", _changed(NOON + timedelta(seconds=number)))
        await clock.advance(1)
    settling.touched("agent/rule.md", _changed(clock.now()))
    await clock.advance(SETTLE.total_seconds())
    assert settling.take() == {"agent/rule.md"}
    assert settling.due() == NOON + QUIET + LONGEST_TOGETHER
    await clock.advance_to(NOON + QUIET + LONGEST_TOGETHER)
    assert settling.take() == {f"{number}.md" for number in range(6)}
    await clock.advance(4)
    assert settling.take() == {f"{number}.md" for number in range(6, 10)}


def test_a_deleted_file_waits_from_the_word_of_it() -> None:
    settling = Settling(VirtualClock(NOON))
    settling.touched("agent/gone.md", None)
    assert settling.due() == NOON + SETTLE


@asynchronous
async def test_a_file_that_changed_after_the_word_of_it_waits_anew() -> None:
    clock = VirtualClock(NOON)
    settling = Settling(clock)
    settling.touched("agent/rule.md", _changed(NOON))
    await clock.advance(2)
    again = _changed(clock.now() - timedelta(milliseconds=20))
    assert not settling.settled("agent/rule.md", again)
    await clock.advance(1.98)
    assert settling.settled("agent/rule.md", again)


@asynchronous
async def test_the_watcher_tells_when_the_disk_says_that_a_file_was_written(tmp_path: Path) -> None:
    note, clock = tmp_path / "agent.md", VirtualClock(datetime.fromtimestamp(0, UTC))
    settling = Settling(clock)
    async with Watcher(tmp_path, settling, clock, Bell().ring):
        await clock.advance_to(datetime.now(UTC) + LATENCY / 2)
        note.write_text("x")
        while (due := settling.due()) is None:
            await asyncio.sleep(0.01)
    assert (due - QUIET).timestamp() == pytest.approx(note.stat().st_ctime, abs=0.001)


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


@asynchronous
async def test_a_name_that_is_not_utf_8_means_looking_everywhere_and_other_edits_are_still_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher_module, "AFTER_ERROR", 0.05)
    async with _watching(tmp_path) as (watcher, bell):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/f\xfcr.md")).write_text("odd")
        for _ in range(2):
            # Once for the event that was lost, once when it watches again.
            while watcher.named() is not None:
                await bell.heard()
        (tmp_path / "note.md").write_text("x")
        assert "note.md" in await _named(watcher, bell, {"note.md"})
