"""`vaultloop rollback`, `pin` and `unpin`, with and without a running engine."""

import asyncio
from pathlib import Path

import pytest

from support.notes import OWNER, scope
from support.run import asynchronous
from support.running import BASE, Place
from support.vault_clone import git

FAMILY = "agent/scopes/family.md"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place.with_remote(tmp_path, BASE)


def last_good(place: Place, revision: str) -> None:
    """As if `revision` had stayed healthy."""
    git(place.settings.state / "vault.git", "update-ref", "refs/vaultloop/last-good", revision)


@asynchronous
async def test_a_running_engine_goes_back_pushes_it_and_can_come_back(place: Place) -> None:
    good = place.human.head
    async with place.engine() as running:
        newest = await running.push({FAMILY: scope(), "Inbox.md": "mine\n"})
        assert "scope/family" in running.conditions()
        last_good(place, good)
        said = await asyncio.to_thread(place.installation.json, "rollback", "--yes")
        assert said["paths"] == [FAMILY]
        assert f"Rolled back to {good[:10]} in {FAMILY}" in said["message"]
        await running.looks()
        assert "scope/family" not in running.conditions()
        await running.engine.sync.push()
        place.human.pull()
        assert place.human.read("Inbox.md") == "mine\n"
        assert not (place.human.path / FAMILY).exists()
        back = await asyncio.to_thread(place.installation.json, "rollback", newest[:10], "--yes")
        assert back["paths"] == [FAMILY]
        await running.looks()
        assert "scope/family" in running.conditions()


@asynchronous
async def test_without_an_engine_it_is_shown_done_and_pushed(place: Place) -> None:
    good, run = place.human.head, place.installation.run
    async with place.engine() as running:
        await running.push({FAMILY: scope(), "agent/scopes/owner.md": OWNER + "\nBe brief.\n"})
    shown = run("rollback", good, expect=64)
    assert f"delete  {FAMILY}" in shown
    assert "restore agent/scopes/owner.md" in shown
    assert "- scope family" in shown
    assert "Rolled back to" in run("rollback", good, "--path", FAMILY, "--yes")
    place.human.pull()
    assert not (place.human.path / FAMILY).exists()
    assert "Be brief." in place.human.read("agent/scopes/owner.md")
    assert "Asked-By: owner (cli)" in place.human.git("log", "-1", "--format=%B")


@asynchronous
async def test_going_back_to_nothing_in_particular_says_what_to_name(place: Place) -> None:
    async with place.engine():
        pass
    installation = place.installation
    assert installation.run("rollback", expect=1) == ""
    assert installation.run("rollback", "nowhere", "--yes", expect=1) == ""
    assert installation.run("rollback", "HEAD", "--json", expect=64) == ""
    assert "Nothing to roll back" in installation.run("rollback", "HEAD", "--yes")


@asynchronous
async def test_a_pinned_revision_runs_through_restarts_while_sync_goes_on(place: Place) -> None:
    pinned = place.human.head
    async with place.engine() as running:
        await running.push({FAMILY: scope()})
        said = await asyncio.to_thread(place.installation.run, "pin", pinned[:10])
        assert f"Pinned: what {pinned[:10]} declares runs" in said
        await running.looks()
        assert "scope/family" not in running.conditions()
        newest = await running.push({"Inbox.md": "still taken\n"})
        assert running.engine.sync.repository.head == newest
    async with place.engine() as running:
        assert "scope/family" not in running.conditions()
        (said,) = [one for one in running.overview()["attention"] if "PINNED" in one]
        assert pinned[:12] in said
    assert "Unpinned" in place.installation.run("unpin")
    assert "Nothing is pinned." in place.installation.run("unpin")
    async with place.engine() as running:
        assert "scope/family" in running.conditions()
        assert running.overview()["attention"] == []
