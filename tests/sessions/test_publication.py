import os
import shutil
from pathlib import Path

import pytest

from support.desk import NOTES, OWNER, Desk, OpenDesk, ScriptedRun, ScriptedRunner
from support.nested import nest
from support.run import asynchronous
from support.vault_clone import VaultClone
from vaultloop.aio.clock import VirtualClock
from vaultloop.model.conversation import Outcome
from vaultloop.model.errors import Stalled
from vaultloop.sessions.publication import NAMED, Published
from vaultloop.vault.views.view import Refusal

KEY = "console/owner/1"


def test_what_is_all_in_the_vault_needs_no_warning() -> None:
    assert Published("0123").warning == ""
    assert Published(None).warning == ""


def test_a_long_list_of_refusals_is_counted() -> None:
    refused = tuple(Refusal(f"{number}.md", "no") for number in range(NAMED + 5))
    lines = Published(None, refused).warning.splitlines()
    assert lines[0] == "Nothing of this is in the vault."
    assert lines[-1] == "- and 5 more"
    assert len(lines) == NAMED + 4


async def answered_after(engine: OpenDesk, runner: ScriptedRunner, key: str = KEY) -> ScriptedRun:
    await engine.say("work", int(key.rpartition("/")[2]))
    return await runner.spawned.get()


# What a session leaves in the place of its view, and what is said of it.
def removed(view: Path) -> None:
    shutil.rmtree(view)


def all_removed(view: Path) -> None:
    shutil.rmtree(view.parent)


def moved_away(view: Path) -> None:
    view.rename(view.parent / "elsewhere")


def a_link(view: Path) -> None:
    view.rename(view.parent / "elsewhere")
    view.symlink_to(view.parent / "elsewhere")


def another_folder(view: Path) -> None:
    view.rename(view.parent / "elsewhere")
    view.mkdir()


def no_standing(view: Path) -> None:
    (view.parent / "standing.json").write_text('{"files": 7}')


def a_pipe_for_a_standing(view: Path) -> None:
    (view.parent / "standing.json").unlink()
    os.mkfifo(view.parent / "standing.json")


def another_revision(view: Path) -> None:
    standing = view.parent / "standing.json"
    standing.write_text(standing.read_text().replace('"revision": "', '"revision": "f'))


GONE = [removed, all_removed, moved_away, a_link, another_folder, no_standing, a_pipe_for_a_standing]


@pytest.mark.parametrize("left", [*GONE, another_revision], ids=lambda left: left.__name__)
@pytest.mark.parametrize("ok", [True, False], ids=["answered", "failed"])
@asynchronous
async def test_whatever_a_session_leaves_it_ends_failed_publishes_nothing_and_the_next_is_answered(
    tmp_path: Path, left: object, *, ok: bool
) -> None:
    assert callable(left)
    desk = Desk.at(tmp_path)
    runner = desk.scripted()
    async with desk.open() as engine:
        run = await answered_after(engine, runner)
        left(run.cell.view)
        run.ends("All is tidy.", ok=ok)
        record = await engine.answered(KEY)
        assert record.outcome is Outcome.FAILED
        assert record.detail
        (text,) = await desk.chats.has(1)
        # What an agent says is told alone if it failed, and after the bad news if it claims success.
        assert text.startswith("All is tidy.") is not ok
        await is_answered(engine, runner, 2)
    async with desk.open() as engine:
        await is_answered(engine, runner, 3)
        await engine.pushed()
    assert desk.pushed() == []
    assert desk.views() == []


async def is_answered(engine: OpenDesk, runner: ScriptedRunner, number: int) -> None:
    key = f"console/owner/{number}"
    run = await answered_after(engine, runner, key)
    assert sorted(path.name for path in run.cell.view.iterdir()) == sorted(NOTES)
    run.ends("Here.")
    assert (await engine.answered(key)).outcome is Outcome.DONE


@asynchronous
async def test_folders_without_end_are_refused_and_harm_neither_the_engine_nor_a_restart(
    tmp_path: Path,
) -> None:
    desk = Desk.at(tmp_path)
    runner = desk.scripted()
    async with desk.open() as engine:
        run = await answered_after(engine, runner)
        run.write("Garden.md", "tidy")
        nest(run.cell.view / "d", 1500)
        nest(run.cell.home / "d", 1500)
        run.ends("Done.")
        record = await engine.answered(KEY)
        assert record.outcome is Outcome.DONE
        assert record.commit is not None
        assert "it lies too deep" in record.detail
        await is_answered(engine, runner, 2)
    async with desk.open() as engine:
        await is_answered(engine, runner, 3)
    assert desk.views() == []
    assert list((desk.state / "cells").glob("*")) == []


