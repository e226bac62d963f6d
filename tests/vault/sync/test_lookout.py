"""A look covers what was announced since the last one, and nothing that was announced is lost."""

from pathlib import Path

import pygit2
import pytest

from support.commits import NOON
from support.git_server import bare_repository
from support.run import asynchronous
from support.vault_clone import VaultClone
from vaultloop.aio.bell import Bell
from vaultloop.aio.clock import SystemClock, VirtualClock
from vaultloop.model.status import PushState
from vaultloop.vault.folder.folder import MEANT
from vaultloop.vault.folder.settling import QUIET
from vaultloop.vault.folder.watcher import Watcher
from vaultloop.vault.sync.lookout import Lookout
from vaultloop.vault.sync.sync import Sync

# The system's clock: the watcher hears of real files.
SOON = QUIET / 1000


class Desk:
    """A folder with its own git, a remote, and the human who has both."""

    def __init__(self, place: Path) -> None:
        self.folder, self.state = place / "folder", place / "state"
        self.origin = bare_repository(place / "vault.git")
        self.human = VaultClone.of(self.origin, self.folder)
        self.human.save("note.md", "one")
        self.human.push()
        self.lock = self.folder / ".git" / "index.lock"

    def sync(self, clock: VirtualClock | SystemClock) -> Sync:
        return Sync(self.state, clock, folder=self.folder, remote=str(self.origin), settle=SOON, quiet=SOON)

    def push_elsewhere(self, path: str, text: str) -> str:
        """Somebody pushes from another clone."""
        other = VaultClone.of(self.origin, self.folder.parent / f"clone of {path}")
        saved = other.save(path, text)
        other.push()
        return saved


def _paused(lookout: Lookout) -> str:
    return lookout.paused or ""


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@asynchronous
async def test_the_first_look_walks_and_the_next_does_not_and_none_asks_the_remote(desk: Desk) -> None:
    async with desk.sync(VirtualClock(NOON)) as sync:
        lookout = Lookout(sync, None)
        assert await lookout.look() == desk.human.head
        assert (sync.effort.polls, sync.effort.walks) == (0, 1)
        stats = sync.effort.stats
        desk.push_elsewhere("other.md", "x")
        assert await lookout.look() == desk.human.head
        assert (sync.effort.polls, sync.effort.walks, sync.effort.stats) == (0, 1, stats)


@asynchronous
async def test_what_was_polled_is_what_the_next_look_returns(desk: Desk) -> None:
    async with desk.sync(VirtualClock(NOON)) as sync:
        lookout = Lookout(sync, None)
        await lookout.look()
        pushed = desk.push_elsewhere("other.md", "x")
        await sync.poll()
        assert await lookout.look() == pushed
        await lookout.look()
        assert (sync.effort.polls, sync.effort.walks) == (1, 1)
        assert lookout.push_state.state is PushState.PUSHED


@asynchronous
async def test_a_walk_that_is_due_finds_what_no_event_told_of(desk: Desk) -> None:
    clock = VirtualClock(NOON)
    async with desk.sync(clock) as sync:
        lookout = Lookout(sync, None)
        first = await lookout.look()
        desk.human.write("note.md", "two")
        assert await lookout.look() == first
        lookout.walk_is_due()
        assert await lookout.look() == first
        await clock.advance(1)
        lookout.walk_is_due()
        assert await lookout.look() != first
        assert sync.effort.walks == 3


@asynchronous
async def test_a_saved_note_does_not_wait_for_the_remote(desk: Desk) -> None:
    bell, clock = Bell(), SystemClock()
    async with desk.sync(clock) as sync, Watcher(desk.folder, sync.settling, clock, bell.ring) as watcher:
        lookout = Lookout(sync, watcher)
        first = await lookout.look()
        desk.human.write("note.md", "two")
        while await lookout.look() == first:
            await bell.heard()
        assert (sync.effort.polls, sync.effort.walks) == (0, 1)


@asynchronous
async def test_an_edit_that_gits_lock_kept_from_us_is_taken_as_soon_as_the_lock_is_gone(desk: Desk) -> None:
    bell, clock = Bell(), SystemClock()
    async with desk.sync(clock) as sync, Watcher(desk.folder, sync.settling, clock, bell.ring) as watcher:
        lookout = Lookout(sync, watcher)
        first = await lookout.look()
        desk.lock.touch()
        desk.human.write("note.md", "two")
        while "note.md" not in (named := watcher.named() or set()):
            await bell.heard()
        assert await sync.look(named) == first
        desk.lock.unlink()
        while await lookout.look() == first:
            await bell.heard()
        assert sync.effort.walks == 1


@asynchronous
async def test_a_walk_that_gits_lock_prevented_is_made_up_for(desk: Desk) -> None:
    clock = VirtualClock(NOON)
    desk.human.write("note.md", "edited while the engine was away")
    async with desk.sync(clock) as sync:
        lookout = Lookout(sync, None)
        await lookout.look()
        await clock.advance(1)
        lookout.walk_is_due()
        desk.lock.touch()
        before = await lookout.look()
        desk.lock.unlink()
        assert await lookout.look() != before
        assert lookout.paused is None


@asynchronous
async def test_a_folder_that_comes_back_is_looked_through(desk: Desk) -> None:
    clock = VirtualClock(NOON)
    async with desk.sync(clock) as sync:
        lookout = Lookout(sync, None)
        first = await lookout.look()
        away = desk.folder.rename(desk.folder.with_name("away"))
        (away / "note.md").write_text("edited elsewhere")
        lookout.walk_is_due()
        assert await lookout.look() == first
        assert "is not there" in _paused(lookout)
        away.rename(desk.folder)
        await lookout.look()
        await clock.advance(1)
        lookout.walk_is_due()
        assert await lookout.look() != first


@asynchronous
async def test_saying_that_a_mass_deletion_is_meant_rings(desk: Desk) -> None:
    bell, clock = Bell(), SystemClock()
    async with desk.sync(clock) as sync, Watcher(desk.folder, sync.settling, clock, bell.ring) as watcher:
        lookout = Lookout(sync, watcher)
        first = await lookout.look()
        (desk.folder / "note.md").unlink()
        while lookout.paused is None:
            await bell.heard()
            await lookout.look()
        (desk.folder / MEANT).touch()
        while await lookout.look() == first:
            await bell.heard()
        assert lookout.paused is None


@asynchronous
async def test_what_keeps_folder_and_remote_back_is_said_together(desk: Desk) -> None:
    async with desk.sync(VirtualClock(NOON)) as sync:
        lookout = Lookout(sync, None)
        await lookout.look()
        assert not _paused(lookout)
        desk.origin.rename(desk.origin.with_name("elsewhere"))
        await sync.poll()
        await lookout.look()
        desk.folder.rename(desk.folder.with_name("away"))
        await lookout.look()
        assert f"{desk.origin} could not be asked" in _paused(lookout)
        assert f"The folder {desk.folder} is not there." in _paused(lookout)


@asynchronous
async def test_a_look_that_failed_is_made_up_for_by_the_next(desk: Desk) -> None:
    branch = desk.folder / ".git" / "refs" / "heads" / "main"
    async with desk.sync(VirtualClock(NOON)) as sync:
        lookout = Lookout(sync, None)
        first = await lookout.look()
        pushed = desk.push_elsewhere("other.md", "x")
        await sync.poll()
        branch.write_text("garbage\n")
        with pytest.raises(pygit2.GitError):
            await lookout.look()
        branch.write_text(f"{first}\n")
        assert await lookout.look() == pushed
        assert sync.effort.walks == 2
