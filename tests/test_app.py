"""The engine as a whole: what it outlives, and how it ends."""

import asyncio
import shutil
from datetime import datetime
from pathlib import Path

import pytest

from support.commits import commit, unsynced
from support.run import asynchronous
from support.running import NOON, Place, until
from support.vault_clone import git
from vaultloop import app, offline
from vaultloop.aio.clock import VirtualClock
from vaultloop.model.errors import VaultloopError
from vaultloop.state.directory import Busy
from vaultloop.vault.git.repack import MOST_LOOSE
from vaultloop.vault.git.repository import Repository


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


@asynchronous
async def test_at_night_the_engines_own_repository_becomes_few_packs_and_loses_nothing(place: Place) -> None:
    clock = VirtualClock(datetime(2026, 11, 22, 2).astimezone())
    async with place.engine(clock) as running:
        sync = running.engine.sync
        head, own = running.overview()["revision"], sync.own_repository
        assert own is not None
        parked = await sync.git(commit, sync.repository, head, {"answer.md": "parked"})
        await sync.git(sync.repository.keep, "parked/1", parked)
        nameless = await sync.git(commit, sync.repository, head, {"answer.md": "no reference names this"})
        await sync.git(many_answers, sync.repository)
        before = objects(own)
        await clock.advance(3000)
        assert len(loose(own)) > MOST_LOOSE, "it is not three o'clock yet"
        await clock.advance(2.5 * 3600)
        await until(lambda: not loose(own))
        assert before <= objects(own)
        assert await sync.git(sync.repository.kept, "parked/1") == parked
        assert await sync.git(sync.repository.has, nameless)
        assert (await running.push({"Inbox.md": "the day after"})) == running.overview()["applied"]
    git(own, "fsck", "--strict", "--full")


@asynchronous
async def test_a_humans_own_repository_is_left_to_the_humans_git(tmp_path: Path) -> None:
    place = Place.with_folder(tmp_path, own_git=True)
    async with place.engine() as running:
        assert running.engine.sync.own_repository is None
        assert "nightly repack" not in {task.get_name() for task in asyncio.all_tasks()}


def many_answers(repository: Repository) -> None:
    with unsynced():
        for number in range(MOST_LOOSE):
            repository.write_blob(f"{number}".encode())


def objects(repository: Path) -> set[str]:
    told = git(repository, "cat-file", "--batch-all-objects", "--batch-check=%(objectname)")
    return set(told.splitlines())


def loose(repository: Path) -> list[Path]:
    return list((repository / "objects").glob("[0-9a-f][0-9a-f]/*"))
