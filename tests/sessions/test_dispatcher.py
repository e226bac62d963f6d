import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from support import one_turn
from support.desk import FAMILY, NOW, OWNER, Desk, OpenDesk, cron_turn, settled
from support.notes import note
from support.run import asynchronous
from support.vault_clone import git
from vaultloop.aio.clock import VirtualClock
from vaultloop.aio.failpoint import VARIABLE, Failpoint
from vaultloop.model.conversation import AgentDefaults, Message, Outcome, Reply, Turn
from vaultloop.model.errors import Retry
from vaultloop.model.status import Confinement
from vaultloop.state.database import Database
from vaultloop.state.inbox import Fate, Inbox
from vaultloop.state.proposals import Proposals
from vaultloop.state.turns import TurnRecord, Turns, TurnState
from vaultloop.vault.views.views import Views

KEY = "console/owner/1"


def fate(engine: OpenDesk, number: int = 1, *, chat: str = "owner") -> Fate | None:
    return Inbox(engine.database).fate(Message("console", chat, str(number), "owner", "", NOW))


def outcomes(engine: OpenDesk) -> dict[str, Outcome | None]:
    return {record.turn.key: record.outcome for record in engine.turns.recent()}


# Messages


@asynchronous
async def test_the_same_message_twice_is_one_turn(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    async with desk.open() as engine:
        await engine.say("how many notes")
        await engine.answered(KEY)
        await engine.say("how many notes")
        assert len(engine.turns.recent()) == 1
        assert await desk.chats.has(1) == ["I can see 2 notes."]


@asynchronous
async def test_a_message_that_nobody_may_send_is_refused_once_with_the_reason(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    async with desk.open() as engine:
        await engine.say("hello", chat="42")
        await engine.say("hello", 2, person="stranger")
        assert await desk.chats.has(2) == [
            "No scope covers this chat.",
            "You are not in the list of this chat.",
        ]
        assert fate(engine, chat="42") is Fate.REFUSED
        assert engine.turns.recent() == []


@asynchronous
async def test_a_turn_with_a_known_key_is_not_started_again(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    async with desk.open() as engine:
        engine.dispatcher.start(cron_turn())
        await engine.answered(cron_turn().key)
        engine.dispatcher.start(replace(cron_turn(), id="another"))
        assert len(engine.turns.recent()) == 1


@asynchronous
async def test_a_turn_that_somebody_else_queued_is_found(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    async with desk.open() as engine:
        engine.turns.add(cron_turn(), NOW)
        engine.dispatcher.start(cron_turn())
        assert (await engine.answered(cron_turn().key)).outcome is Outcome.DONE


# Commands


@asynchronous
async def test_commands_do_not_wait_behind_a_turn(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    runner = desk.scripted()
    async with desk.open() as engine:
        await engine.say("think")
        await runner.spawned.get()
        await engine.say("/status", 2)
        assert await desk.chats.has(1) == ["All is well."]
        assert fate(engine, 2) is Fate.COMMAND


@asynchronous
async def test_cancel_ends_what_runs_and_what_waits_in_this_chat(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    desk.guard.policies = [OWNER, FAMILY]
    runner = desk.scripted()
    async with desk.open() as engine:
        await engine.say("elsewhere", 1, chat="-1", person="anna")
        await engine.say("running", 1)
        await engine.say("waiting", 2)
        for _ in range(2):
            await runner.spawned.get()
        await engine.say("/cancel", 3)
        for key in (KEY, "console/owner/2"):
            assert (await engine.answered(key)).outcome is Outcome.CANCELLED
        assert runner.running == 1
        texts = await desk.chats.has(3)
        assert "Cancelling 2 turns." in texts
        assert texts.count("Cancelled.") == 2
        await engine.say("/cancel", 4)
        assert (await desk.chats.has(4))[-1] == "Nothing of yours is running for this chat."


@asynchronous
async def test_one_person_cancels_only_what_that_person_asked_and_an_owner_all_of_it(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    desk.guard.policies = [replace(FAMILY, people=("anna", "ben", "owner"), commands=("cancel",))]
    runner = desk.scripted()
    async with desk.open() as engine:
        await engine.say("first", 1, chat="-1", person="anna")
        await runner.spawned.get()
        await engine.say("second", 2, chat="-1", person="ben")
        await engine.say("/cancel", 3, chat="-1", person="ben")
        assert (await engine.answered("console/-1/2")).outcome is Outcome.CANCELLED
        assert runner.running == 1
        await engine.say("/cancel", 4, chat="-1", person="ben")
        assert "Nothing of yours is running for this chat." in await desk.chats.has(3)
        await engine.say("/cancel", 5, chat="-1", person="owner")
        assert (await engine.answered("console/-1/1")).outcome is Outcome.CANCELLED


@asynchronous
async def test_status_in_a_group_tells_of_that_chat_alone(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    desk.guard.policies = [OWNER, replace(FAMILY, people=("anna", "owner"), commands=("status",))]
    runner = desk.scripted()
    async with desk.open() as engine:
        await engine.say("elsewhere", 1)
        await engine.say("hello", 2, chat="-1", person="anna")
        for _ in range(2):
            await runner.spawned.get()
        await engine.say("more", 3, chat="-1", person="anna")
        for number, person in ((4, "anna"), (5, "owner")):
            await engine.say("/status", number, chat="-1", person=person)
        here = "The agent answers here.\nIn this chat: 1 running, 1 waiting."
        assert await desk.chats.has(2) == [here, here]
        await engine.say("/status", 6)
        assert (await desk.chats.has(3))[-1] == "All is well."


@asynchronous
async def test_retry_runs_again_what_did_not_end_well(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    runner = desk.scripted()
    async with desk.open() as engine:
        await engine.say("try")
        (await runner.spawned.get()).ends("no luck", ok=False)
        await engine.answered(KEY)
        await engine.say("/retry", 2)
        run = await runner.spawned.get()
        assert run.task.prompt == "try"
        run.ends("luck")
        assert (await engine.answered(f"{KEY}#2")).outcome is Outcome.DONE
        assert await desk.chats.has(3) == ["no luck", "Running it again.", "luck"]
        await engine.say("/retry", 3)
        assert (await desk.chats.has(4))[-1] == "There is nothing to run again."


@asynchronous
async def test_who_was_taken_off_the_list_gets_no_answer_to_what_they_had_run_again(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    family = replace(FAMILY, commands=("retry",))
    desk.guard.policies = [OWNER, family]
    runner = desk.scripted()
    async with desk.open() as engine:
        engine.dispatcher.configure(AgentDefaults(max_sessions=1))
        await engine.say("try", 1, chat="-1", person="anna")
        (await runner.spawned.get()).ends("no luck", ok=False)
        await engine.answered("console/-1/1")
        await engine.say("busy", 2)
        busy = await runner.spawned.get()
        await engine.say("/retry", 3, chat="-1", person="anna")
        desk.guard.policies = [OWNER, replace(family, people=("bert",))]
        busy.ends()
        again = await engine.answered("console/-1/1#2")
        assert (again.outcome, again.started_at) == (Outcome.REFUSED, None)


@asynchronous
async def test_a_group_cannot_run_again_what_another_scope_answered_there(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    desk.guard.policies = [OWNER, replace(FAMILY, commands=("retry",))]
    runner = desk.scripted()
    async with desk.open() as engine:
        report = replace(cron_turn(), recipients=(("console", "-1"),))
        engine.dispatcher.start(report)
        (await runner.spawned.get()).ends("no luck", ok=False)
        await engine.answered(report.key)
        await engine.say("/retry", chat="-1", person="anna")
        assert (await desk.chats.has(2))[-1] == "There is nothing to run again."


@asynchronous
async def test_a_command_that_fails_is_answered_all_the_same(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    async with desk.open() as engine:
        answers = engine.dispatcher._answers
        engine.dispatcher._answers = replace(answers, status=lambda *_: str(1 // 0))
        await engine.say("/status")
        assert await desk.chats.has(1) == ["/status failed (ZeroDivisionError); see the log."]
        assert fate(engine) is Fate.COMMAND


@asynchronous
async def test_a_replaced_run_says_nothing(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    runner = desk.scripted()
    async with desk.open() as engine:
        report = replace(cron_turn(), recipients=(("console", "owner"),))
        engine.dispatcher.start(report)
        await runner.spawned.get()
        await engine.dispatcher.cancel(report.key, Outcome.REPLACED)
        assert outcomes(engine) == {report.key: Outcome.REPLACED}
        assert runner.running == 0
        await engine.dispatcher.cancel(report.key, Outcome.CANCELLED)
        assert outcomes(engine) == {report.key: Outcome.REPLACED}
    assert desk.chats.shown == []


@asynchronous
async def test_any_recipient_may_cancel_under_the_same_scope_and_all_of_them_are_told(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    desk.guard.policies = [OWNER, replace(FAMILY, commands=("cancel", "retry"))]
    runner = desk.scripted()
    both = (("console", "owner"), ("console", "-1"))
    report = replace(cron_turn(), scope="family", recipients=both)
    async with desk.open() as engine:
        engine.dispatcher.start(report)
        await runner.spawned.get()
        await engine.say("/cancel", chat="-1", person="anna")
        assert (await engine.answered(report.key)).outcome is Outcome.CANCELLED
        await desk.chats.has(3)
        told = {(reply.chat, reply.text) for reply in desk.chats.shown}
        assert told == {("-1", "Cancelling what runs."), ("-1", "Cancelled."), ("owner", "Cancelled.")}
        await engine.say("/retry", 2)
        (await runner.spawned.get()).ends("luck")
        assert (await engine.answered(f"{report.key}#2")).outcome is Outcome.DONE
        await desk.chats.has(6)
        told = {(reply.chat, reply.text) for reply in desk.chats.shown[3:]}
        assert told == {
            ("owner", "Running it again."),
            ("owner", f"From the scope family ({report.trigger}):\nluck"),
            ("-1", "luck"),
        }


# Replies


@asynchronous
async def test_a_reply_waits_until_somebody_is_there(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    desk.chats.away = True
    async with desk.open() as engine:
        await engine.say("how many notes")
        await engine.answered(KEY)
    async with desk.open() as engine:
        assert desk.chats.shown == []
        desk.chats.away = False
        engine.dispatcher.offer_replies()
        assert await desk.chats.has(1) == ["I can see 2 notes."]


@asynchronous
async def test_a_reply_is_offered_again_by_itself(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    desk.chats.away = True
    assert isinstance(desk.clock, VirtualClock)
    async with desk.open() as engine:
        await engine.say("/status")
        await desk.clock.advance(1)
        desk.chats.away = False
        await desk.clock.advance(60)
        assert await desk.chats.has(1) == ["All is well."]


@asynchronous
async def test_a_chat_that_is_away_does_not_hold_up_another(tmp_path: Path) -> None:
    class OnlyOwner:
        platform = "console"
        coalesce = 0.0

        def __init__(self) -> None:
            self.shown: list[str] = []

        async def deliver(self, reply: Reply) -> bool:
            if reply.chat == "owner":
                self.shown.append(reply.text)
            return reply.chat == "owner"

    desk = Desk.at(tmp_path)
    channel = OnlyOwner()
    desk.channels["console"] = channel
    async with desk.open() as engine:
        await engine.say("hello", chat="42")
        await engine.say("/status")
        await settled(lambda: bool(channel.shown))
        assert channel.shown == ["All is well."]


@asynchronous
async def test_a_channel_that_raises_keeps_the_reply_owed(tmp_path: Path) -> None:
    class Flaky:
        platform = "console"
        coalesce = 0.0

        def __init__(self) -> None:
            self.failures = 1
            self.shown: list[str] = []

        async def deliver(self, reply: Reply) -> bool:
            if self.failures:
                self.failures -= 1
                raise ConnectionError("no network")
            self.shown.append(reply.text)
            return True

    desk = Desk.at(tmp_path)
    channel = Flaky()
    desk.channels["console"] = channel
    async with desk.open() as engine:
        await engine.say("/status")
        await settled(lambda: not channel.failures)
        engine.dispatcher.offer_replies()
        await settled(lambda: bool(channel.shown))
    assert channel.shown == ["All is well."]


# Restarts


@asynchronous
async def test_nothing_is_done_before_the_scopes_are_in_force_and_all_of_it_afterwards(
    tmp_path: Path,
) -> None:
    desk = Desk.at(tmp_path)
    desk.guard.policies = []
    async with desk.open(begin=False) as engine:
        await engine.say("how many notes")
        engine.dispatcher.start(cron_turn())
        assert fate(engine) is Fate.WAITING
        desk.guard.policies = [OWNER]
        engine.dispatcher.begin()
        assert (await engine.answered(KEY)).outcome is Outcome.DONE
        assert (await engine.answered(cron_turn().key)).outcome is Outcome.DONE


@asynchronous
async def test_stopping_ends_the_programs_and_a_start_goes_on(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    runner = desk.scripted()
    async with desk.open() as engine:
        await engine.say("think")
        (await runner.spawned.get()).write("Inbox.md", "half")
        await engine.say("and then", 2)
    assert runner.running == 0
    async with desk.open() as engine:
        for prompt in ("think", "and then"):
            run = await runner.spawned.get()
            assert run.task.prompt == prompt
            run.ends(f"{prompt}: done")
        assert await desk.chats.has(2) == ["think: done", "and then: done"]
        assert outcomes(engine) == {KEY: Outcome.DONE, "console/owner/2": Outcome.DONE}


class Crashed:
    """The records of an engine that was killed, written as it would have left them."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def turn(self, turn: Turn, until: TurnState, *, acted: bool = False) -> None:
        """Leave `turn` in a state, with one changed note in its view."""
        async with self._desk.open(begin=False) as engine:
            turns, repository = engine.turns, engine.sync.repository
            turns.add(turn, NOW)
            head = await engine.sync.git(lambda: repository.head)
            assert head is not None
            views = Views(self._desk.state)
            view = await engine.sync.git(lambda: views.lease(repository.files(head), OWNER))
            (view.folder / "Inbox.md").write_text("written before the crash")
            turns.begin(
                turn.id, Confinement.FENCED, policy=OWNER.id, base=view.revision, view=str(view.home), now=NOW
            )
            if acted:
                turns.mark_acted(turn.id)
            if until is not TurnState.RUNNING:
                turns.answer(turn.id, "Answered before the crash.")
            if until is TurnState.PUBLISHED:
                turns.publish(turn.id, "")


MESSAGE_TURN = replace(cron_turn(), key=KEY, conversation="console/owner", recipients=(("console", "owner"),))


async def recovered(desk: Desk) -> TurnRecord:
    async with desk.open() as engine:
        record = await engine.answered(KEY)
        await engine.pushed()
        await desk.chats.has(1)
    return record


@asynchronous
async def test_a_run_that_had_not_acted_is_run_again(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    await Crashed(desk).turn(MESSAGE_TURN, TurnState.RUNNING)
    record = await recovered(desk)
    assert record.outcome is Outcome.DONE
    assert [reply.text for reply in desk.chats.shown] == ["Gathered 1 open task in 1 note into [[Digest]]."]
    assert desk.at_remote("Inbox.md") == "# Inbox"


@asynchronous
async def test_a_run_that_may_have_acted_is_interrupted_told_and_kept(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    await Crashed(desk).turn(MESSAGE_TURN, TurnState.RUNNING, acted=True)
    record = await recovered(desk)
    assert record.outcome is Outcome.INTERRUPTED
    assert "Send /retry to run it again." in desk.chats.shown[0].text
    assert desk.pushed() == []
    async with desk.open() as engine:
        await engine.dispatcher.restore(record.id)
        await engine.pushed()
    assert desk.at_remote("Inbox.md") == "written before the crash"


@asynchronous
async def test_an_answer_is_published_after_a_restart_and_the_agent_does_not_run_again(
    tmp_path: Path,
) -> None:
    desk = Desk.at(tmp_path)
    await Crashed(desk).turn(MESSAGE_TURN, TurnState.ANSWERED, acted=True)
    runner = desk.scripted()
    record = await recovered(desk)
    assert record.outcome is Outcome.DONE
    assert runner.spawned.empty()
    assert [reply.text for reply in desk.chats.shown] == ["Answered before the crash."]
    assert desk.pushed() == ["cron digest: 1 note changed"]


@asynchronous
async def test_a_published_turn_only_has_to_be_told(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    await Crashed(desk).turn(MESSAGE_TURN, TurnState.PUBLISHED, acted=True)
    record = await recovered(desk)
    assert record.outcome is Outcome.DONE
    assert desk.pushed() == []
    assert desk.views() == []


@asynchronous
async def test_an_answer_whose_folder_is_gone_is_told_and_does_not_stop_the_engine(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    await Crashed(desk).turn(MESSAGE_TURN, TurnState.ANSWERED, acted=True)
    desk.forget_views()
    record = await recovered(desk)
    assert record.outcome is Outcome.FAILED
    (reply,) = desk.chats.shown
    assert reply.text.startswith("The folder in which")
    assert reply.text.endswith("\n\nAnswered before the crash.")


@asynchronous
async def test_what_a_crash_left_behind_is_swept(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    (desk.state / "views/orphan").mkdir(parents=True)
    (desk.state / "cells/orphan/home").mkdir(parents=True)
    async with desk.open():
        pass
    assert desk.views() == []
    assert not (desk.state / "cells/orphan").exists()


# What a kill at each point leaves to the next start: once the program runs, nobody knows what it did.
INTERRUPTED_AT = {Failpoint.PROCESS_SPAWNED, Failpoint.PROCESS_ENDED}
POINTS = [
    *(Failpoint.MESSAGE_RECEIVED, Failpoint.TURN_QUEUED, Failpoint.VIEW_LEASED, Failpoint.SESSION_STARTED),
    *(Failpoint.PROCESS_SPAWNED, Failpoint.PROCESS_ENDED, Failpoint.ANSWER_RECORDED),
    *(Failpoint.COMMIT_WRITTEN, Failpoint.COMMIT_RECORDED, Failpoint.BRANCH_MOVED),
    *(Failpoint.PUBLISH_RECORDED, Failpoint.BEFORE_PUSH, Failpoint.AFTER_PUSH),
    *(Failpoint.REPLY_QUEUED, Failpoint.REPLY_DELIVERED, Failpoint.OUTCOME_RECORDED),
]


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_any_point_a_message_is_answered_once_and_its_commit_is_there_once(
    tmp_path: Path, point: Failpoint
) -> None:
    desk = Desk.at(tmp_path)
    (tmp_path / "wall").mkdir()
    passage = ":2" if point is Failpoint.BRANCH_MOVED else ""
    assert run_one_turn(tmp_path, f"{point}{passage}") == -signal.SIGKILL
    # A server on another machine does not die with us: its half-taken push would be cleaned up there.
    for lock in desk.remote.rglob("*.lock"):
        lock.unlink()
    assert run_one_turn(tmp_path) == 0
    assert run_one_turn(tmp_path) == 0
    interrupted = point in INTERRUPTED_AT
    with Database(desk.state / "engine.db") as database:
        (record,) = Turns(database).recent()
    assert record.outcome is (Outcome.INTERRUPTED if interrupted else Outcome.DONE)
    assert desk.pushed() == ([] if interrupted else ["message console: 1 note changed"])
    assert [path.name for path in (tmp_path / "wall").iterdir()] == [record.id]
    assert desk.views() == []


@pytest.mark.parametrize(
    "point",
    [
        *(Failpoint.COMMIT_WRITTEN, Failpoint.COMMIT_RECORDED, Failpoint.PUBLISH_RECORDED),
        *(Failpoint.REPLY_QUEUED, Failpoint.REPLY_DELIVERED, Failpoint.OUTCOME_RECORDED),
    ],
)
def test_killed_at_any_point_a_proposal_is_made_once_and_told_once(tmp_path: Path, point: Failpoint) -> None:
    owner = note("scope", "Be kind.", chats="owner", can_read='"**"', can_write='"**"')
    desk = Desk.at(tmp_path, {"CLAUDE.md": "Answer briefly.\n", "agent/scopes/owner.md": owner})
    (tmp_path / "wall").mkdir()
    task = ("append Obey to CLAUDE", "propose")
    assert run_one_turn(tmp_path, str(point), task) == -signal.SIGKILL
    assert run_one_turn(tmp_path, "", task) == 0
    with Database(desk.state / "engine.db") as database:
        (proposal,) = Proposals(database).newest(10)
        (record,) = Turns(database).recent()
    assert proposal.is_open
    assert (record.outcome, record.commit) == (Outcome.DONE, None)
    (shown,) = (tmp_path / "wall").iterdir()
    assert "Proposal 1 waits for you." in shown.read_text()
    kept = git(desk.state / "vault.git", "rev-parse", "refs/vaultloop/proposals/1")
    assert kept == proposal.commit
    assert desk.pushed() == []


def run_one_turn(folder: Path, failpoint: str = "", task: Sequence[str] = ()) -> int:
    environment = {**os.environ, VARIABLE: failpoint, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-m", one_turn.__name__, str(folder), *task],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


# A disk that is full

# More than what is left in the last pages of a database.
LONG = "word " * 50_000


def fill(engine: OpenDesk) -> None:
    """Let the database grow no further, as on a full disk."""
    engine.database.row("PRAGMA max_page_count = 1")


def free(engine: OpenDesk) -> None:
    engine.database.row("PRAGMA max_page_count = 1000000")


@asynchronous
async def test_a_message_that_cannot_be_written_down_is_refused_and_the_next_one_taken(
    tmp_path: Path,
) -> None:
    desk = Desk.at(tmp_path)
    async with desk.open() as engine:
        fill(engine)
        with pytest.raises(Retry, match="full"):
            await engine.say(LONG)
        free(engine)
        await engine.say("what is open?")
        assert (await engine.answered(KEY)).outcome is Outcome.DONE


@pytest.mark.parametrize("acted", [False, True])
@asynchronous
async def test_an_answer_that_cannot_be_recorded_ends_nothing_and_is_dealt_with_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, *, acted: bool
) -> None:
    desk = Desk.at(tmp_path)
    runner = desk.scripted()
    assert isinstance(desk.clock, VirtualClock)
    async with desk.open() as engine:
        await engine.say("think")
        run = await runner.spawned.get()
        fill(engine)
        if acted:
            run.uses("Write")
        run.ends(LONG)
        # Its cell is cleared away in between.
        await settled(lambda: "next try in" in caplog.text)
        record = engine.turns.by_key(KEY)
        assert record is not None
        assert record.state is TurnState.RUNNING
        free(engine)
        again = asyncio.create_task(desk.clock.advance(10))
        if not acted:
            run = await runner.spawned.get()
            run.ends("Short.")
        record = await engine.answered(KEY)
        await again
    assert record.outcome is (Outcome.INTERRUPTED if acted else Outcome.DONE)


@asynchronous
async def test_messages_that_cannot_become_a_turn_become_one_later(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    desk.chats.coalesce = 1.0
    runner = desk.scripted()
    assert isinstance(desk.clock, VirtualClock)
    async with desk.open() as engine:
        await engine.say(LONG)
        fill(engine)
        await desk.clock.advance(2)
        assert engine.turns.by_key(KEY) is None
        free(engine)
        await desk.clock.advance(10)
        run = await runner.spawned.get()
        run.ends()
        assert (await engine.answered(KEY)).outcome is Outcome.DONE


@asynchronous
async def test_a_reply_whose_delivery_cannot_be_recorded_is_shown_once(tmp_path: Path) -> None:
    class Full:
        """A channel whose engine's database is read-only when it has shown a reply."""

        platform = "console"
        coalesce = 0.0

        def __init__(self) -> None:
            self.shown: list[str] = []
            self.engine: OpenDesk | None = None

        async def deliver(self, reply: Reply) -> bool:
            assert self.engine is not None
            self.shown.append(reply.text)
            self.engine.database.row("PRAGMA query_only = ON")
            return True

    desk = Desk.at(tmp_path)
    channel = Full()
    desk.channels["console"] = channel
    assert isinstance(desk.clock, VirtualClock)
    async with desk.open() as engine:
        channel.engine = engine
        await engine.say("/status")
        await settled(lambda: bool(channel.shown))
        await desk.clock.advance(1)
        assert engine.database.rows("SELECT * FROM outbox WHERE delivered_at IS NULL")
        engine.database.row("PRAGMA query_only = OFF")
        await desk.clock.advance(10)
        await settled(lambda: not engine.database.rows("SELECT * FROM outbox WHERE delivered_at IS NULL"))
    assert channel.shown == ["All is well."]
