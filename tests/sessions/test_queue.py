"""Turns that wait: for a session, and for their next try."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from support.desk import (
    FAMILY,
    NOW,
    OWNER,
    Desk,
    OpenDesk,
    ScriptedRun,
    ScriptedRunner,
    cron_turn,
    practice,
    settled,
)
from support.run import asynchronous
from vaultloop.aio.clock import VirtualClock
from vaultloop.model.cell import Runner
from vaultloop.model.conversation import AgentDefaults, Limits, Outcome, SendWhen, Turn
from vaultloop.model.errors import Stalled
from vaultloop.sessions.queue import STOP_PATIENCE
from vaultloop.sessions.session import wait_after
from vaultloop.state.turns import TurnRecord, TurnState

KEY = "console/owner/1"
HERE = ("console", "owner")
BUSY = "The model was busy."


def patient(retries: int = 2, name: str = "digest") -> Turn:
    return replace(cron_turn(name), recipients=(HERE,), limits=Limits(retries=retries))


def record_of(engine: OpenDesk, turn: Turn) -> TurnRecord:
    record = engine.turns.by_key(turn.key)
    assert record is not None
    return record


async def failed(engine: OpenDesk, runner: ScriptedRunner, turn: Turn) -> ScriptedRun:
    """Let the run of `turn` fail that starts now, and wait until its next try is in the queue."""
    run = await runner.spawned.get()
    attempt = record_of(engine, turn).attempt
    run.write("Inbox.md", f"try {attempt}")
    run.ends(BUSY, ok=False, cost_usd=0.25)
    await settled(lambda: record_of(engine, turn).attempt > attempt)
    return run


@asynchronous
async def test_messages_of_one_conversation_are_answered_in_order_one_at_a_time(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    runner = desk.scripted()
    async with desk.open() as engine:
        for number in (1, 2, 3):
            await engine.say(f"message {number}", number)
        for number in (1, 2, 3):
            run = await runner.spawned.get()
            assert run.task.prompt == f"message {number}"
            assert runner.running == 1
            run.ends(f"answer {number}")
        assert await desk.chats.has(3) == ["answer 1", "answer 2", "answer 3"]


@asynchronous
async def test_at_most_so_many_sessions_run_and_the_rest_is_told_that_it_waits(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    desk.guard.policies = [OWNER, FAMILY]
    runner = desk.scripted()
    async with desk.open() as engine:
        for name in ("a", "b"):
            engine.dispatcher.start(cron_turn(name))
        runs = [await runner.spawned.get() for _ in range(2)]
        await engine.say("hello")
        assert await desk.chats.has(1) == ["Queued: 2 sessions are running; this one comes next when it can."]
        engine.dispatcher.start(cron_turn("c"))
        assert engine.dispatcher.unfinished("cron/c") == 1
        assert runner.running == 2
        last = []
        for run, prompt in zip(runs, ("hello", cron_turn().prompt), strict=True):
            run.ends()
            last.append(await runner.spawned.get())
            assert last[-1].task.prompt == prompt
        for run in last:
            run.ends("Hello.")
        await engine.answered(KEY)
        assert (await desk.chats.has(2))[1:] == ["Hello."]


@asynchronous
async def test_a_higher_limit_holds_at_once(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    runner = desk.scripted()
    async with desk.open() as engine:
        engine.dispatcher.configure(AgentDefaults(max_sessions=1))
        for name in ("a", "b"):
            engine.dispatcher.start(cron_turn(name))
        await runner.spawned.get()
        engine.dispatcher.configure(AgentDefaults(max_sessions=2))
        await runner.spawned.get()
        assert runner.running == 2


@asynchronous
async def test_an_error_inside_the_engine_ends_one_turn_and_no_other(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    bugs = [ZeroDivisionError()]

    def runner(defaults: AgentDefaults) -> Runner:
        if bugs:
            raise bugs.pop()
        return practice(defaults)

    desk.runner = runner
    async with desk.open() as engine:
        await engine.say("hello")
        assert (await engine.answered(KEY)).outcome is Outcome.FAILED
        await engine.say("how many notes", 2)
        assert (await engine.answered("console/owner/2")).outcome is Outcome.DONE


@asynchronous
async def test_turns_begin_in_the_order_of_their_making_and_never_more_than_may_run(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    runner = desk.scripted()
    assert isinstance(desk.clock, VirtualClock)
    turns = [cron_turn(f"job-{number}") for number in range(12)]
    async with desk.open(begin=False) as engine:
        for turn in turns:
            engine.dispatcher.start(turn)
        engine.dispatcher.begin()
        for _ in turns:
            run = await runner.spawned.get()
            assert runner.running <= 2
            await desk.clock.advance(1)
            run.ends()
        for turn in turns:
            assert (await engine.answered(turn.key)).outcome is Outcome.DONE
        rows = engine.database.rows("SELECT id FROM turns ORDER BY started_at, number")
    assert [row["id"] for row in rows] == [turn.id for turn in turns]


# Next tries


@asynchronous
async def test_a_failed_run_is_tried_again_after_a_pause_and_only_the_last_word_is_told(
    tmp_path: Path,
) -> None:
    desk = Desk.at(tmp_path)
    runner = desk.scripted()
    assert isinstance(desk.clock, VirtualClock)
    turn = patient()
    async with desk.open() as engine:
        engine.dispatcher.start(turn)
        await failed(engine, runner, turn)
        record = record_of(engine, turn)
        assert (record.state, record.attempt) == (TurnState.QUEUED, 2)
        assert record.not_before == NOW + timedelta(minutes=1)
        assert record.detail == f"Try 1 of 3 failed, the next is at 2026-11-22T07:01+00:00: {BUSY}"
        await desk.clock.advance(59)
        assert runner.spawned.empty()
        await desk.clock.advance(1)
        run = await runner.spawned.get()
        assert (run.cell.view / "Inbox.md").read_text() == "# Inbox\n"
        run.write("Inbox.md", "the second try")
        run.ends("Second time lucky.", cost_usd=0.5)
        record = await engine.answered(turn.key)
        assert await desk.chats.has(1) == ["Second time lucky."]
        await engine.pushed()
    assert (record.outcome, record.detail) == (Outcome.DONE, "It was tried 2 times.")
    assert record.cost_usd == 0.75
    assert desk.at_remote("Inbox.md") == "the second try"
    assert len(desk.chats.shown) == 1


@asynchronous
async def test_the_last_try_that_fails_is_told_and_its_work_is_kept(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    runner = desk.scripted()
    assert isinstance(desk.clock, VirtualClock)
    turn = patient(retries=2)
    async with desk.open() as engine:
        engine.dispatcher.start(turn)
        for minutes in (1, 2):
            await failed(engine, runner, turn)
            assert record_of(engine, turn).not_before == desk.clock.now() + timedelta(minutes=minutes)
            await desk.clock.advance(minutes * 60)
        run = await runner.spawned.get()
        run.write("Inbox.md", "the last try")
        run.ends(BUSY, ok=False)
        record = await engine.answered(turn.key)
        (told,) = await desk.chats.has(1)
        assert record.outcome is Outcome.FAILED
        assert record.detail == told
        assert told.startswith(f"{BUSY} It was tried 3 times. What it wrote was not published;")
        await engine.dispatcher.restore(record.id)
        await engine.pushed()
    assert desk.at_remote("Inbox.md") == "the last try"
    assert desk.views() == []


@asynchronous
async def test_the_next_try_gets_what_is_left_of_the_budget_and_none_is_made_without_any(
    tmp_path: Path,
) -> None:
    desk = Desk.at(tmp_path)
    runner = desk.scripted()
    assert isinstance(desk.clock, VirtualClock)
    turn = replace(patient(), limits=Limits(budget_usd=0.5, retries=5))
    async with desk.open() as engine:
        engine.dispatcher.start(turn)
        await failed(engine, runner, turn)
        await desk.clock.advance(60)
        run = await runner.spawned.get()
        assert run.cell.policy.budget_usd_per_run == 0.25
        run.ends(BUSY, ok=False, cost_usd=0.25)
        record = await engine.answered(turn.key)
    assert (record.outcome, record.attempt, record.cost_usd) == (Outcome.FAILED, 2, 0.5)


@pytest.mark.parametrize("how", ["final", "no program", "no retries"])
@asynchronous
async def test_what_another_try_cannot_mend_is_not_tried_again(tmp_path: Path, how: str) -> None:
    desk = Desk.at(tmp_path)
    turn = patient(retries=0 if how == "no retries" else 3)
    if how == "no program":
        async with desk.open() as engine:
            engine.dispatcher.configure(AgentDefaults(command="no-such-program-anywhere"))
            engine.dispatcher.start(turn)
            record = await engine.answered(turn.key)
    else:
        runner = desk.scripted()
        async with desk.open() as engine:
            engine.dispatcher.start(turn)
            (await runner.spawned.get()).ends(BUSY, ok=False, retryable=how == "no retries")
            record = await engine.answered(turn.key)
    assert (record.outcome, record.attempt) == (Outcome.FAILED, 1)


@asynchronous
async def test_a_next_try_survives_a_restart_and_comes_at_its_time(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    runner = desk.scripted()
    assert isinstance(desk.clock, VirtualClock)
    turn = patient()
    async with desk.open() as engine:
        engine.dispatcher.start(turn)
        await failed(engine, runner, turn)
    await desk.clock.advance(30)
    async with desk.open() as engine:
        await desk.clock.advance(29)
        assert runner.spawned.empty()
        await desk.clock.advance(1)
        (await runner.spawned.get()).ends()
        assert (await engine.answered(turn.key)).outcome is Outcome.DONE
    assert desk.views() == []


@asynchronous
async def test_a_turn_that_waits_for_its_next_try_takes_no_session_from_others(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    runner = desk.scripted()
    assert isinstance(desk.clock, VirtualClock)
    turn, other = patient(), cron_turn("other")
    later = replace(turn, id="later", key="cron/digest/2026-11-22T08:00")
    async with desk.open() as engine:
        engine.dispatcher.configure(AgentDefaults(max_sessions=1))
        engine.dispatcher.start(turn)
        await failed(engine, runner, turn)
        engine.dispatcher.start(later)
        engine.dispatcher.start(other)
        run = await runner.spawned.get()
        assert run.task.session == other.id
        run.ends()
        await engine.answered(other.key)
        # What came after it in its own conversation stays behind it.
        assert runner.spawned.empty()
        await desk.clock.advance(60)
        for expected in (turn, later):
            run = await runner.spawned.get()
            assert run.task.session == expected.id
            run.ends()
            await engine.answered(expected.key)


@pytest.mark.parametrize("outcome", [Outcome.CANCELLED, Outcome.REPLACED])
@asynchronous
async def test_a_turn_that_waits_for_its_next_try_can_be_ended(tmp_path: Path, outcome: Outcome) -> None:
    desk = Desk.at(tmp_path)
    runner = desk.scripted()
    assert isinstance(desk.clock, VirtualClock)
    turn = patient()
    async with desk.open() as engine:
        engine.dispatcher.start(turn)
        await failed(engine, runner, turn)
        if outcome is Outcome.CANCELLED:
            await engine.say("/cancel")
            assert (await desk.chats.has(2))[0] == "Cancelling what runs."
        else:
            await engine.dispatcher.cancel(turn.key, outcome)
        record = await engine.answered(turn.key)
        assert record.outcome is outcome
        assert record.detail.endswith("It was tried once.")
        await desk.clock.advance(3600)
        assert runner.spawned.empty()


@asynchronous
async def test_a_run_that_fails_while_it_is_cancelled_is_not_tried_again(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    runner = desk.scripted()
    turn = patient()
    async with desk.open() as engine:
        engine.dispatcher.start(turn)
        run = await runner.spawned.get()
        run.ends(BUSY, ok=False)
        # Let the failure be heard, and cancel before it is on record.
        await asyncio.sleep(0)
        await engine.dispatcher.cancel(turn.key, Outcome.CANCELLED)
        assert (await engine.answered(turn.key)).outcome is Outcome.CANCELLED


@asynchronous
async def test_silence_is_kept_about_a_run_that_had_to_be_tried_twice(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    runner = desk.scripted()
    assert isinstance(desk.clock, VirtualClock)
    turn = replace(patient(), send_when=SendWhen.SOMETHING_TO_SAY)
    async with desk.open() as engine:
        engine.dispatcher.start(turn)
        await failed(engine, runner, turn)
        await desk.clock.advance(60)
        (await runner.spawned.get()).ends("NOTHING TO SAY")
        await engine.answered(turn.key)
    assert desk.chats.shown == []


def test_pauses_between_tries_double_up_to_a_quarter_of_an_hour() -> None:
    minutes = [wait_after(attempt) / timedelta(minutes=1) for attempt in (1, 2, 3, 4, 5, 6, 10**6)]
    assert minutes == [1, 2, 4, 8, 15, 15, 15]


@asynchronous
async def test_a_turn_that_does_not_exist_is_not_waited_for(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    async with desk.open() as engine:
        with pytest.raises(Stalled, match="There is no session"):
            await engine.dispatcher.ended("none")


# Stopping


@asynchronous
async def test_a_stop_lets_a_session_end_that_is_about_to_and_starts_no_other(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    runner = desk.scripted()
    async with desk.open() as engine:
        await engine.say("think", 1)
        run = await runner.spawned.get()
        stopping = asyncio.create_task(engine.dispatcher.wind_down())
        await asyncio.sleep(0)
        await engine.say("and then?", 2)
        run.write("Inbox.md", "thought")
        run.ends("I thought.")
        await stopping
        assert await desk.chats.has(1) == ["I thought."]
        waiting = engine.turns.by_key("console/owner/2")
        assert waiting is not None
        assert waiting.state is TurnState.QUEUED
        await engine.pushed()
    assert desk.at_remote("Inbox.md") == "thought"
    assert runner.spawned.empty()


@asynchronous
async def test_a_stop_waits_for_nobody_where_nothing_runs(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    async with desk.open() as engine:
        await engine.dispatcher.wind_down()
    assert desk.clock.now() == NOW


@asynchronous
async def test_a_stop_waits_no_longer_than_it_says(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    runner = desk.scripted()
    assert isinstance(desk.clock, VirtualClock)
    async with desk.open() as engine:
        engine.dispatcher.start(cron_turn())
        await runner.spawned.get()
        stopping = asyncio.create_task(engine.dispatcher.wind_down())
        await desk.clock.advance(STOP_PATIENCE - 0.1)
        assert not stopping.done()
        await desk.clock.advance(0.1)
        await stopping
        assert runner.running == 1
    assert runner.running == 0
