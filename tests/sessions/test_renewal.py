"""Work that waited is what its note says when it begins; how it ended is told to each as they may know."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from support.desk import FAMILY, OWNER, Desk, cron_turn, settled
from support.run import asynchronous
from vaultloop.aio.clock import VirtualClock
from vaultloop.model.conversation import Limits, Outcome, Turn
from vaultloop.model.errors import Denied, Late

HERE, THERE = ("console", "owner"), ("console", "-1")
RUN = replace(cron_turn(), recipients=(HERE, THERE))


@dataclass
class Note:
    """An origin whose answer a test decides."""

    now: Turn | Denied
    since: list[datetime] = field(default_factory=list)

    def renewed(self, turn: Turn, waits_since: datetime) -> Turn:
        self.since.append(waits_since)
        if isinstance(self.now, Denied):
            raise self.now
        return replace(self.now, id=turn.id, key=turn.key)


def desk_at(folder: Path, note: Note) -> Desk:
    desk = Desk.at(folder)
    desk.guard.policies = [OWNER, FAMILY]
    desk.origins["cron"] = note
    return desk


@asynchronous
async def test_a_run_begins_with_what_its_note_says_by_then(tmp_path: Path) -> None:
    changed = replace(RUN, scope=FAMILY.scope, prompt="Less.", recipients=(THERE,))
    desk = desk_at(tmp_path, Note(changed))
    runner = desk.scripted()
    async with desk.open() as engine:
        engine.dispatcher.start(RUN)
        run = await runner.spawned.get()
        assert (run.task.prompt, run.cell.policy.scope) == ("Less.", FAMILY.scope)
        run.ends("Told.")
        record = await engine.answered(RUN.key)
        assert (record.turn.scope, record.turn.recipients) == (FAMILY.scope, (THERE,))
    assert [(reply.chat, reply.text) for reply in desk.chats.shown] == [("-1", "Told.")]


@pytest.mark.parametrize(
    ("why", "outcome"),
    [(Denied("It was paused."), Outcome.REFUSED), (Late("It is too late."), Outcome.MISSED)],
)
@asynchronous
async def test_what_was_taken_back_while_it_waited_is_not_run_and_disturbs_nobody(
    tmp_path: Path, why: Denied, outcome: Outcome
) -> None:
    desk = desk_at(tmp_path, Note(why))
    desk.scripted()
    async with desk.open() as engine:
        engine.dispatcher.start(RUN)
        record = await engine.answered(RUN.key)
        assert (record.outcome, record.detail, record.started_at) == (outcome, str(why), None)
    assert desk.chats.shown == []


@asynchronous
async def test_every_try_asks_anew_and_says_since_when_it_waits(tmp_path: Path) -> None:
    turn = replace(RUN, limits=Limits(retries=1))
    note = Note(turn)
    desk = desk_at(tmp_path, note)
    runner = desk.scripted()
    assert isinstance(desk.clock, VirtualClock)
    async with desk.open() as engine:
        begun = desk.clock.now()
        engine.dispatcher.start(turn)
        (await runner.spawned.get()).ends("no luck", ok=False)
        await settled(lambda: any(record.not_before for record in engine.turns.unfinished()))
        note.now = Denied("It was deleted.")
        await desk.clock.advance(60)
        assert (await engine.answered(RUN.key)).outcome is Outcome.REFUSED
    assert note.since == [begun, begun + timedelta(seconds=60)]


@asynchronous
async def test_others_than_the_owner_hear_that_a_run_failed_and_not_how(tmp_path: Path) -> None:
    desk = desk_at(tmp_path, Note(RUN))
    runner = desk.scripted()
    async with desk.open() as engine:
        engine.dispatcher.start(RUN)
        (await runner.spawned.get()).ends("/home/ada/bin/agent: no such key", ok=False)
        await engine.answered(RUN.key)
        await desk.chats.has(2)
    assert {reply.chat: reply.text for reply in desk.chats.shown} == {
        "owner": "/home/ada/bin/agent: no such key",
        "-1": "That did not work.",
    }


@asynchronous
async def test_what_was_not_published_is_for_the_owner_alone(tmp_path: Path) -> None:
    desk = desk_at(tmp_path, Note(RUN))
    runner = desk.scripted()
    async with desk.open() as engine:
        engine.dispatcher.start(RUN)
        run = await runner.spawned.get()
        run.write("agent/rules/Private affair.md", "x")
        run.ends("All is well.")
        await engine.answered(RUN.key)
        await desk.chats.has(2)
    told = {reply.chat: reply.text for reply in desk.chats.shown}
    assert "Private affair" in told["owner"]
    assert told["-1"] == "All is well."
