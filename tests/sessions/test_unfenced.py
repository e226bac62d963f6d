"""Sessions of a class that this machine cannot hold in are refused before anything of them begins."""

from dataclasses import replace
from pathlib import Path

from support.desk import FAMILY, OWNER, Desk, Scopes, cron_turn
from support.run import asynchronous
from vaultloop.model.conversation import Message, Outcome
from vaultloop.model.errors import NotYet, Stalled
from vaultloop.model.policy import Audience, Policy
from vaultloop.model.status import Confinement


def unfenced(_: Audience) -> Confinement:
    raise Stalled("Landlock is missing (ENOSYS).", cure="Use a newer kernel.")


def desk(folder: Path) -> Desk:
    made = Desk.at(folder)
    made.guard = Scopes(OWNER, FAMILY)
    made.confinement = unfenced
    return made


@asynchronous
async def test_the_owner_hears_what_is_missing_and_the_remedy(tmp_path: Path) -> None:
    at = desk(tmp_path)
    async with at.open() as engine:
        await engine.say("hello")
        assert (await engine.answered("console/owner/1")).outcome is Outcome.REFUSED
        assert await at.chats.has(1) == ["Landlock is missing (ENOSYS). Use a newer kernel."]
        assert not at.views()


@asynchronous
async def test_others_hear_that_it_does_not_work_and_no_more(tmp_path: Path) -> None:
    at = desk(tmp_path)
    async with at.open() as engine:
        await engine.say("hello", chat="-1", person="anna")
        record = await engine.answered("console/-1/1")
        assert record.outcome is Outcome.REFUSED
        assert "Landlock" in record.detail
        assert await at.chats.has(1) == ["This cannot be answered here as yet; the owner can see why."]


@asynchronous
async def test_who_gets_the_reports_of_a_cron_is_not_disturbed_but_for_the_owner(tmp_path: Path) -> None:
    at = desk(tmp_path)
    turn = replace(cron_turn(), recipients=(("console", "-1"), ("console", "owner")))
    async with at.open() as engine:
        engine.dispatcher.start(turn)
        assert (await engine.answered(turn.key)).outcome is Outcome.REFUSED
        await at.chats.has(1)
        assert [reply.chat for reply in at.chats.shown] == ["owner"]


class Waiting(Scopes):
    """A guard whose chats all wait for what their sessions need."""

    def admit(self, message: Message) -> Policy:
        raise NotYet("Not as yet.", super().admit(message))


@asynchronous
async def test_commands_that_need_no_session_are_answered_while_a_scope_waits(tmp_path: Path) -> None:
    at = desk(tmp_path)
    at.guard = Waiting(replace(FAMILY, commands=("status", "retry")))
    async with at.open() as engine:
        for number, text in enumerate(("/status", "/retry", "hello", "/help")):
            await engine.say(text, number, chat="-1", person="anna")
        status, *others = await at.chats.has(4)
        assert status == (
            "This cannot be answered here as yet; the owner can see why.\nIn this chat: 0 running, 0 waiting."
        )
        assert others == ["Not as yet."] * 3
        await engine.say("/status", 9)
        assert (await at.chats.has(5))[-1] == "No scope covers this chat."
