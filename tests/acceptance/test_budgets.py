"""A budget in a note, a real engine over it, and the ledger of its gateway."""

from datetime import datetime
from pathlib import Path
from typing import Any

from support.notes import note
from support.run import asynchronous
from support.running import BASE, NOON, Place, Running, until
from vaultloop import overview
from vaultloop.cli.engine import records
from vaultloop.model.conversation import Message
from vaultloop.state.ledger import FILE_NAME, NANO, Entry, Ledger, Usage

DEFAULTS = "agent/defaults.md"
PARKED = "Parked until 2026-11-23 00:00 (Europe/Berlin)."


def defaults(usd: str) -> str:
    return note("defaults", runner="claude", timezone="Europe/Berlin", budget_usd_per_day=usd)


def spend(place: Place, usd: float, at: datetime = NOON) -> None:
    """What the gateway writes of one request."""
    place.settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    with Ledger(place.settings.state / FILE_NAME) as ledger:
        number = ledger.begin(Entry("s", "owner", ("message", "x"), "m", at), Usage(), 0, gateway="g")
        ledger.end(number, Usage(), round(usd * NANO), at=at)


def newest(running: Running) -> Any:
    found = running.sessions()
    return found[0] if found else {"waits_until": None, "outcome": None}


@asynchronous
async def test_what_a_spent_budget_holds_back_starts_once_the_note_allows_more(tmp_path: Path) -> None:
    place = Place.with_remote(tmp_path, {**BASE, DEFAULTS: defaults("5")})
    # There is no such program: that it was looked for shows that the turn was started.
    with place.config.open("a") as config:
        config.write(f'claude = "{tmp_path / "no-claude"}"\ndegraded = ["owner"]\n')
    spend(place, 5.0)
    async with place.engine() as running:
        said = Message("console", "owner", "1", "owner", "hello", NOON)
        await running.engine.dispatcher.receive(said)
        await until(lambda: newest(running)["waits_until"] is not None)
        assert newest(running)["detail"].startswith(PARKED)
        with records(place.settings) as database:
            assert f"1 waiting for a budget: {PARKED}" in overview.status_text(database)

        place.push({"agent/rules/kind.md": note("rule", "Be kind.")})
        running.engine.look_again()
        await until(lambda: running.status("rule/kind")["condition"] == "Ready")
        await until(lambda: newest(running)["waits_until"] == "2026-11-22T23:00:00+00:00")
        assert newest(running)["outcome"] is None

        place.push({DEFAULTS: defaults("6")})
        running.engine.look_again()
        await until(lambda: newest(running)["outcome"] is not None)
        assert "no-claude" in newest(running)["detail"]
