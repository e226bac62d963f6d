"""Pushing in the background: at once when rung, again and again while it fails."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.commits import NOON, commit
from support.git_server import bare_repository
from support.run import asynchronous
from support.vault_clone import VaultClone, git
from vaultloop.aio.clock import VirtualClock
from vaultloop.aio.supervise import background
from vaultloop.model.status import PushState
from vaultloop.vault.sync.pusher import FIRST_PAUSE, JITTER, LONGEST_PAUSE, Pusher
from vaultloop.vault.sync.sync import Sync


@dataclass
class Desk:
    """A vault that follows a remote, and a pusher at work."""

    origin: Path
    sync: Sync
    clock: VirtualClock
    pusher: Pusher
    told: asyncio.Queue[PushState]

    async def answer(self, text: str) -> str:
        """A session's commit comes onto the branch, and the pusher is rung; the commit."""
        base = await self.sync.git(lambda: self.sync.repository.head)
        made = await self.sync.git(commit, self.sync.repository, base, {"answer.md": text})
        await self.sync.integrate(made)
        self.pusher.ring()
        return made

    @property
    def at_remote(self) -> str:
        return git(self.origin, "rev-parse", "main")

    async def becomes(self, state: PushState) -> None:
        """Returns once those who listen were told of this state."""
        while await self.told.get() is not state:
            pass

    def away(self) -> Path:
        return self.origin.rename(self.origin.with_name("away"))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where the remote and a human's clone of it are."""
    human = VaultClone.of(bare_repository(tmp_path / "vault.git"), tmp_path / "human")
    human.save("note.md", "one")
    human.push()
    return tmp_path


@asynccontextmanager
async def pushing(place: Path) -> AsyncIterator[Desk]:
    clock, told = VirtualClock(NOON), asyncio.Queue[PushState]()
    async with Sync(place / "state", clock, remote=str(place / "vault.git")) as sync:
        await sync.look()
        pusher = Pusher(sync, clock, on_push=lambda: told.put_nowait(sync.push_state.state))
        async with background("push", pusher.run()):
            yield Desk(place / "vault.git", sync, clock, pusher, told)


@asynchronous
async def test_a_ring_brings_the_newest_commit_to_the_remote_and_says_so_once(place: Path) -> None:
    async with pushing(place) as desk:
        made = await desk.answer("42")
        assert desk.sync.push_state.state is PushState.LOCAL
        await desk.becomes(PushState.PUSHED)
        assert desk.at_remote == made
        desk.pusher.ring()
        await desk.clock.advance(LONGEST_PAUSE)
        assert desk.told.empty()


@asynchronous
async def test_what_a_crash_left_behind_is_pushed_at_the_start_without_a_ring(place: Path) -> None:
    async with Sync(place / "state", VirtualClock(NOON), remote=str(place / "vault.git")) as sync:
        base = await sync.look()
        made = await sync.git(commit, sync.repository, base, {"answer.md": "42"})
        await sync.integrate(made)
    async with pushing(place) as desk:
        await desk.becomes(PushState.PUSHED)
        assert desk.at_remote == made


@asynchronous
async def test_a_stranded_push_is_tried_again_after_growing_pauses_until_it_works(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    async def pauses(count: int) -> None:
        """Returns once the pusher has begun so many pauses."""
        while sum("next push in" in message for message in caplog.messages) < count:
            await asyncio.sleep(0)

    async with pushing(place) as desk:
        away = desk.away()
        made = await desk.answer("42")
        await desk.becomes(PushState.STRANDED)
        assert "vault.git" in desk.sync.push_state.message
        since, polls = desk.sync.push_state.since, desk.sync.effort.polls
        await pauses(1)
        steps = (FIRST_PAUSE, FIRST_PAUSE * 2, FIRST_PAUSE * 4, FIRST_PAUSE * 8, LONGEST_PAUSE)
        early = 0.1
        for count, pause in enumerate(steps, start=2):
            await desk.clock.advance(pause * (1 - JITTER) - early)
            assert desk.sync.effort.polls == polls
            late = pause * 2 * JITTER + early
            await desk.clock.advance(late)
            await pauses(count)
            # The try was anywhere within that time, and the next pause began with it.
            early = late + 0.1
            polls += 1
            assert desk.sync.effort.polls == polls
        away.rename(desk.origin)
        await desk.clock.advance(LONGEST_PAUSE * (1 + JITTER))
        await desk.becomes(PushState.PUSHED)
        assert desk.at_remote == made
        assert since == NOON
        assert desk.told.empty()


@asynchronous
async def test_the_next_commit_does_not_wait_for_the_pause_of_a_stranded_one(place: Path) -> None:
    async with pushing(place) as desk:
        away = desk.away()
        await desk.answer("42")
        await desk.becomes(PushState.STRANDED)
        away.rename(desk.origin)
        made = await desk.answer("43")
        await desk.becomes(PushState.PUSHED)
        assert (desk.at_remote, desk.clock.now()) == (made, NOON)


@asynchronous
async def test_commits_that_cannot_be_pushed_either_put_the_next_try_off_no_longer(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with pushing(place) as desk:
        away, made = desk.away(), ""
        for count in range(1, 4):
            made = await desk.answer(str(count))
            while len([text for text in caplog.messages if "next push in" in text]) < count:
                await asyncio.sleep(0)
        away.rename(desk.origin)
        await desk.clock.advance(FIRST_PAUSE * (1 + JITTER))
        await desk.becomes(PushState.PUSHED)
        assert desk.at_remote == made
        assert f"pushed {made[:12]}" in caplog.messages


@asynchronous
async def test_an_ordinary_look_rings_for_a_local_commit_and_leaves_a_stranded_one_its_pause(
    place: Path,
) -> None:
    async with pushing(place) as desk:
        base = await desk.sync.git(lambda: desk.sync.repository.head)
        made = await desk.sync.git(commit, desk.sync.repository, base, {"answer.md": "42"})
        await desk.sync.integrate(made)
        desk.pusher.ring_unless_pushed()
        await desk.becomes(PushState.PUSHED)

        desk.away()
        await desk.answer("43")
        await desk.becomes(PushState.STRANDED)
        polls = desk.sync.effort.polls
        desk.pusher.ring_unless_pushed()
        await desk.clock.advance(FIRST_PAUSE * (1 - JITTER) - 0.1)
        assert desk.sync.effort.polls == polls


@asynchronous
async def test_a_remote_that_is_ahead_is_joined_and_pushed(place: Path) -> None:
    async with pushing(place) as desk:
        theirs = VaultClone(place / "human").save("other.md", "theirs")
        VaultClone(place / "human").push()
        ours = await desk.answer("42")
        await desk.becomes(PushState.PUSHED)
        assert git(desk.origin, "log", "-1", "--format=%P", "main").split() == [ours, theirs]
