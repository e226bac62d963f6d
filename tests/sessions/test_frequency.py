"""How often one person is answered under a scope."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from support.desk import FAMILY, NOW, OWNER, Desk, Scopes
from support.run import asynchronous
from vaultloop.aio.clock import VirtualClock
from vaultloop.model.conversation import Message
from vaultloop.state.inbox import Fate, Inbox

TWICE = replace(FAMILY, messages_per_person_per_hour=2)


def at(folder: Path) -> tuple[Desk, VirtualClock]:
    desk = Desk.at(folder)
    desk.guard = Scopes(TWICE, replace(OWNER, messages_per_person_per_hour=1))
    desk.clock = clock = VirtualClock(NOW)
    return desk, clock


def said(number: int, person: str = "anna") -> Message:
    return Message("console", "-1", str(number), person, "hello", NOW)


@asynchronous
async def test_beyond_the_number_of_the_scope_a_person_is_told_when_to_try_again_and_only_once(
    tmp_path: Path,
) -> None:
    desk, clock = at(tmp_path)
    async with desk.open() as engine:
        for number in range(1, 5):
            await engine.say("hello", number, chat="-1", person="anna")
            await clock.advance(60)
        await engine.answered("console/-1/2")
        shown = await desk.chats.has(3)
        fates = [Inbox(engine.database).fate(said(number)) for number in range(1, 5)]
    assert fates == [Fate.TURN, Fate.TURN, Fate.REFUSED, Fate.REFUSED]
    slower = "You are answered at most 2 messages an hour here. Say it again after 08:00 UTC."
    assert shown.count(slower) == 1


@asynchronous
async def test_an_hour_later_the_person_is_answered_again(tmp_path: Path) -> None:
    desk, clock = at(tmp_path)
    async with desk.open() as engine:
        for number in (1, 2, 3):
            await engine.say("hello", number, chat="-1", person="anna")
        await clock.advance(timedelta(hours=1).total_seconds())
        await engine.say("hello", 4, chat="-1", person="anna")
        await engine.answered("console/-1/4")


@asynchronous
async def test_what_others_say_and_commands_do_not_count(tmp_path: Path) -> None:
    desk, _ = at(tmp_path)
    async with desk.open() as engine:
        for number, (text, person) in enumerate(
            [("/help", "anna"), ("a", "anna"), ("b", "ben"), ("c", "ben"), ("d", "anna")], start=1
        ):
            await engine.say(text, number, chat="-1", person=person)
        for number in range(2, 6):
            await engine.answered(f"console/-1/{number}")


@asynchronous
async def test_the_owner_is_answered_always(tmp_path: Path) -> None:
    desk, _ = at(tmp_path)
    async with desk.open() as engine:
        for number in range(1, 4):
            await engine.say("hello", number)
            await engine.answered(f"console/owner/{number}")
