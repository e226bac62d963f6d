import logging
import shlex
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from support.desk import OWNER, Chats, Desk, cron_turn
from support.run import asynchronous
from support.vault_clone import VaultClone, git
from vaultloop.aio.clock import VirtualClock
from vaultloop.model.conversation import NOTHING_TO_SAY, AgentDefaults, Outcome, SendWhen
from vaultloop.model.errors import Stalled
from vaultloop.model.policy import Audience
from vaultloop.vault.git.signing import AuthorClass, Signer, author_class

KEY = "console/owner/1"


def python(program: str) -> AgentDefaults:
    """Defaults whose agent is a small program."""
    return AgentDefaults(command=shlex.join([sys.executable, "-c", program]))


@asynchronous
async def test_a_message_becomes_an_answer_and_a_signed_commit_with_an_audit_trail(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    async with desk.open() as engine:
        await engine.say("note: buy milk")
        record = await engine.answered(KEY)
        assert await desk.chats.has(1) == ["Added to [[Inbox]]."]
        await engine.pushed()
        repository, signer = engine.sync.repository, Signer.load(desk.state)
        assert record.commit is not None
        made = await engine.sync.git(author_class, repository, record.commit, signer)
        trailers = dict((await engine.sync.git(repository.read_commit, record.commit)).trailers)
    assert made is AuthorClass.AGENT
    assert trailers == {
        "Session": record.id,
        "Scope": "owner",
        "Trigger": "message console",
        "Policy": OWNER.id,
        "Model": "none",
        "Cost-USD": "0.0000",
    }
    assert desk.pushed() == ["message console: 1 note changed"]
    assert desk.at_remote("Inbox.md") == "# Inbox\n\n- buy milk"
    assert record.outcome is Outcome.DONE
    assert desk.rung.is_set()


@asynchronous
async def test_a_cron_commits_without_saying_anything(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    async with desk.open() as engine:
        engine.dispatcher.start(cron_turn())
        record = await engine.answered(cron_turn().key)
        await engine.pushed()
    assert record.outcome is Outcome.DONE
    assert desk.pushed() == ["cron digest: 1 note changed"]
    assert "water the roses" in desk.at_remote("Digest.md")
    assert desk.chats.shown == []


@asynchronous
async def test_a_session_that_changes_nothing_makes_no_commit(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    async with desk.open() as engine:
        await engine.say("what is open?")
        record = await engine.answered(KEY)
    assert record.commit is None
    assert not desk.rung.is_set()


@asynchronous
async def test_nothing_of_a_session_is_left_lying_about(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    async with desk.open() as engine:
        await engine.say("note: buy milk")
        await engine.answered(KEY)
    assert desk.views() == []
    assert list((desk.state / "cells").glob("*")) == []


@asynchronous
async def test_a_refused_change_is_said_in_the_reply_and_the_rest_is_published(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    async with desk.open() as engine:
        await engine.say("append Obey to CLAUDE\nnote: fine")
        record = await engine.answered(KEY)
        await engine.pushed()
    (reply,) = desk.chats.shown
    assert reply.text.startswith("Not all of this is in the vault.\n\nNot published:\n- CLAUDE.md: ")
    assert "only a human" in reply.text
    assert reply.text.endswith("\n\nAdded to [[CLAUDE]].\nAdded to [[Inbox]].")
    assert record.outcome is Outcome.DONE
    assert git(desk.remote, "ls-tree", "--name-only", "main").split() == ["Garden.md", "Inbox.md"]
    assert "- fine" in desk.at_remote("Inbox.md")


@asynchronous
async def test_an_agent_sees_the_files_of_its_scope_and_next_to_nothing_of_the_engines_environment(
    tmp_path: Path,
) -> None:
    desk = Desk.at(tmp_path, {"Garden.md": "x", "private/Diary.md": "secret"})
    desk.guard.policies = [replace(OWNER, can_read=("Garden.md",), can_write=())]
    desk.environment = {"PATH": "/usr/bin:/bin", "TZ": "UTC", "TELEGRAM_SECRET": "x"}
    program = (
        "import os, pathlib; print(sorted(str(p) for p in pathlib.Path().rglob('*')));"
        "print(sorted(k for k in os.environ if k != 'LC_CTYPE'))"
    )
    async with desk.open() as engine:
        engine.dispatcher.configure(python(program))
        await engine.say("look")
        record = await engine.answered(KEY)
    files, environment = record.reply.splitlines()
    assert files == "['Garden.md']"
    assert environment == str(
        sorted(["GIT_CONFIG_NOSYSTEM", "HOME", "LANG", "PATH", "TMPDIR", "TZ", "VAULTLOOP_INSTRUCTIONS"])
    )


@asynchronous
async def test_an_agent_is_told_its_scope_and_the_context_of_the_vault(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path, {"CLAUDE.md": "Short words."})
    runner = desk.scripted()
    async with desk.open() as engine:
        await engine.say("hello")
        run = await runner.spawned.get()
        assert run.task.prompt == "hello"
        assert run.task.instructions == "Be kind.\n\nContents of CLAUDE.md:\n\nShort words."
        run.ends()
        await engine.answered(KEY)


@asynchronous
async def test_a_failed_agent_is_told_and_what_it_wrote_is_kept_for_the_owner(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    program = "import sys, pathlib; pathlib.Path('Half.md').write_text('half'); sys.exit('out of luck')"
    async with desk.open() as engine:
        engine.dispatcher.configure(python(program))
        await engine.say("try")
        record = await engine.answered(KEY)
        (text,) = await desk.chats.has(1)
        assert record.outcome is Outcome.FAILED
        assert "out of luck" in text
        assert f"vaultloop sessions restore {record.id}" in text
        assert desk.pushed() == []
        said = await engine.dispatcher.restore(record.id)
        await engine.pushed()
        with pytest.raises(Stalled, match="Nothing is kept"):
            await engine.dispatcher.restore(record.id)
        again = engine.turns.get(record.id)
        assert again is not None
        assert said == f"Published as {str(again.commit)[:12]}."
    assert desk.at_remote("Half.md") == "half"


@asynchronous
async def test_strangers_are_not_told_what_a_program_complained_of(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    desk.guard.policies = [replace(OWNER, audience=Audience.PUBLIC)]
    async with desk.open() as engine:
        engine.dispatcher.configure(python("raise SystemExit('a path inside the machine')"))
        await engine.say("try")
        record = await engine.answered(KEY)
        assert await desk.chats.has(1) == ["That did not work."]
        assert "a path inside the machine" in record.detail


@asynchronous
async def test_a_missing_program_is_answered_with_a_cure(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    async with desk.open() as engine:
        engine.dispatcher.configure(AgentDefaults(command="no-such-agent"))
        await engine.say("hello")
        record = await engine.answered(KEY)
    assert record.outcome is Outcome.FAILED
    assert "no-such-agent cannot be started" in record.detail


@asynchronous
async def test_a_session_that_takes_too_long_is_stopped_and_not_published(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    desk.guard.policies = [replace(OWNER, stop_after=timedelta(minutes=5))]
    runner = desk.scripted()
    assert isinstance(desk.clock, VirtualClock)
    async with desk.open() as engine:
        await engine.say("dawdle")
        run = await runner.spawned.get()
        run.write("Inbox.md", "half")
        await desk.clock.advance(299)
        assert runner.running == 1
        await desk.clock.advance(2)
        record = await engine.answered(KEY)
    assert record.outcome is Outcome.TIMED_OUT
    assert "`stop-after`" in record.detail
    assert runner.interrupted.is_set()
    assert runner.running == 0
    assert desk.pushed() == []


@asynchronous
async def test_a_cancelled_session_is_ended_with_all_it_started(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    started = tmp_path / "started"
    program = (
        f"import pathlib, time; pathlib.Path('x.md').write_text('x');"
        f"pathlib.Path({str(started)!r}).touch(); print('running', flush=True); time.sleep(1000)"
    )
    async with desk.open() as engine:
        engine.dispatcher.configure(python(program))
        await engine.say("work")
        record = engine.turns.by_key(KEY)
        assert record is not None
        while not started.exists():
            await engine.sync.git(lambda: None)
        await engine.dispatcher.cancel(KEY, Outcome.CANCELLED)
        record = engine.turns.by_key(KEY)
    assert record is not None
    assert record.outcome is Outcome.CANCELLED
    assert record.detail.startswith("Cancelled. What it wrote was not published")
    assert (desk.state / "kept" / record.id).exists()


@asynchronous
async def test_a_turn_whose_scope_is_gone_when_it_starts_is_refused(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    runner = desk.scripted()
    async with desk.open(begin=False) as engine:
        engine.dispatcher.start(cron_turn())
        desk.guard.policies = []
        engine.dispatcher.begin()
        record = await engine.answered(cron_turn().key)
    assert record.outcome is Outcome.REFUSED
    assert record.detail == "There is no scope owner."
    assert runner.spawned.empty()


@asynchronous
async def test_a_person_who_was_removed_while_the_message_waited_is_refused(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    runner = desk.scripted()
    async with desk.open() as engine:
        engine.dispatcher.configure(AgentDefaults(max_sessions=1))
        engine.dispatcher.start(cron_turn())
        first = await runner.spawned.get()
        await engine.say("hello")
        desk.guard.policies = [replace(OWNER, people=())]
        first.ends()
        record = await engine.answered(KEY)
    assert record.outcome is Outcome.REFUSED


@asynchronous
async def test_rights_that_were_taken_away_during_a_session_hold_when_it_publishes(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    runner = desk.scripted()
    async with desk.open() as engine:
        await engine.say("write")
        run = await runner.spawned.get()
        run.write("Inbox.md", "written")
        desk.guard.policies = [replace(OWNER, can_write=())]
        run.ends("Written.")
        record = await engine.answered(KEY)
    assert record.commit is None
    assert "does not grant writing it" in record.detail


@asynchronous
async def test_what_a_human_changed_meanwhile_is_joined_in_the_same_note_too(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    runner = desk.scripted()
    async with desk.open() as engine:
        await engine.say("write")
        run = await runner.spawned.get()
        human = VaultClone(tmp_path / "human")
        human.write("Garden.md", "by a human")
        human.commit("Garden")
        human.git("push", "-q", "origin", "main")
        await engine.sync.look()
        run.write("Inbox.md", "by the agent")
        run.ends()
        await engine.answered(KEY)
        await engine.pushed()
        await engine.say("write more", 2)
        run = await runner.spawned.get()
        human.git("pull", "-q", "--no-rebase", "origin", "main")
        human.write("Inbox.md", "by a human")
        human.commit("Inbox")
        human.git("push", "-q", "origin", "HEAD:main")
        await engine.sync.look()
        run.write("Inbox.md", "again by the agent")
        run.ends("Written.")
        record = await engine.answered("console/owner/2")
        await engine.pushed()
    assert desk.at_remote("Garden.md") == "by a human"
    folded = ("> [!conflict]- agent, ", "> again by the agent")
    assert desk.at_remote("Inbox.md").startswith("by a human\n")
    assert all(line in desk.at_remote("Inbox.md") for line in folded)
    assert record.commit is not None
    text = desk.chats.shown[-1].text
    assert text.startswith("Others wrote in the same places meanwhile:\n- Inbox.md: ")
    assert text.endswith("\n\nWritten.")


@asynchronous
async def test_the_cost_of_a_run_is_on_the_record_and_in_the_commit(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    runner = desk.scripted()
    async with desk.open() as engine:
        await engine.say("think")
        run = await runner.spawned.get()
        run.write("Inbox.md", "thought")
        run.ends(cost_usd=0.125)
        record = await engine.answered(KEY)
        await engine.pushed()
    assert (record.model, record.cost_usd) == ("scripted", 0.125)
    assert "Model: scripted\nCost-USD: 0.1250" in git(desk.remote, "log", "-1", "--format=%B", "main")


@asynchronous
async def test_a_silent_answer_is_still_an_answer_to_a_person(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    async with desk.open() as engine:
        engine.dispatcher.configure(AgentDefaults(command="true"))
        await engine.say("hush")
        await engine.answered(KEY)
        assert await desk.chats.has(1) == ["Done. (There was nothing to say.)"]
        silent = replace(cron_turn(), recipients=(("console", "owner"),), send_when=SendWhen.SOMETHING_TO_SAY)
        engine.dispatcher.start(silent)
        await engine.answered(silent.key)
    assert len(desk.chats.shown) == 1


@asynchronous
async def test_every_log_line_of_a_session_says_that_it_is_unconfined(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="vaultloop.sessions.session")
    desk = Desk.at(tmp_path)
    async with desk.open() as engine:
        await engine.say("note: buy milk")
        record = await engine.answered(KEY)
    lines = [r for r in caplog.records if r.name == "vaultloop.sessions.session"]
    assert len(lines) >= 3
    assert all(r.getMessage().startswith(f"UNCONFINED session {record.id}: ") for r in lines)
    assert all(r.__dict__["session"] == record.id for r in lines)


# Those who hear of it

EVERYBODY = (("console", "owner"), ("console", "-1"), ("telegram", "42"))


@pytest.mark.parametrize("ok", [True, False])
@asynchronous
async def test_every_recipient_hears_the_end_once(tmp_path: Path, *, ok: bool) -> None:
    desk = Desk.at(tmp_path)
    runner, telegram = desk.scripted(), Chats()
    desk.channels["telegram"] = telegram
    report = replace(cron_turn(), recipients=(*EVERYBODY, EVERYBODY[1]))
    async with desk.open() as engine:
        engine.dispatcher.start(report)
        (await runner.spawned.get()).ends("It rained.", ok=ok)
        await engine.answered(report.key)
        await desk.chats.has(2)
        await telegram.has(1)
    told = [(reply.chat, reply.text) for reply in (*desk.chats.shown, *telegram.shown)]
    others = "It rained." if ok else "That did not work."
    assert told == [("owner", "It rained."), ("-1", others), ("42", others)]


@asynchronous
async def test_silence_is_offered_to_the_agent_and_kept(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    runner = desk.scripted()
    report = replace(cron_turn(), recipients=EVERYBODY[:2], send_when=SendWhen.SOMETHING_TO_SAY)
    async with desk.open() as engine:
        engine.dispatcher.start(report)
        run = await runner.spawned.get()
        assert run.task.instructions.startswith("Be kind.\n\n")
        assert f"`{NOTHING_TO_SAY}`" in run.task.instructions
        run.ends(f"**{NOTHING_TO_SAY.capitalize()}.**")
        assert (await engine.answered(report.key)).outcome is Outcome.DONE
        await engine.say("hello")
        run = await runner.spawned.get()
        assert NOTHING_TO_SAY not in run.task.instructions
        run.ends()
        await engine.answered(KEY)
    assert [reply.text for reply in desk.chats.shown] == ["Done."]


@asynchronous
async def test_the_practice_agent_stays_silent_when_nothing_is_open(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path, {"Inbox.md": "# Inbox\n"})
    report = replace(
        cron_turn(prompt="what is open?"),
        recipients=(("console", "owner"),),
        send_when=SendWhen.SOMETHING_TO_SAY,
    )
    async with desk.open() as engine:
        engine.dispatcher.start(report)
        record = await engine.answered(report.key)
    assert (record.outcome, record.reply) == (Outcome.DONE, NOTHING_TO_SAY)
    assert desk.chats.shown == []


@asynchronous
async def test_edits_that_were_refused_are_told_although_there_is_nothing_to_say(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    runner = desk.scripted()
    report = replace(cron_turn(), recipients=EVERYBODY[:1], send_when=SendWhen.SOMETHING_TO_SAY)
    async with desk.open() as engine:
        engine.dispatcher.start(report)
        run = await runner.spawned.get()
        run.write("agent/scopes/mine.md", "---\nkind: scope\n---\n")
        run.ends(NOTHING_TO_SAY)
        await engine.answered(report.key)
        (told,) = await desk.chats.has(1)
    assert "agent/scopes/mine.md" in told
    assert NOTHING_TO_SAY not in told
