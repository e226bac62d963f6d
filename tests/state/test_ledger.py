import os
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from vaultloop.model.errors import Stalled
from vaultloop.model.gateway import Bill
from vaultloop.state.ledger import (
    FILE_NAME,
    MIGRATIONS,
    By,
    Cost,
    Entry,
    Ledger,
    Usage,
    charged,
    reading,
)
from vaultloop.state.period import Period
from vaultloop.state.writer import name_of_process

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
ALIVE = name_of_process(os.getpid())
US_CENT = 10_000_000  # in billionths of a dollar


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / FILE_NAME) as ledger:
        yield ledger


def entry(**more: Any) -> Entry:
    given: dict[str, Any] = {
        "session": "s1",
        "scope": "finance",
        "trigger": ("cron", "digest"),
        "model": "claude-opus-5-5",
        "started_at": NOON,
    }
    return Entry(**{**given, **more})


def charge(ledger: Ledger, cents: int, usage: Usage = Usage(), **more: Any) -> int:  # noqa: B008 - frozen
    """Write a row that is complete; its number."""
    number = ledger.begin(entry(**more), Usage(), 0, gateway="g")
    ledger.end(number, usage, cents * US_CENT, at=NOON)
    return number


def test_what_was_spent_is_told_by_scope_and_in_all(ledger: Ledger) -> None:
    charge(ledger, 3)
    charge(ledger, 4, scope="health", session="s2")
    assert ledger.spent(Period.DAY, NOON, "UTC") == 7 * US_CENT
    assert ledger.spent(Period.DAY, NOON, "UTC", "finance") == 3 * US_CENT
    assert ledger.spent(Period.DAY, NOON, "UTC", "nobody") == 0


def test_a_day_and_a_month_end_at_midnight_of_the_timezone(ledger: Ledger) -> None:
    last = datetime(2026, 11, 30, 22, 59, 59, 999999, tzinfo=UTC)
    charge(ledger, 1, started_at=last)
    charge(ledger, 2, started_at=last + timedelta(microseconds=1))
    for period in Period:
        assert ledger.spent(period, last, "Europe/Berlin") == 1 * US_CENT
        assert ledger.spent(period, last + timedelta(seconds=1), "Europe/Berlin") == 2 * US_CENT
    assert ledger.spent(Period.DAY, last, "UTC") == 3 * US_CENT


def test_a_request_under_way_is_on_the_bill_as_an_estimate_and_not_spent_yet(ledger: Ledger) -> None:
    number = ledger.begin(entry(), Usage(input_tokens=10), US_CENT, gateway=ALIVE)
    assert ledger.bill("s1") == Bill(0.01, 1, {"input_tokens": 10}, estimated=True)
    assert ledger.spent(Period.DAY, NOON, "UTC") == 0
    ledger.note(number, Usage(input_tokens=10, output_tokens=20), 2 * US_CENT)
    assert ledger.bill("s1").usd == 0.02
    ledger.end(number, Usage(input_tokens=9), US_CENT, at=NOON)
    assert ledger.bill("s1") == Bill(0.01, 1, {"input_tokens": 9})


@pytest.mark.parametrize(
    "killed",
    [name_of_process(2**22 + 1), ALIVE + "-another", "no process"],
    ids=["gone", "of-another-start", "no-process"],
)
def test_what_a_killed_process_left_open_is_spent_before_anybody_closes_it(
    ledger: Ledger, killed: str
) -> None:
    charge(ledger, 1)
    ledger.begin(entry(), Usage(), 2 * US_CENT, gateway=killed)
    ledger.begin(entry(scope="health"), Usage(), 4 * US_CENT, gateway=killed)
    ledger.begin(entry(), Usage(), 8 * US_CENT, gateway=ALIVE)
    ledger.begin(entry(started_at=NOON - timedelta(days=1)), Usage(), 16 * US_CENT, gateway=killed)
    for _ in range(2):
        assert ledger.spent(Period.DAY, NOON, "UTC", "finance") == 3 * US_CENT
        assert ledger.spent(Period.DAY, NOON, "UTC") == 7 * US_CENT
        assert ledger.spent(Period.MONTH, NOON, "UTC") == 23 * US_CENT
        ledger.close_rows_of(killed, NOON)


def test_rows_of_a_killed_process_are_closed_as_they_stand(ledger: Ledger) -> None:
    ledger.begin(entry(), Usage(output_tokens=5), US_CENT, gateway="killed")
    ledger.begin(entry(session="s2"), Usage(), US_CENT, gateway=ALIVE)
    assert sorted(ledger.gateways()) == sorted([ALIVE, "killed"])
    assert ledger.close_rows_of("killed", NOON) == 1
    assert ledger.gateways() == [ALIVE]
    assert ledger.spent(Period.DAY, NOON, "UTC") == US_CENT
    assert ledger.bill("s1").estimated


def test_a_bill_begins_after_a_row_or_at_an_instant(ledger: Ledger) -> None:
    first = charge(ledger, 1)
    charge(ledger, 2, started_at=NOON + timedelta(hours=1))
    assert ledger.bill("s1", after=first).usd == 0.02
    assert ledger.bill("s1", since=NOON + timedelta(minutes=1)).usd == 0.02
    assert ledger.spent_by("s1", first) == 2 * US_CENT


def test_costs_are_told_apart_the_dearest_first(ledger: Ledger) -> None:
    charge(ledger, 1, Usage(input_tokens=1))
    charge(
        ledger,
        5,
        Usage(input_tokens=2),
        scope="health",
        model="claude-haiku-5-5",
        trigger=("message", "console"),
    )
    charge(ledger, 0, scope="health", model="unheard-of", priced=False)
    assert ledger.costs(By.SCOPE, Period.DAY, NOON, "UTC") == [
        Cost("health", 0.05, 2, Usage(input_tokens=2), unpriced=1),
        Cost("finance", 0.01, 1, Usage(input_tokens=1)),
    ]
    names = {by: [cost.name for cost in ledger.costs(by, Period.MONTH, NOON, "UTC")] for by in By}
    assert names[By.TRIGGER] == ["message console", "cron digest"]
    assert names[By.MODEL] == ["claude-haiku-5-5", "claude-opus-5-5", "unheard-of"]


def test_others_read_while_the_gateway_writes(ledger: Ledger, tmp_path: Path) -> None:
    charge(ledger, 1)
    with reading(tmp_path) as reader:
        assert reader is not None
        charge(ledger, 1)
        assert reader.spent(Period.DAY, NOON, "UTC") == 2 * US_CENT
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            charge(reader, 1)
    assert charged(tmp_path, "s1", NOON).requests == 2


def test_where_there_is_no_ledger_nothing_was_spent(tmp_path: Path) -> None:
    with reading(tmp_path) as reader:
        assert reader is None
    assert charged(tmp_path, "s1", NOON) == Bill()
    assert list(tmp_path.iterdir()) == []


def test_only_its_owner_may_read_it(ledger: Ledger, tmp_path: Path) -> None:
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600


def test_a_ledger_of_a_newer_version_or_damaged_is_refused_with_a_cure(tmp_path: Path) -> None:
    newer = tmp_path / "newer.db"
    with sqlite3.connect(newer) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    with pytest.raises(Stalled, match="newer vaultloop"):
        Ledger(newer)
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(b"no database" * 1000)
    with pytest.raises(Stalled, match="Move it away"):
        Ledger(damaged)
