"""What is left, by the real ledger."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from vaultloop.model.gateway import Allowance
from vaultloop.model.policy import Audience, Policy
from vaultloop.state.ledger import FILE_NAME, NANO, Entry, Ledger, Usage
from vaultloop.state.purse import LedgerPurse
from vaultloop.state.writer import name_of_process

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
NOTHING = Allowance()
Spend = Callable[..., None]


@pytest.fixture
def spend(tmp_path: Path) -> Spend:
    def spend(usd: float, scope: str = "it", at: datetime = NOW) -> None:
        with Ledger(tmp_path / FILE_NAME) as ledger:
            number = ledger.begin(Entry("s", scope, ("cron", "x"), "m", at), Usage(), 0, gateway="g")
            ledger.end(number, Usage(), round(usd * NANO), at=at)

    return spend


def policy(day: float | None = None, month: float | None = None) -> Policy:
    return Policy("it", Audience.OWNER, budget_usd_per_day=day, budget_usd_per_month=month)


def test_where_nothing_was_ever_charged_everything_is_left(tmp_path: Path) -> None:
    assert LedgerPurse(tmp_path).exhausted(policy(day=1.0), NOTHING, NOW) is None


def test_a_budget_of_nothing_is_spent_from_the_start(tmp_path: Path) -> None:
    assert LedgerPurse(tmp_path).exhausted(policy(day=0.0), NOTHING, NOW) is not None


@pytest.mark.parametrize(("usd", "spent"), [(0.99, False), (1.0, True), (1.5, True)])
def test_a_budget_is_spent_once_as_much_was_charged(
    tmp_path: Path, spend: Spend, usd: float, *, spent: bool
) -> None:
    spend(usd)
    assert (LedgerPurse(tmp_path).exhausted(policy(day=1.0), NOTHING, NOW) is not None) is spent


def test_what_a_killed_gateway_may_have_served_is_spent_at_once(tmp_path: Path) -> None:
    with Ledger(tmp_path / FILE_NAME) as ledger:
        for gateway in (name_of_process(os.getpid()), name_of_process(2**22 + 1)):
            ledger.begin(Entry("s", "it", ("cron", "x"), "m", NOW), Usage(), NANO, gateway=gateway)
    purse = LedgerPurse(tmp_path)
    assert purse.exhausted(policy(day=1.0), NOTHING, NOW) is not None
    # What is under way in one that lives counts once it is over.
    assert purse.exhausted(policy(day=2.0), NOTHING, NOW) is None


def test_what_other_scopes_spend_counts_for_all_together_only(tmp_path: Path, spend: Spend) -> None:
    spend(3.0, "another")
    purse = LedgerPurse(tmp_path)
    assert purse.exhausted(policy(day=1.0), NOTHING, NOW) is None
    found = purse.exhausted(policy(day=1.0), Allowance(usd_per_day=3.0), NOW)
    assert found is not None
    assert found.reason == "The budget of 3 USD a day of all sessions together is spent (3.00 USD)."


def test_of_two_that_are_spent_the_longer_one_decides(tmp_path: Path, spend: Spend) -> None:
    spend(2.0)
    found = LedgerPurse(tmp_path).exhausted(policy(day=1.0, month=2.0), NOTHING, NOW)
    assert found is not None
    assert found.until == datetime(2026, 12, 1, tzinfo=UTC)
    assert "a month" in found.reason


def test_a_day_begins_where_the_agent_lives(tmp_path: Path, spend: Spend) -> None:
    before_midnight_in_tokyo = datetime(2026, 11, 22, 14, 59, tzinfo=UTC)
    spend(1.0, at=before_midnight_in_tokyo)
    tokyo, purse = Allowance(timezone="Asia/Tokyo"), LedgerPurse(tmp_path)
    found = purse.exhausted(policy(day=1.0), tokyo, before_midnight_in_tokyo)
    assert found is not None
    assert found.until == before_midnight_in_tokyo + timedelta(minutes=1)
    assert purse.exhausted(policy(day=1.0), tokyo, found.until) is None
