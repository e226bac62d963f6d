"""A spent budget parks turns with a date; it does not fail them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from support.desk import FAMILY, NOW, OWNER, Desk, OpenDesk, Scopes, ScriptedRunner, cron_turn, settled
from support.run import asynchronous
from vaultloop.aio.clock import VirtualClock
from vaultloop.model.conversation import AgentDefaults, Outcome
from vaultloop.model.gateway import BILL_PATIENCE, Bill, Door, Grant, OpenDoor
from vaultloop.overview import status_text
from vaultloop.state.ledger import FILE_NAME, NANO, Entry, Ledger, Usage
from vaultloop.state.purse import LedgerPurse
from vaultloop.state.turns import TurnRecord, TurnState

KEY = "console/owner/1"
TEN_A_DAY = replace(OWNER, budget_usd_per_day=10.0)
# In Berlin the day of `NOW` ends an hour before it does in UTC.
BERLIN = AgentDefaults(timezone="Europe/Berlin")
MIDNIGHT = datetime(2026, 11, 22, 23, tzinfo=UTC)
PARKED = "Parked until 2026-11-23 00:00 (Europe/Berlin)."


def spend(desk: Desk, usd: float, scope: str = "owner", at: datetime = NOW) -> None:
    """What the gateway writes of one request."""
    with Ledger(desk.state / FILE_NAME) as ledger:
        entry = Entry("s", scope, ("message", "console"), "scripted", at)
        number = ledger.begin(entry, Usage(), 0, gateway="g")
        ledger.end(number, Usage(output_tokens=1), round(usd * NANO), at=at)


def metered(folder: Path, *policies: object) -> tuple[Desk, ScriptedRunner, VirtualClock]:
    """A desk whose agent asks a model, and whose budgets are the ledger's."""
    desk = Desk.at(folder)
    desk.guard = Scopes(*policies)  # type: ignore[arg-type]
    desk.clock = clock = VirtualClock(NOW)
    desk.purse = LedgerPurse(desk.state)
    runner = desk.scripted()
    runner.asks = ("scripted",)
    return desk, runner, clock


def record(engine: OpenDesk, key: str = KEY) -> TurnRecord:
    found = engine.turns.by_key(key)
    assert found is not None
    return found


async def parked(engine: OpenDesk, key: str = KEY) -> TurnRecord:
    await settled(lambda: (found := engine.turns.by_key(key)) is not None and found.parked)
    return record(engine, key)


@asynchronous
async def test_a_message_waits_for_the_end_of_the_day_and_says_the_date_once(tmp_path: Path) -> None:
    desk, runner, clock = metered(tmp_path, TEN_A_DAY)
    spend(desk, 10.0)
    async with desk.open() as engine:
        engine.dispatcher.configure(BERLIN)
        await engine.say("hello")
        found = await parked(engine)
        assert (found.state, found.not_before, found.attempt) == (TurnState.QUEUED, MIDNIGHT, 1)
        (told,) = await desk.chats.has(1)
        assert told.startswith(PARKED)
        assert "The budget of 10 USD a day of the scope `owner` is spent (10.00 USD)." in told
        engine.dispatcher.reconsider()
        await engine.say("more", 2)
        await clock.advance((MIDNIGHT - NOW).total_seconds())
        (await runner.spawned.get()).ends("Hello.")
        assert await desk.chats.has(2) == [told, "Hello."]
        (await runner.spawned.get()).ends("More.")
        assert (await engine.answered("console/owner/2")).outcome is Outcome.DONE


@asynchronous
async def test_it_still_waits_after_a_restart_and_does_not_say_so_again(tmp_path: Path) -> None:
    desk, runner, clock = metered(tmp_path, TEN_A_DAY)
    spend(desk, 11.0)
    async with desk.open() as engine:
        await engine.say("hello")
        await parked(engine)
        await desk.chats.has(1)
    async with desk.open() as engine:
        engine.dispatcher.reconsider()
        assert (await parked(engine)).state is TurnState.QUEUED
        await clock.advance(timedelta(days=1).total_seconds())
        (await runner.spawned.get()).ends("Hello.")
        assert len(await desk.chats.has(2)) == 2


@asynchronous
async def test_raising_the_budget_starts_it_at_once(tmp_path: Path) -> None:
    desk, runner, _ = metered(tmp_path, TEN_A_DAY)
    spend(desk, 10.0)
    async with desk.open() as engine:
        await engine.say("hello")
        await parked(engine)
        desk.guard.policies = [replace(OWNER, budget_usd_per_day=11.0)]
        engine.dispatcher.reconsider()
        (await runner.spawned.get()).ends("Hello.")
        ended = await engine.answered(KEY)
        assert (ended.outcome, ended.parked, ended.not_before) == (Outcome.DONE, False, None)


@asynchronous
async def test_others_go_on_while_one_scope_waits(tmp_path: Path) -> None:
    desk, runner, _ = metered(tmp_path, replace(FAMILY, budget_usd_per_month=1.0), OWNER)
    spend(desk, 1.0, "family")
    async with desk.open() as engine:
        await engine.say("hello", chat="-1", person="anna")
        found = await parked(engine, "console/-1/1")
        assert found.not_before == datetime(2026, 12, 1, tzinfo=UTC)
        await engine.say("hello")
        (await runner.spawned.get()).ends("Hello.")
        assert (await engine.answered(KEY)).outcome is Outcome.DONE


