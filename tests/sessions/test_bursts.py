"""What is said in quick succession."""

from pathlib import Path

from support.desk import FAMILY, NOW, Desk, OpenDesk
from support.run import asynchronous
from vaultloop.aio.clock import VirtualClock
from vaultloop.model.conversation import Message
from vaultloop.state.inbox import Fate, Inbox

KEY = "console/owner/1"


def fate(engine: OpenDesk, number: int) -> Fate | None:
    return Inbox(engine.database).fate(Message("console", "owner", str(number), "owner", "", NOW))


@asynchronous
async def test_a_burst_is_one_turn(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    desk.chats.coalesce = 3.0
    runner = desk.scripted()
    assert isinstance(desk.clock, VirtualClock)
    async with desk.open() as engine:
        await engine.say("note:", 1)
        await desk.clock.advance(2)
        await engine.say("buy milk", 2)
        await desk.clock.advance(2)
        assert engine.turns.recent() == []
        await desk.clock.advance(2)
        run = await runner.spawned.get()
        assert run.task.prompt == "note:\nbuy milk"
        run.ends()
        await engine.answered(KEY)
        assert [fate(engine, number) for number in (1, 2)] == [Fate.TURN, Fate.TURN]
        assert len(engine.turns.recent()) == 1


@asynchronous
async def test_two_people_in_one_group_are_not_one_burst(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    desk.chats.coalesce = 3.0
    desk.guard.policies = [FAMILY]
    runner = desk.scripted()
    assert isinstance(desk.clock, VirtualClock)
    async with desk.open() as engine:
        await engine.say("from anna", 1, chat="-1", person="anna")
        await engine.say("from ben", 2, chat="-1", person="ben")
        await desk.clock.advance(5)
        for prompt in ("from anna", "from ben"):
            run = await runner.spawned.get()
            assert run.task.prompt == prompt
            run.ends()
        await engine.answered("console/-1/2")
