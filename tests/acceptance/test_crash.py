"""kill -9 at every named point: what was asked is answered once, what was written is there once."""

import asyncio
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from acceptance.test_crash_two_writers import SCENES
from support.installation import Engine
from support.readiness import assert_ready_in_time
from support.vault_clone import git
from support.workplace import DAY, ENDLESS, NOON, SLOT_TEXT, Workplace
from vaultloop.aio.failpoint import VARIABLE, Failpoint
from vaultloop.aio.rpc import JsonObject, Peer, connected
from vaultloop.model.conversation import Outcome
from vaultloop.state.database import Database
from vaultloop.state.outbox import Outbox
from vaultloop.state.slots import PastSlot, SlotStore
from vaultloop.state.turns import TurnRecord, Turns

MESSAGE_TEXT = "Call Ada"
LAST_TEXT = "the last line"
SLOT = f"{DAY}T12:00"
INTERRUPTED = "The engine was stopped while it worked on this."


@dataclass(frozen=True)
class Case:
    """Who reaches a point first, and how that one ends.

    Attributes:
        by: `message`, with the slot coming due while no engine runs; or `slot`, while a session of a message
            is at work that will not end.
        outcome: of the one who reached it.
        passage: how often the point is passed until then.
    """

    by: str
    outcome: Outcome = Outcome.DONE
    passage: int = 1


def by_both(outcome: Outcome = Outcome.DONE, *, also_by_the_other: bool = False) -> tuple[Case, ...]:
    """A point that messages and slots reach; `also_by_the_other`: so does a session that never ends."""
    return Case("message", outcome), Case("slot", outcome, 2 if also_by_the_other else 1)


# The program of a session may have acted from just before its start until its answer is on record.
CASES: dict[Failpoint, tuple[Case, ...]] = {
    Failpoint.MESSAGE_RECEIVED: (Case("message"),),
    Failpoint.TURN_QUEUED: (Case("message"),),
    Failpoint.SLOT_DUE: (Case("slot"),),
    Failpoint.SLOT_RESERVED: (Case("slot"),),
    Failpoint.VIEW_LEASED: by_both(also_by_the_other=True),
    Failpoint.SESSION_STARTED: by_both(also_by_the_other=True),
    Failpoint.PROCESS_SPAWNED: by_both(Outcome.INTERRUPTED, also_by_the_other=True),
    Failpoint.PROCESS_ENDED: by_both(Outcome.INTERRUPTED),
    # Only a run that fails comes here: `test_after_kill_9_between_two_tries` sees to it.
    Failpoint.RETRY_RECORDED: (),
    Failpoint.ANSWER_RECORDED: by_both(),
    Failpoint.COMMIT_WRITTEN: by_both(),
    Failpoint.COMMIT_RECORDED: by_both(),
    Failpoint.BRANCH_MOVED: by_both(),
    Failpoint.FILES_WRITTEN: by_both(),
    Failpoint.PUBLISH_RECORDED: by_both(),
    Failpoint.BEFORE_PUSH: by_both(),
    Failpoint.AFTER_PUSH: by_both(),
    Failpoint.REPLY_QUEUED: by_both(),
    Failpoint.REPLY_DELIVERED: by_both(),
    Failpoint.OUTCOME_RECORDED: by_both(),
}

# Whether a message that is not mentioned here has its answer when the engine dies: pushing waits for nobody.
ANSWERED = {Failpoint.BEFORE_PUSH: None, Failpoint.AFTER_PUSH: None, Failpoint.REPLY_DELIVERED: True}

