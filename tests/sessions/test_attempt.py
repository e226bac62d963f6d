"""One try of an agent, and what bounds it."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from support.desk import OWNER, Desk, cron_turn
from support.run import asynchronous
from vaultloop.aio.clock import VirtualClock
from vaultloop.model.conversation import Limits, Outcome
from vaultloop.sessions.attempt import within

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("scope", "turn", "allowed"),
    [
        ((10 * MINUTE, None), (None, None), (10 * MINUTE, None)),
        ((10 * MINUTE, 1.0), (MINUTE, 0.25), (MINUTE, 0.25)),
        ((10 * MINUTE, 0.25), (60 * MINUTE, 1.0), (10 * MINUTE, 0.25)),
        ((10 * MINUTE, None), (None, 0.5), (10 * MINUTE, 0.5)),
        ((10 * MINUTE, 0.5), (None, None), (10 * MINUTE, 0.5)),
        ((10 * MINUTE, 0.5), (None, 0.0), (10 * MINUTE, 0.0)),
    ],
)
def test_a_turn_narrows_what_its_scope_says_and_never_widens_it(
    scope: tuple[timedelta, float | None],
    turn: tuple[timedelta | None, float | None],
    allowed: tuple[timedelta, float | None],
) -> None:
    policy = replace(OWNER, stop_after=scope[0], budget_usd_per_run=scope[1])
    narrowed = within(policy, Limits(*turn))
    assert (narrowed.stop_after, narrowed.budget_usd_per_run) == allowed
    assert replace(narrowed, stop_after=scope[0], budget_usd_per_run=scope[1]) == policy


def test_the_tries_of_a_turn_share_one_budget() -> None:
    assert within(OWNER, Limits(budget_usd=1.0), 0.25).budget_usd_per_run == 0.75
    assert within(OWNER, Limits(budget_usd=1.0), 1.25).budget_usd_per_run == 0.0
    assert within(OWNER, Limits(), 1.25).budget_usd_per_run is None


@asynchronous
async def test_a_session_works_under_the_limits_of_its_turn_also_after_a_restart(tmp_path: Path) -> None:
    desk = Desk.at(tmp_path)
    runner = desk.scripted()
    assert isinstance(desk.clock, VirtualClock)
    turn = replace(cron_turn(), limits=Limits(stop_after=MINUTE, budget_usd=0.25))
    async with desk.open(begin=False) as engine:
        engine.dispatcher.start(turn)
    async with desk.open() as engine:
        run = await runner.spawned.get()
        assert (run.cell.policy.stop_after, run.cell.policy.budget_usd_per_run) == (MINUTE, 0.25)
        await desk.clock.advance(59)
        record = engine.turns.by_key(turn.key)
        assert record is not None
        assert record.outcome is None
        # The audit trail names the policy of the scope: it is what a human can look up.
        assert record.policy == OWNER.id
        await desk.clock.advance(1)
        assert (await engine.answered(turn.key)).outcome is Outcome.TIMED_OUT