@asynchronous
async def test_folders_without_end_of_a_failed_session_are_kept_and_go_after_a_week(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    runner = desk.scripted()
    async with desk.open() as engine:
        run = await answered_after(engine, runner)
        nest(run.cell.view / "d", 1500)
        run.ends("No.", ok=False)
        record = await engine.answered(KEY)
    kept = desk.state / "kept" / record.id
    assert kept.exists()
    assert isinstance(desk.clock, VirtualClock)
    await desk.clock.advance(8 * 24 * 3600)
    async with desk.open():
        assert not kept.exists()


@asynchronous
async def test_a_session_cannot_empty_the_vault(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path, {f"{number}.md": "x" for number in range(12)})
    runner = desk.scripted()
    async with desk.open() as engine:
        run = await answered_after(engine, runner)
        for note in run.cell.view.iterdir():
            note.unlink()
        run.write("Summary.md", "empty")
        run.ends("Tidy.")
        record = await engine.answered(KEY)
        await engine.pushed()
    assert "- the deletion of 12 files: more than half" in record.detail
    assert desk.at_remote("3.md") == "x"
    assert desk.at_remote("Summary.md") == "empty"


@asynchronous
async def test_a_restore_joins_what_others_wrote_meanwhile_and_says_so(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    runner = desk.scripted()
    async with desk.open() as engine:
        run = await answered_after(engine, runner)
        human = VaultClone(desk.folder / "human")
        human.write("Inbox.md", "by a human")
        human.commit("Inbox")
        human.git("push", "-q", "origin", "HEAD:main")
        await engine.sync.look()
        run.write("Inbox.md", "by the agent")
        run.ends("Out of luck.", ok=False)
        record = await engine.answered(KEY)
        said = await engine.dispatcher.restore(record.id)
        await engine.sync.push()
    assert said.startswith("Others wrote in the same places meanwhile:\n- Inbox.md: ")
    assert "Published as" in said
    joined = desk.at_remote("Inbox.md")
    assert joined.startswith("by a human\n")
    assert "> by the agent" in joined


@asynchronous
async def test_a_restore_that_is_parked_says_so_and_keeps_the_work(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    desk.watched = tmp_path / "watched"
    desk.watched.mkdir()
    runner = desk.scripted()
    async with desk.open() as engine:
        run = await answered_after(engine, runner)
        # What is no regular file is not ours to commit, nor to replace.
        note = desk.watched / "Inbox.md"
        note.unlink()
        note.symlink_to("elsewhere.md")
        run.write("Inbox.md", "by the agent")
        run.ends("Written.", ok=False)
        record = await engine.answered(KEY)
        for _ in range(2):
            with pytest.raises(Stalled, match=r"Nothing of this is in the vault(.|\n)*git .*show(.|\n)*kept"):
                await engine.dispatcher.restore(record.id)
        again = engine.turns.get(record.id)
        assert again is not None
        assert f"sessions restore {record.id}" in again.detail
    assert note.is_symlink()
    assert (desk.state / "kept" / record.id).exists()


@asynchronous
async def test_a_restore_of_what_may_not_be_published_keeps_the_work(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    runner = desk.scripted()
    async with desk.open() as engine:
        run = await answered_after(engine, runner)
        run.write("CLAUDE.md", "Obey.")
        run.ends("No.", ok=False)
        record = await engine.answered(KEY)
        with pytest.raises(Stalled, match="only a human may change it"):
            await engine.dispatcher.restore(record.id)
    assert (desk.state / "kept" / record.id).exists()


@asynchronous
async def test_a_restore_is_on_the_record(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    runner = desk.scripted()
    async with desk.open() as engine:
        run = await answered_after(engine, runner)
        run.write("Inbox.md", "half")
        run.ends("Out of luck.", ok=False)
        record = await engine.answered(KEY)
        said = await engine.dispatcher.restore(record.id)
        again = engine.turns.get(record.id)
    assert again is not None
    assert again.outcome is Outcome.FAILED
    assert said == f"Published as {str(again.commit)[:12]}."
    assert again.detail == f"Out of luck. {said}"


@asynchronous
async def test_a_view_beyond_the_grants_is_told_first(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    desk.guard.policies = [OWNER]
    runner = desk.scripted()
    async with desk.open() as engine:
        run = await answered_after(engine, runner)
        run.write("CLAUDE.md", "Obey.")
        run.ends("CLAUDE.md is written.")
        await engine.answered(KEY)
        (text,) = await desk.chats.has(1)
    assert text.startswith("Nothing of this is in the vault.\n\nNot published:\n- CLAUDE.md: ")
    assert text.endswith("\n\nCLAUDE.md is written.")
