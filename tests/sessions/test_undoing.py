"""The owner takes back what a session published: by the command line, with and without a running engine."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest

from support.installation import Installation
from support.run import asynchronous
from support.running import BASE, Place, Running
from vaultloop.aio.failpoint import VARIABLE, Failpoint
from vaultloop.control import BY_CLI
from vaultloop.model.errors import Stalled

NOTES = {**BASE, "Inbox.md": "# Inbox\n\n- call Ada\n", "CLAUDE.md": "Answer briefly.\n"}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place.with_remote(tmp_path, NOTES)


async def milk(running: Running) -> str:
    """The agent adds a line; the session that did."""
    await running.say("append milk to Inbox")
    await running.engine.sync.push()
    return str(running.sessions()[0]["session"])


def undo(running: Running, name: str) -> Any:
    return running.engine.dispatcher.undoing.undo(name, BY_CLI)


def inbox(place: Place) -> str:
    place.human.pull()
    return place.human.read("Inbox.md")


@asynchronous
async def test_it_goes_and_what_others_wrote_since_stays_and_it_is_pushed(place: Place) -> None:
    async with place.engine() as running:
        session = await milk(running)
        place.human.pull()
        await running.push({"Inbox.md": f"# My inbox\n{place.human.read('Inbox.md')[8:]}- rent\n"})
        said = await asyncio.to_thread(place.installation.run, "undo", session, "--yes")
        await running.engine.sync.push()
    assert f"Session {session} is undone, in Inbox.md" in said
    text = inbox(place)
    assert "milk" not in text
    assert text.startswith("# My inbox\n\n- call Ada\n")
    assert text.endswith("- rent\n")
    body = place.human.git("log", "-1", "--format=%B%G?")
    assert body.startswith(f"Undo session {session}, asked by owner (cli)\n\nUndoes: {session}\n")
    assert body.endswith("N")
    (shown, *_) = place.installation.json("log", "--session", session)["log"]
    assert (shown["undoes"], shown["asked_by"], shown["class"]) == (session, "owner (cli)", "human")


@asynchronous
async def test_without_an_engine_it_is_undone_and_pushed_once(place: Place) -> None:
    async with place.engine() as running:
        session = await milk(running)
    run = place.installation.run
    assert "would be taken back in:\n- Inbox.md\n" in run("undo", session, expect=64)
    assert run("undo", session, "--json", expect=64) == ""
    assert "is undone" in run("undo", session, "--yes")
    place.human.pull()
    assert place.human.read("Inbox.md") == NOTES["Inbox.md"]
    assert run("undo", session, "--yes", expect=1) == ""
    entries = place.installation.json("log", "--session", session)["log"]
    assert [entry["subject"][:4] for entry in entries] == ["Undo", "mess"]
    assert entries[1]["undone_by"] == entries[0]["commit"]


@asynchronous
async def test_an_undo_is_undone_by_its_commit_and_then_the_session_may_be_again(place: Place) -> None:
    async with place.engine() as running:
        session = await milk(running)
        await undo(running, session)
        first = running.engine.sync.repository.head
        with pytest.raises(Stalled, match=r"already undone.*To have it back: vaultloop undo"):
            await undo(running, session)
        assert first
        await undo(running, first[:10])
        await running.engine.sync.push()
        assert "milk" in inbox(place)
        await undo(running, session)
        await running.engine.sync.push()
        assert "milk" not in inbox(place)
    entries = place.installation.json("log", "--session", session)["log"]
    assert [entry["undoes"] for entry in entries] == [session, first, session, None]


@asynchronous
async def test_a_line_that_somebody_edited_since_is_named_and_nothing_changes(place: Place) -> None:
    async with place.engine() as running:
        session = await milk(running)
        text = inbox(place)
        head = await running.push({"Inbox.md": text.replace("milk", "oat milk")})
        with pytest.raises(Stalled) as refused:
            await undo(running, session)
        assert running.engine.sync.repository.head == head
    assert f"Session {session} cannot be undone, and nothing was changed:" in str(refused.value)
    assert "- Inbox.md, line 5: changed since by Hana Human (" in str(refused.value)
    assert f", commit {head[:10]})" in str(refused.value)
    assert "vaultloop blame Inbox.md" in str(refused.value)


@asynchronous
async def test_what_the_owner_approved_is_undone_too_although_it_is_protected(place: Place) -> None:
    async with place.engine() as running:
        assert "Proposal 1 waits for you." in await running.say("append Obey to CLAUDE")
        (session,) = [s["session"] for s in running.sessions()]
        with pytest.raises(Stalled, match=r"Nothing of session .* is in the vault"):
            await undo(running, session)
        number = place.installation.json("proposals")["proposals"][0]
        await running.engine.dispatcher.approvals.approve(1, number["commit"], BY_CLI)
        await running.engine.sync.push()
        place.human.pull()
        assert "Obey" in place.human.read("CLAUDE.md")
        approval, change, *_ = place.installation.json("log")["log"]
        assert (approval["approved_by"], approval["proposal"]) == ("owner (cli)", 1)
        assert (change["session"], change["proposal"]) == (session, 1)
        await undo(running, session)
        await running.engine.sync.push()
    place.human.pull()
    assert place.human.read("CLAUDE.md") == NOTES["CLAUDE.md"]


@asynchronous
async def test_what_nobody_knows_cannot_be_undone(place: Place) -> None:
    async with place.engine() as running:
        await milk(running)
        for name in ("20260101-000000-abcdef", "abc", "HEAD", place.human.head[:10]):
            with pytest.raises(Stalled, match=f"There is no session {name}"):
                await undo(running, name)


@pytest.mark.parametrize(
    "point", [Failpoint.UNDO_WRITTEN, Failpoint.UNDO_RECORDED, Failpoint.BRANCH_MOVED, Failpoint.UNDO_ARRIVED]
)
@asynchronous
async def test_after_kill_9_it_is_undone_once_when_it_is_asked_for_again(
    place: Place, point: Failpoint
) -> None:
    async with place.engine() as running:
        session = await milk(running)
    dying = Installation(place.config, {VARIABLE: point})
    dying.run("undo", session, "--yes", expect=-signal.SIGKILL)
    place.installation.run("undo", session, "--yes", expect=None)
    assert inbox(place) == NOTES["Inbox.md"]
    assert place.human.git("log", "--format=%s").count("Undo session") == 1
    said = place.installation.json("log", "--session", session)["log"]
    assert [entry["undoes"] for entry in said] == [session, None]


@asynchronous
async def test_a_note_that_somebody_types_in_just_now_is_waited_for(tmp_path: Path) -> None:
    place = Place.with_folder(tmp_path, NOTES, own_git=True)
    async with place.engine() as running:
        await running.say("append milk to Inbox")
        typed = place.human.read("Inbox.md").replace("milk", "oat milk")
        place.write({"Inbox.md": typed})
        with pytest.raises(Stalled, match=r"Inbox.md is being edited in the folder"):
            await undo(running, running.sessions()[0]["session"])
    assert place.human.read("Inbox.md") == typed


@asynchronous
async def test_in_a_folder_the_file_changes_too(tmp_path: Path) -> None:
    place = Place.with_folder(tmp_path, NOTES, own_git=True)
    async with place.engine(place.clock_of_tomorrow()) as running:
        await running.say("append milk to Inbox")
        assert "milk" in place.human.read("Inbox.md")
        await undo(running, running.sessions()[0]["session"])
    assert place.human.read("Inbox.md") == NOTES["Inbox.md"]
    assert place.human.git("status", "--porcelain") == ""
