"""A remote that is slow or silent holds up nobody but those who talk to it."""

import asyncio
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from support.commits import NOON, commit
from support.git_server import bare_repository
from support.run import asynchronous
from support.vault_clone import VaultClone
from vaultloop.aio.clock import VirtualClock
from vaultloop.aio.supervise import background
from vaultloop.model.status import PushState
from vaultloop.vault.folder.settling import SETTLE
from vaultloop.vault.sync import poller as poller_module
from vaultloop.vault.sync import sync as sync_module
from vaultloop.vault.sync.poller import Poller
from vaultloop.vault.sync.pusher import Pusher
from vaultloop.vault.sync.sync import Sync

PERIOD = timedelta(minutes=1)


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/vault.git"


@pytest.fixture
def human(tmp_path: Path) -> VaultClone:
    """Somebody with a folder that has its own git."""
    human = VaultClone.fresh(tmp_path / "folder")
    human.save("agent/crons/digest.md", "daily")
    return human


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is given up after seconds is given up at once."""
    monkeypatch.setattr(poller_module, "PATIENCE", 0.05)
    monkeypatch.setattr(poller_module, "START_PATIENCE", 0.05)
    monkeypatch.setattr(sync_module, "LAST_WORDS", 0.05)


@asynchronous
async def test_a_saved_declaration_is_taken_while_a_poll_and_a_push_wait_for_a_silent_remote(
    tmp_path: Path, human: VaultClone, silent: str
) -> None:
    clock = VirtualClock(NOON)
    async with Sync(tmp_path / "state", clock, folder=human.path, remote=silent) as sync:
        poller = Poller(sync, PERIOD, clock, on_poll=lambda: None)
        pusher = Pusher(sync, clock, on_push=lambda: None)
        async with background("poll", poller.run()), background("push", pusher.run()):
            while sync.effort.polls == 0:
                await asyncio.sleep(0)
            first = await sync.look(poll=False)
            assert first == human.head
            human.write("agent/crons/digest.md", "paused: true")
            await sync.look({"agent/crons/digest.md"}, poll=False)
            await clock.advance(SETTLE.total_seconds())
            assert await sync.look({"agent/crons/digest.md"}, poll=False) == human.head != first
            made = await sync.git(commit, sync.repository, human.head, {"answer.md": "42"})
            assert (await sync.integrate(made)).revision == made
            assert sync.push_state.state is PushState.LOCAL


@asynchronous
async def test_who_asks_and_the_start_wait_for_a_silent_remote_only_so_long(
    tmp_path: Path, human: VaultClone, silent: str
) -> None:
    clock, begun = VirtualClock(NOON), asyncio.Event()

    async def work() -> None:
        begun.set()

    async with Sync(tmp_path / "state", clock, folder=human.path, remote=silent) as sync:
        poller = Poller(sync, PERIOD, clock, on_poll=lambda: None)
        await poller.asked()
        await poller.then(work)
        assert begun.is_set()


@asynchronous
async def test_the_first_poll_is_taken_before_the_work_begins_and_each_rings(tmp_path: Path) -> None:
    human = VaultClone.of(bare_repository(tmp_path / "vault.git"), tmp_path / "human")
    pushed = human.save("note.md", "one")
    human.push()
    clock, polled = VirtualClock(NOON), asyncio.Queue[int]()
    async with Sync(tmp_path / "state", clock, remote=str(tmp_path / "vault.git")) as sync:
        poller = Poller(sync, PERIOD, clock, on_poll=lambda: polled.put_nowait(sync.effort.polls))
        async with background("poll", poller.run()):
            assert await polled.get() == 1
            assert await sync.look(poll=False) == pushed
            pushed = human.save("note.md", "two")
            human.push()
            poller.ring()
            assert await polled.get() == 2
            assert await sync.look(poll=False) == pushed
            await clock.advance(PERIOD.total_seconds() * 1.2)
            assert await polled.get() == 3


@asynchronous
async def test_leaving_does_not_wait_for_a_silent_remote(
    tmp_path: Path, human: VaultClone, silent: str
) -> None:
    clock = VirtualClock(NOON)
    async with Sync(tmp_path / "state", clock, folder=human.path, remote=silent) as sync:
        poll = asyncio.create_task(sync.poll(), name="poll")
        while sync.effort.polls == 0:
            await asyncio.sleep(0)
    poll.cancel()


@asynchronous
async def test_a_cancellation_that_comes_with_the_end_of_the_first_poll_is_not_forgotten(
    tmp_path: Path, human: VaultClone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poller_module, "START_PATIENCE", 10.0)
    async with Sync(tmp_path / "state", VirtualClock(NOON), folder=human.path) as sync:

        def cancel_soon() -> None:
            asyncio.get_running_loop().call_soon(waiting.cancel)

        poller = Poller(sync, PERIOD, VirtualClock(NOON), on_poll=cancel_soon)

        async def work() -> None:
            await asyncio.Event().wait()

        waiting = asyncio.create_task(poller.then(work), name="work without an end")
        async with background("polls", poller.run()):
            await asyncio.wait([waiting], timeout=5)
    assert waiting.cancelled()