@asynchronous
async def test_people_hear_the_date_and_the_owner_hears_why(tmp_path: Path) -> None:
    desk, _, _ = metered(tmp_path, replace(FAMILY, budget_usd_per_month=1.0))
    spend(desk, 1.0, "family")
    async with desk.open() as engine:
        await engine.say("hello", chat="-1", person="anna")
        await desk.chats.has(2)
        told = {reply.chat: reply.text for reply in desk.chats.shown}
    assert told["-1"] == (
        "Parked until 2026-12-01 00:00 (UTC): the budget here is spent. It goes on by itself then."
    )
    assert "1 USD a month of the scope `family`" in told["owner"]


@asynchronous
async def test_in_a_parked_chat_each_person_is_told_once_and_all_of_it_is_counted(tmp_path: Path) -> None:
    desk, _, _ = metered(tmp_path, replace(FAMILY, budget_usd_per_month=1.0, commands=("status",)))
    spend(desk, 1.0, "family")
    parked_here = "Parked until 2026-12-01 00:00 (UTC): the budget here is spent. It goes on by itself then."
    async with desk.open() as engine:
        await engine.say("hello", 1, chat="-1", person="anna")
        await parked(engine, "console/-1/1")
        for number, person in ((2, "anna"), (3, "ben"), (4, "ben"), (5, "anna")):
            await engine.say("more", number, chat="-1", person=person)
        engine.dispatcher.reconsider()
        await desk.chats.has(3)
        await engine.say("/status", 6, chat="-1", person="ben")
        await desk.chats.has(4)
        told = [reply.text for reply in desk.chats.shown if reply.chat == "-1"]
        standing = f"The agent answers here.\nIn this chat: 0 running, 5 waiting.\n{parked_here}"
        assert told == [parked_here, parked_here, standing]
        assert "5 waiting for a budget: Parked until 2026-12-01" in status_text(engine.database)


@asynchronous
async def test_a_cron_waits_too_and_the_owner_is_told_once_for_all_of_a_scope(tmp_path: Path) -> None:
    desk, _, _ = metered(tmp_path, OWNER)
    spend(desk, 5.0, "another")
    async with desk.open() as engine:
        engine.dispatcher.configure(AgentDefaults(budget_usd_per_day=5.0))
        for name in ("digest", "review"):
            engine.dispatcher.start(cron_turn(name))
            await parked(engine, cron_turn(name).key)
        (told,) = await desk.chats.has(1)
        assert "The budget of 5 USD a day of all sessions together is spent" in told


@asynchronous
async def test_cancel_ends_what_waits(tmp_path: Path) -> None:
    desk, _, _ = metered(tmp_path, TEN_A_DAY)
    spend(desk, 10.0)
    async with desk.open() as engine:
        await engine.say("hello")
        await parked(engine)
        await engine.say("/cancel", 2)
        assert (await engine.answered(KEY)).outcome is Outcome.CANCELLED


@asynchronous
async def test_a_program_that_asks_no_model_never_waits(tmp_path: Path) -> None:
    desk, runner, _ = metered(tmp_path, TEN_A_DAY)
    runner.asks = ()
    spend(desk, 10.0)
    async with desk.open() as engine:
        await engine.say("hello")
        (await runner.spawned.get()).ends("Hello.")
        assert (await engine.answered(KEY)).outcome is Outcome.DONE


@dataclass
class RefusingDoors:
    """A gateway that refuses every request for lack of money, once something else has spent it."""

    desk: Desk
    usd: float

    @asynccontextmanager
    async def opened(self, grant: Grant) -> AsyncIterator[OpenDoor]:
        spend(self.desk, self.usd, grant.policy.scope)
        yield self

    @property
    def door(self) -> Door:
        return Door("127.0.0.1", 1, "token")

    async def bill(self, patience: float = BILL_PATIENCE) -> Bill:
        return Bill(refused="The budget is used up.")


@pytest.mark.parametrize("acts", [False, True])
def test_a_run_that_is_refused_money_waits_unless_it_has_acted(tmp_path: Path, *, acts: bool) -> None:
    @asynchronous
    async def waits() -> None:
        desk, runner, _ = metered(tmp_path, TEN_A_DAY)
        desk.doors = RefusingDoors(desk, 10.0)
        async with desk.open() as engine:
            await engine.say("hello")
            run = await runner.spawned.get()
            if acts:
                run.uses("Edit")
            run.ends("402", ok=False)
            if not acts:
                assert (await parked(engine)).state is TurnState.QUEUED
                return
            ended = await engine.answered(KEY)
            assert ended.outcome is Outcome.FAILED
            assert ended.detail.startswith("The budget is used up. 402")

    waits()


@asynchronous
async def test_a_run_that_used_up_its_own_budget_fails_and_says_so(tmp_path: Path) -> None:
    desk, runner, _ = metered(tmp_path, TEN_A_DAY)
    desk.doors = RefusingDoors(desk, 1.0)
    async with desk.open() as engine:
        await engine.say("hello")
        (await runner.spawned.get()).ends("402", ok=False)
        ended = await engine.answered(KEY)
        assert (ended.outcome, ended.detail) == (Outcome.FAILED, "The budget is used up. 402")
