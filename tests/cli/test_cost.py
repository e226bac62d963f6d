"""`vaultloop cost`: what was spent, by whom, and what is left; with and without an engine."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from support.folders import declared
from support.installation import Installation
from support.notes import OWNER, note, scope
from support.running import engine_settings
from vaultloop.state.database import Database
from vaultloop.state.directory import StateDirectory
from vaultloop.state.ledger import FILE_NAME, NANO, Entry, Ledger, Usage
from vaultloop.state.status_book import LastGood, StatusBook

VAULT = {
    "agent/defaults.md": note("defaults", budget_usd_per_day="5", budget_usd_per_month="50"),
    "agent/owner.md": OWNER,
    "agent/family.md": scope(budget_usd_per_day="1"),
}


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    """An engine that is stopped, has left its records and never asked a model."""
    (tmp_path / "vault").mkdir()
    settings = engine_settings(tmp_path, folder=tmp_path / "vault")
    state = StateDirectory(tmp_path / "state")
    with state.locked(), Database(state.database) as database:
        resources = declared(tmp_path / "declared", VAULT).values()
        good = [LastGood.of(replace(resource, uid=resource.ref.name), "0" * 40) for resource in resources]
        StatusBook(database).keep(good, ())
    return Installation(settings)


@pytest.fixture
def ledger(tmp_path: Path, installation: Installation) -> Path:
    del installation
    return tmp_path / "state" / FILE_NAME


def spend(ledger: Path, usd: float, scope: str, trigger: str, **more: bool) -> None:
    now = datetime.now(UTC)
    with Ledger(ledger) as opened:
        entry = Entry("s", scope, ("cron", trigger), "claude-x", now, priced=more.get("priced", True))
        number = opened.begin(entry, Usage(), 0, gateway="g")
        ended = now + timedelta(seconds=1)
        figures, cost = Usage(output_tokens=7), round(usd * NANO)
        opened.end(number, figures, cost, at=ended, estimated=more.get("estimated", False))


def test_where_nothing_was_spent_a_sentence_says_so_with_what_is_left(installation: Installation) -> None:
    assert installation.run("cost").splitlines() == [
        "Today: nothing was spent. 5.00 of 5 USD are left.",
        "This month: nothing was spent. 50.00 of 50 USD are left.",
    ]


def test_it_is_told_by_scope_trigger_and_model_with_limits(installation: Installation, ledger: Path) -> None:
    spend(ledger, 0.25, "family", "digest")
    spend(ledger, 0.5, "owner", "review")
    spend(ledger, 0.5, "family", "digest")
    day = installation.json("cost", "--day")["day"]
    assert (day["usd"], day["limit_usd"], day["left_usd"], day["requests"]) == (1.25, 5.0, 3.75, 3)
    family, owner = day["by_scope"]
    assert (family["name"], family["usd"], family["limit_usd"], family["left_usd"]) == (
        "family",
        0.75,
        1.0,
        0.25,
    )
    assert (owner["name"], owner["limit_usd"], owner["left_usd"]) == ("owner", None, None)
    assert [line["name"] for line in day["by_trigger"]] == ["cron digest", "cron review"]
    assert [(line["name"], line["usage"]["output_tokens"]) for line in day["by_model"]] == [("claude-x", 21)]
    said = installation.run("cost")
    assert "Today: 1.2500 USD in 3 requests. 3.75 of 5 USD are left." in said
    assert "cron digest" in said


def test_only_one_period_is_told_where_that_is_asked(installation: Installation) -> None:
    assert set(installation.json("cost")) == {"timezone", "day", "month"}
    assert set(installation.json("cost", "--month")) == {"timezone", "month"}


def test_an_estimate_and_an_unknown_price_are_said(installation: Installation, ledger: Path) -> None:
    spend(ledger, 0.25, "owner", "digest", estimated=True)
    spend(ledger, 0.0, "owner", "digest", priced=False)
    said = installation.run("cost", "--day")
    assert "Today: ~0.2500 USD" in said
    assert "never below what was served" in said
    assert "1 request went to models without a known price." in said


def test_it_only_reads(installation: Installation, ledger: Path) -> None:
    installation.run("cost")
    assert not ledger.exists()
