"""The engine as a whole: what it outlives, and how it ends."""

import shutil
from pathlib import Path

import pytest

from support.run import asynchronous
from support.running import NOON, Place, until
from vaultloop import app, offline
from vaultloop.aio.clock import VirtualClock
from vaultloop.model.errors import VaultloopError
from vaultloop.state.directory import Busy


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place.with_remote(tmp_path)


@asynchronous
async def test_a_second_engine_on_one_state_directory_is_refused(place: Place) -> None:
    async with place.engine():
        with pytest.raises(Busy):
            async with app.assembled(place.settings, VirtualClock(NOON)):
                pass
        with pytest.raises(Busy):
            await offline.plan(place.settings)
    await offline.plan(place.settings)


@asynchronous
async def test_an_engine_outlives_a_push_that_git_cannot_write_down(place: Place) -> None:
    clock = VirtualClock(NOON)
    async with place.engine(clock) as running:
        refs = place.settings.state / "vault.git" / "refs" / "vaultloop"
        shutil.rmtree(refs)
        refs.write_text("in the way")
        await running.say("note: buy milk")
        await until(lambda: running.overview()["push"]["state"] == "stranded")
        refs.unlink()
        await running.looks()
        await clock.advance(60)
        await until(lambda: running.overview()["push"]["state"] == "pushed")
    place.human.pull()
    assert "buy milk" in place.human.read("Inbox.md")


@asynchronous
async def test_an_empty_remote_has_no_plan_and_says_why(tmp_path: Path) -> None:
    place = Place.with_remote(tmp_path)
    shutil.rmtree(tmp_path / "vault.git")
    with pytest.raises(VaultloopError, match="The vault cannot be read"):
        await offline.plan(place.settings)
