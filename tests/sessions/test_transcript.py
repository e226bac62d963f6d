"""Conversations that go on from one message to the next."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from support.desk import OWNER, Desk, ScriptedRun, ScriptedRunner, cron_turn
from support.run import asynchronous
from vaultloop.model.cell import Transcript
from vaultloop.model.conversation import Outcome
from vaultloop.sessions import transcript

KEY = "console/owner/{}"


def desk_that_goes_on(folder: Path) -> tuple[Desk, ScriptedRunner]:
    desk = Desk.at(folder)
    desk.guard.policies = [replace(OWNER, conversation="continue")]
    return desk, desk.scripted()


def heard(run: ScriptedRun) -> str | None:
    """What the agent remembers when it starts."""
    if run.task.resume is None:
        return None
    assert run.task.resume.file.parent == run.cell.scratch
    assert run.task.resume.file.stat().st_mode & 0o777 == 0o600
    return run.task.resume.file.read_text()


@asynchronous
async def test_each_message_goes_on_where_the_last_answer_ended(tmp_path: Path) -> None:
    desk, runner = desk_that_goes_on(tmp_path)
    for number, before in enumerate((None, "talk 0", "talk 1")):
        # Also over a restart.
        async with desk.open() as engine:
            await engine.say("and then?", number)
            run = await runner.spawned.get()
            assert run.task.keep_transcript
            assert heard(run) == before
            if run.task.resume:
                assert (run.task.resume.id, run.task.resume.spent_usd) == ("name-of-the-program", number)
            run.ends(transcript=run.remembers(f"talk {number}", spent_usd=number + 1))
            assert (await engine.answered(KEY.format(number))).outcome is Outcome.DONE
    (kept,) = (path for path in (desk.state / "transcripts").rglob("*") if path.is_file())
    assert kept.read_text() == "talk 2"
    assert kept.stat().st_mode & 0o777 == 0o600


@asynchronous
async def test_a_fresh_scope_and_a_cron_remember_nothing(tmp_path: Path) -> None:
    desk, runner = desk_that_goes_on(tmp_path)
    async with desk.open() as engine:
        engine.dispatcher.start(cron_turn())
        run = await runner.spawned.get()
        assert not run.task.keep_transcript
        run.ends(transcript=run.remembers("talk"))
        await engine.answered(cron_turn().key)
        desk.guard.policies = [OWNER]
        for number in (1, 2):
            await engine.say("hello", number)
            run = await runner.spawned.get()
            assert (run.task.keep_transcript, run.task.resume) == (False, None)
            run.ends(transcript=run.remembers("talk"))
            await engine.answered(KEY.format(number))
    assert not (desk.state / "transcripts").exists()


@asynchronous
async def test_what_was_remembered_goes_when_the_scope_becomes_fresh(tmp_path: Path) -> None:
    desk, runner = desk_that_goes_on(tmp_path)
    async with desk.open() as engine:
        for number in (1, 2):
            await engine.say("hello", number)
            run = await runner.spawned.get()
            run.ends(transcript=run.remembers("talk"))
            await engine.answered(KEY.format(number))
            desk.guard.policies = [OWNER]
    assert not [path for path in (desk.state / "transcripts").rglob("*") if path.is_file()]


@asynchronous
async def test_after_the_scope_was_changed_a_conversation_starts_afresh(tmp_path: Path) -> None:
    desk, runner = desk_that_goes_on(tmp_path)
    wide = desk.guard.policies[0]
    async with desk.open() as engine:
        for number, policy in enumerate((wide, replace(wide, can_read=("Inbox.md",)), wide)):
            desk.guard.policies = [policy]
            await engine.say("hello", number)
            run = await runner.spawned.get()
            assert heard(run) is None
            run.ends(transcript=run.remembers("talk"))
            await engine.answered(KEY.format(number))


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.CANCELLED])
@asynchronous
async def test_what_had_no_answer_is_not_remembered(tmp_path: Path, outcome: Outcome) -> None:
    desk, runner = desk_that_goes_on(tmp_path)
    async with desk.open() as engine:
        await engine.say("hello", 1)
        run = await runner.spawned.get()
        run.ends(transcript=run.remembers("the first talk"))
        await engine.answered(KEY.format(1))
        await engine.say("and now something that goes wrong", 2)
        run = await runner.spawned.get()
        if outcome is Outcome.FAILED:
            run.ends(ok=False, transcript=run.remembers("a broken talk"))
        else:
            run.remembers("a broken talk")
            await engine.dispatcher.cancel(KEY.format(2), outcome)
        assert (await engine.answered(KEY.format(2))).outcome is outcome
        await engine.say("again", 3)
        run = await runner.spawned.get()
        assert heard(run) == "the first talk"
        run.ends()
        await engine.answered(KEY.format(3))
        # A program that keeps nothing takes nothing away either.
        await engine.say("again", 4)
        run = await runner.spawned.get()
        assert heard(run) == "the first talk"
        run.ends()
        await engine.answered(KEY.format(4))


@asynchronous
async def test_a_transcript_that_cannot_be_used_is_left_out_once(tmp_path: Path) -> None:
    desk, runner = desk_that_goes_on(tmp_path)
    async with desk.open() as engine:
        await engine.say("hello", 1)
        run = await runner.spawned.get()
        run.ends(transcript=run.remembers("damaged"))
        await engine.answered(KEY.format(1))
        await engine.say("and then?", 2)
        run = await runner.spawned.get()
        assert heard(run) == "damaged"
        run.ends("No conversation found.", ok=False, resumable=False)
        run = await runner.spawned.get()
        assert (run.task.prompt, heard(run)) == ("and then?", None)
        run.ends("Hello again.", transcript=run.remembers("afresh"))
        assert (await engine.answered(KEY.format(2))).reply == "Hello again."
        await engine.say("and then?", 3)
        run = await runner.spawned.get()
        assert heard(run) == "afresh"
        run.ends(ok=False, resumable=False)
        (await runner.spawned.get()).ends("It does not get better.", ok=False, resumable=False)
        assert (await engine.answered(KEY.format(3))).outcome is Outcome.FAILED


@asynchronous
async def test_a_transcript_that_is_gone_does_not_stop_the_conversation(tmp_path: Path) -> None:
    desk, runner = desk_that_goes_on(tmp_path)
    async with desk.open() as engine:
        for number in (1, 2):
            await engine.say("hello", number)
            run = await runner.spawned.get()
            assert heard(run) is None
            run.ends(transcript=run.remembers("talk"))
            await engine.answered(KEY.format(number))
            for path in (desk.state / "transcripts").glob("*/*"):
                path.unlink()


def link(run: ScriptedRun, secret: Path) -> Transcript:
    found = run.remembers("talk")
    found.file.unlink()
    found.file.symlink_to(secret)
    return found


def link_above(run: ScriptedRun, secret: Path) -> Transcript:
    found = run.remembers("talk")
    found.file.unlink()
    found.file.parent.rmdir()
    found.file.parent.symlink_to(secret.parent)
    return replace(found, file=found.file.parent / secret.name)


def second_name(run: ScriptedRun, secret: Path) -> Transcript:
    found = run.remembers("talk")
    found.file.unlink()
    os.link(secret, found.file)
    return found


def pipe(run: ScriptedRun, secret: Path) -> Transcript:
    found = run.remembers("talk")
    found.file.unlink()
    os.mkfifo(found.file)
    return found


def elsewhere(run: ScriptedRun, secret: Path) -> Transcript:
    return replace(run.remembers("talk"), file=secret)


def upwards(run: ScriptedRun, secret: Path) -> Transcript:
    return replace(run.remembers("talk"), file=run.cell.home / "../../../../" / secret.name)


def gone(run: ScriptedRun, secret: Path) -> Transcript:
    found = run.remembers("talk")
    found.file.unlink()
    return found


def too_long(run: ScriptedRun, secret: Path) -> Transcript:
    found = run.remembers("talk")
    with found.file.open("wb") as file:
        file.truncate(transcript.LONGEST + 1)
    return found


@pytest.mark.parametrize("trick", [link, link_above, second_name, pipe, elsewhere, upwards, gone, too_long])
@asynchronous
async def test_nothing_but_an_ordinary_file_of_the_cell_is_remembered(
    tmp_path: Path, trick: Callable[[ScriptedRun, Path], Transcript]
) -> None:
    desk, runner = desk_that_goes_on(tmp_path)
    secret = tmp_path / "secret"
    secret.write_text("a key of the engine")
    async with desk.open() as engine:
        await engine.say("hello", 1)
        run = await runner.spawned.get()
        run.ends(transcript=run.remembers("the first talk"))
        await engine.answered(KEY.format(1))
        await engine.say("hello", 2)
        run = await runner.spawned.get()
        run.ends("An answer.", transcript=trick(run, secret))
        # The answer counts; what cannot be remembered lets the conversation start afresh.
        assert (await engine.answered(KEY.format(2))).reply == "An answer."
        await engine.say("hello", 3)
        run = await runner.spawned.get()
        assert heard(run) is None
        run.ends()
        await engine.answered(KEY.format(3))
    assert not [path for path in (desk.state / "transcripts").rglob("*") if path.is_file()]