# Points that what is left over passes again in the next start.
AGAIN = (
    Failpoint.VIEW_LEASED,
    Failpoint.COMMIT_RECORDED,
    Failpoint.FILES_WRITTEN,
    Failpoint.BRANCH_MOVED,
    Failpoint.AFTER_PUSH,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    return Workplace.made(tmp_path_factory.mktemp("place"))


@pytest.fixture
def place(made: Workplace) -> Workplace:
    return made.renewed()


# Points that only a nightly or rare act passes; each is walked where that act is tested.
ELSEWHERE = {
    Failpoint.PACK_WRITTEN: "vault/git/test_repack.py",
    Failpoint.PACK_INSTALLED: "vault/git/test_repack.py",
    Failpoint.PACK_REMOVED: "vault/git/test_repack.py",
    Failpoint.LOOSE_REMOVED: "vault/git/test_repack.py",
    Failpoint.FILE_TAKEN_BACK: "vault/folder/test_checkout.py",
    Failpoint.PARKED_KEPT: "vault/sync/test_sync_crash.py",
    Failpoint.STOOD_DOWN: "test_daemon.py",
    Failpoint.LAST_GOOD_KEPT: "vault/sync/test_last_good.py",
}


def test_every_point_has_a_case() -> None:
    assert set(CASES) | set(SCENES) | set(ELSEWHERE) == set(Failpoint)
    for point, file in ELSEWHERE.items():
        text = (Path(__file__).parents[1] / file).read_text()
        assert f'"{point}"' in text or point.name in text, (point, file)


@pytest.mark.parametrize(
    ("point", "case"),
    [
        pytest.param(point, case, id=f"{point}-by-{case.by}")
        for point, cases in CASES.items()
        for case in cases
    ],
)
def test_after_kill_9_everything_is_there_once(place: Workplace, point: Failpoint, case: Case) -> None:
    crash(place, point, case)
    after = Aftermath.of(place)
    verify(after, case)


@pytest.mark.parametrize("point", AGAIN)
def test_after_two_kills_at_one_point_everything_is_there_once(place: Workplace, point: Failpoint) -> None:
    case = next(case for case in CASES[point] if case.by == "message")
    crash(place, point, case)
    with place.engine("12:00:02", **{VARIABLE: point}) as engine:
        engine.wait_killed()
    verify(Aftermath.of(place), case)


def test_after_kill_9_between_two_tries_the_second_one_is_made_and_only_once(place: Workplace) -> None:
    before, _, _ = NOON.rpartition("---\n")
    steps = f"fail without Go.md\nappend {SLOT_TEXT} to Log\n"
    place.folder.save("agent/crons/noon.md", f"{before}retries: 1\n---\n{steps}")
    with place.engine("11:59:59", **{VARIABLE: Failpoint.RETRY_RECORDED}) as engine:
        engine.wait_killed()
    place.folder.save("Go.md", "Now it may.\n")
    with place.engine("12:00:05") as engine:
        engine.line("ready at")
        engine.stop()
    with records(place) as waiting:
        (turn,) = Turns(waiting).unfinished()
        assert (turn.attempt, turn.outcome, Outbox(waiting).waiting()) == (2, None, [])
    # Its time has come while no engine ran.
    with place.engine("12:30:00") as engine:
        engine.line("ended: done")
        engine.line(f"pushed {place.head[:12]}")
        engine.stop()
    with records(place) as after:
        (turn,) = Turns(after).recent()
        job = turn.turn.conversation.removeprefix("cron/")
        assert entries(SlotStore(after).past(job)) == [(SLOT, Outcome.DONE, turn.id)]
        assert [row["key"] for row in after.rows("SELECT key FROM outbox")] == [turn.id]
    assert turn.detail == "It was tried 2 times."
    assert published(place) == Counter([turn.id])
    assert place.folder.read("Log.md").count(SLOT_TEXT) == 1
    assert "unfinished" not in place.folder.read("Inbox.md")
    assert leftovers(place) == []


# -- before ------------------------------------------------------------------------------------------------


def crash(place: Workplace, point: Failpoint, case: Case) -> None:
    """Run an engine, with a message and a slot to answer, until it dies at `point`."""
    armed = {VARIABLE: f"{point}:{case.passage}"}
    if case.by == "message":
        with place.engine("11:59:00", **armed) as engine:
            engine.line("ready at")
            with place.chat(f"append {MESSAGE_TEXT} to Inbox") as chat:
                engine.wait_killed()
                check(chat, ANSWERED.get(point, False))
        return
    with place.engine("11:59:59.900", "--held", **armed) as engine:
        engine.line("ready at")
        with place.chat(ENDLESS) as chat:
            engine.line("started for message")
            os.kill(engine.pid, signal.SIGUSR1)
            engine.wait_killed()
            check(chat, answered=False)


def check(chat: subprocess.Popen[str], answered: bool | None) -> None:
    """A terminal whose engine is gone says so at once, unless it had its answer already (None: perhaps)."""
    answer, complaint = chat.communicate(timeout=10)
    if answered or (answered is None and answer):
        assert (chat.returncode, answer) == (0, "Added to [[Inbox]].\n"), complaint
    else:
        assert (chat.returncode, answer) == (69, ""), complaint
        assert "The engine stopped before it answered." in complaint


# -- after -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Aftermath:
    """What is found once everything that was left over has been brought to its end.

    Attributes:
        told: what the chat heard until its last answer.
        turns: all of them, oldest first; `message` and `slot` are those that the crash met.
    """

    place: Workplace
    told: list[str]
    turns: list[TurnRecord]
    slots: list[PastSlot]
    owed: list[tuple[str, str]]
    replies: Counter[str]
    messages: dict[str, str]

    @classmethod
    def of(cls, place: Workplace) -> "Aftermath":
        with records(place) as before:
            met = before.row("SELECT 1 FROM slots") is not None
        with ready_again(place) as engine:
            if not met:
                engine.line("started for cron noon")
            told = asyncio.run(told_until_the_end(place))
            engine.line(f"pushed {place.head[:12]}")
            engine.stop()
        with records(place) as after:
            turns = Turns(after).recent(100)[::-1]
            job = next(turn.turn.conversation for turn in turns if turn.turn.trigger.kind == "cron")
            return cls(
                place,
                told,
                turns,
                SlotStore(after).past(job.removeprefix("cron/")),
                Outbox(after).waiting(),
                Counter(row["key"] for row in after.rows("SELECT key FROM outbox")),
                {row["turn"]: row["fate"] for row in after.rows("SELECT turn, fate FROM inbox")},
            )

    def caused_by(self, kind: str) -> list[TurnRecord]:
        return [turn for turn in self.turns if turn.turn.trigger.kind == kind]


@contextmanager
def records(place: Workplace) -> Iterator[Database]:
    with Database(place.state / "engine.db") as database:
        yield database


@contextmanager
def ready_again(place: Workplace) -> Iterator[Engine]:
    """An engine without any armed point, after the slot; it must be ready in time."""
    began = time.monotonic()
    with place.engine("12:00:05") as engine:
        engine.line("ready at")
        assert_ready_in_time(time.monotonic() - began)
        yield engine


async def told_until_the_end(place: Workplace) -> list[str]:
    """What the chat hears until two last turns, one in each conversation, have had their turn."""
    told: list[str] = []
    answered = asyncio.Event()

    async def take(_: Peer, reply: JsonObject) -> bool:
        told.append(reply["text"])
        if "last" in reply["answers"]:
            answered.set()
        return True

    async with connected(place.state / "engine.sock", {"reply": take}) as peer:
        await peer.call("listen", chat="owner")
        await peer.call("run", cron="noon")
        last = {"chat": "owner", "person": "owner", "message": "last"}
        await peer.call("say", text=f"append {LAST_TEXT} to Inbox", **last)
        await peer.while_open(answered.wait())
    return told


# -- the claims --------------------------------------------------------------------------------------------


def verify(after: Aftermath, case: Case) -> None:
    message, last = after.caused_by("message")
    (slot,) = after.caused_by("cron")
    (run,) = after.caused_by("run")
    struck = {"message": message, "slot": slot}[case.by]
    assert struck.outcome is case.outcome, struck
    # The session that never ends was cut off at work; a slot that came due later met no crash.
    other = {"message": slot, "slot": message}[case.by]
    assert other.outcome is (Outcome.DONE if case.by == "message" else Outcome.INTERRUPTED), other
    assert (last.outcome, run.outcome) == (Outcome.DONE, Outcome.DONE)

    assert entries(after.slots) == [(SLOT, slot.outcome, slot.id)]
    assert after.messages == {message.id: "turn", last.id: "turn"}
    # Each is told how it ended, once on the record, and nothing is owed any more.
    assert after.replies == Counter(turn.id for turn in after.turns)
    assert after.owed == []
    was_cut_off = Outcome.INTERRUPTED in (message.outcome, slot.outcome)
    assert any(INTERRUPTED in text for text in after.told) == was_cut_off

    place = after.place
    committed = published(place)
    assert committed == Counter(turn.id for turn in after.turns if turn.outcome is Outcome.DONE)
    inbox, log = place.folder.read("Inbox.md"), place.folder.read("Log.md")
    assert inbox.count(MESSAGE_TEXT) == (case.by == "message" and message.outcome is Outcome.DONE)
    assert inbox.count(LAST_TEXT) == 1
    assert log.count(SLOT_TEXT) == [slot.outcome, run.outcome].count(Outcome.DONE)
    assert "unfinished" not in inbox

    assert place.folder.git("status", "--porcelain") == ""
    assert place.remote_head == place.head
    assert leftovers(place) == []


def entries(slots: list[PastSlot]) -> list[tuple[str, Outcome | None, str | None]]:
    """The one entry that each slot has: how it ended, and in which session."""
    return [(past.slot, past.outcome, past.session) for past in slots]


def published(place: Workplace) -> Counter[str]:
    """How many commits in the remote's history name each session."""
    trailers = git(place.remote, "log", "--format=%(trailers:key=Session,valueonly,separator=)", "main")
    return Counter(filter(None, trailers.splitlines()))


def leftovers(place: Workplace) -> list[Path]:
    """Views, homes, intents and locks that nobody needs any more."""
    in_state = [file for name in ("views/*", "cells/*", "*intent*") for file in place.state.glob(name)]
    repositories = (place.remote, place.folder.path / ".git")
    # A pack that was half-written hinders nobody: its name never comes again.
    locks = [file for git_dir in repositories for file in git_dir.rglob("*.lock") if not is_object(file)]
    return [*in_state, *locks, *place.folder.path.rglob("vaultloop-index")]


def is_object(file: Path) -> bool:
    return "objects" in file.parts
