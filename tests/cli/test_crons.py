"""`vaultloop crons`: a table for people and JSON for scripts."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from support.folders import declared
from support.installation import Installation
from support.notes import OWNER, cron, note
from support.running import engine_settings
from vaultloop.model.conversation import Outcome, Trigger, Turn
from vaultloop.model.status import Confinement
from vaultloop.state.database import Database
from vaultloop.state.directory import StateDirectory
from vaultloop.state.slots import SlotStore
from vaultloop.state.status_book import LastGood, StatusBook
from vaultloop.state.turns import Turns

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
ROWS = "| name | schedule | scope | prompt |\n|-|-|-|-|\n| tea | 0 16 * * * | owner | Tea? |"
NOTES = {
    "digest": cron(schedule="0 7 * * *", timezone="Europe/Berlin"),
    "off": cron(paused="true"),
    "table": note("crontab", ROWS),
    "water": note("reminder", "Water.", at="2026-11-24 09:00"),
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Settings of an engine that is stopped and has left its records."""
    (tmp_path / "vault").mkdir()
    settings = engine_settings(tmp_path, folder=tmp_path / "vault")
    state = StateDirectory(tmp_path / "state")
    with state.locked(), Database(state.database) as database:
        vault = {"agent/owner.md": OWNER} | {f"agent/{name}.md": text for name, text in NOTES.items()}
        for resource in declared(tmp_path / "declared", vault).values():
            good = LastGood.of(resource, "0" * 40)
            uid = resource.ref.name
            kept = LastGood(good.ref, uid, good.path, good.blob, good.text, good.spec, good.applied)
            StatusBook(database).keep([kept], ())
        _past(SlotStore(database), Turns(database))
    return settings


def _past(slots: SlotStore, turns: Turns) -> None:
    slots.record("digest", "2026-11-20T07:00", Outcome.SKIPPED, detail="Its last run had not ended.")
    for day, session in ((21, "session-a"), (22, "session-b")):
        turn = Turn(session, f"cron/digest/{day}", "cron/digest", "owner", Trigger("cron", "digest"), "Go.")
        slots.reserve("digest", f"2026-11-{day}T07:00", turn)
    turns.end("session-a", Outcome.FAILED, NOON, "It broke.\nThen it burnt.")
    turns.begin("session-b", Confinement.FENCED, policy="p", base="b", view="v", now=NOON)
    turns.retry("session-b", "Overloaded.", NOON + timedelta(minutes=2))


def test_people_see_what_comes_what_was_and_why(config: Path) -> None:
    printed = Installation(config).run("crons", "--next", "1", "--from", str(NOON))
    assert [" ".join(line.split()) for line in printed.splitlines()] == [
        "cron slot session outcome",
        "digest 2026-11-23T07:00+01:00 next",
        "2026-11-22T07:00 session-b waits until 2026-11-22T13:02:00+01:00 for try 2: Overloaded.",
        "2026-11-21T07:00 session-a failed: It broke. ...",
        "2026-11-20T07:00 skipped: Its last run had not ended.",
        "off paused",
        "table/tea 2026-11-22T16:00+00:00 next",
        "water (reminder) 2026-11-24T09:00+00:00 next",
    ]


def test_scripts_see_the_same_as_json(config: Path) -> None:
    found = Installation(config).json("crons", "--from", str(NOON))["crons"]
    assert [cron["name"] for cron in found] == ["digest", "off", "table/tea", "water"]
    assert [past["outcome"] for past in found[0]["past"]] == ["running", "failed", "skipped"]
    assert found[0]["past"][0]["waits_until"] == "2026-11-22T13:02:00+01:00"
    assert found[0]["past"][1]["detail"] == "It broke.\nThen it burnt."
    assert len(found[2]["next"]) == 3
