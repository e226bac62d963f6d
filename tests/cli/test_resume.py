"""`vaultloop resume`: what sync stands still for is looked at again or accepted, by an engine or alone."""

import asyncio
from pathlib import Path

import pytest

from support.run import asynchronous
from support.running import BASE, Place
from support.vault_clone import git


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place.with_remote(tmp_path, BASE)
    place.push({"note.md": "one\n"})
    return place


def rewritten(place: Place) -> str:
    """The human throws their newest commit away, and forces another one on the remote."""
    place.human.git("reset", "-q", "--hard", "HEAD~1")
    saved = place.human.save("other.md", "rewritten\n")
    place.human.push("--force")
    return saved


@asynchronous
async def test_a_running_engine_follows_the_history_that_its_owner_names(place: Place) -> None:
    def run(*words: str, expect: int = 0) -> str:
        return place.installation.run("resume", *words, expect=expect)

    async with place.engine() as running:
        assert await asyncio.to_thread(run) == "Nothing stands still.\n"
        await asyncio.to_thread(run, "--accept-remote", place.human.head, expect=1)
        new = await asyncio.to_thread(rewritten, place)
        said = await asyncio.to_thread(run, expect=1)
        assert f"--accept-remote {new[:12]}" in " ".join(said.split())
        said = await asyncio.to_thread(run, "--accept-remote", new[:8])
        assert f"follows {new[:12]} now" in said
        await running.looks()
        assert running.overview()["revision"] == new
        assert "refs/vaultloop/rescue/" in " ".join(running.overview()["attention"])


@asynchronous
async def test_without_an_engine_it_is_accepted_and_pushed_and_status_knows_the_last_contact(
    place: Place,
) -> None:
    async with place.engine() as running:
        await running.say("append 42 to Inbox")
        old = running.engine.sync.at_remote
    new = rewritten(place)
    said = place.installation.json("resume", "--accept-remote", new)["message"]
    assert "is joined on top" in said or "Nothing was only here" in said
    assert place.remote is not None
    assert git(place.remote, "merge-base", "--is-ancestor", new, "main") == ""
    kept = git(place.settings.state / "vault.git", "for-each-ref", "refs/vaultloop/rescue/")
    assert str(old) in kept
    status = place.installation.json("status")
    assert status["contact"] is not None
    assert "answered last at" in place.installation.run("status")
