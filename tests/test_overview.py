"""What the records say, in the shapes that people and scripts are promised."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from support.folders import declared
from support.notes import OWNER, cron, note
from vaultloop import overview
from vaultloop.model.conversation import Outcome, Trigger, Turn
from vaultloop.model.policy import Audience
from vaultloop.model.resource import Ref
from vaultloop.model.status import Condition, Confinement, Push, PushState, Status
from vaultloop.state.database import Database
from vaultloop.state.proposals import Draft, Proposals, ProposalState
from vaultloop.state.slots import SlotStore
from vaultloop.state.status_book import LastGood, StatusBook
from vaultloop.state.turns import Turns

NOW = datetime(2026, 3, 28, 12, tzinfo=UTC)
REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "engine.db") as opened:
        yield opened


def turn(name: str) -> Turn:
    return Turn(
        id=f"session-{name}",
        key=f"cron/digest/{name}",
        conversation="cron/digest",
        scope="owner",
        trigger=Trigger("cron", "digest"),
        prompt="Gather.",
    )


def in_force(database: Database, folder: Path, **notes: str) -> None:
    """Crons by name that were applied, with their names for uids."""
    vault = {"agent/owner.md": OWNER} | {f"agent/{name}.md": text for name, text in notes.items()}
    resources = declared(folder / "vault", vault)
    for name in notes:
        good = LastGood.of(resources[name], REVISION)
        StatusBook(database).keep(
            [LastGood(good.ref, name, good.path, good.blob, good.text, good.spec, REVISION)], ()
        )


# -- status ------------------------------------------------------------------------------------------------


def test_before_anything_happened_the_overview_is_whole_all_the_same(database: Database) -> None:
    assert overview.overview(database) == {
        "revision": None,
        "applied": None,
        "push": {"state": "local", "since": "1970-01-01T00:00:00+00:00", "message": ""},
        "lease": {},
        "sandbox": {},
        "attention": [],
        "resources": [],
    }


def test_status_in_a_chat_says_first_what_needs_a_human(database: Database) -> None:
    book = StatusBook(database)
    book.saw(REVISION, applied=True)
    book.record_push(Push(PushState.STRANDED, NOW, "It is away."))
    book.record_attention(["The folder is gone."])
    book.record_sandbox(
        {
            Audience.OWNER: Confinement.FENCED,
            Audience.CRON: Confinement.DEGRADED,
            Audience.PUBLIC: None,
        }
    )
    book.record(
        [
            Status(Ref("cron", "digest"), Condition.OUTDATED, "InvalidNote", "Line 3 is wrong.", NOW),
            Status(Ref("cron", "off"), Condition.SUSPENDED, "Paused", "Paused by its note.", NOW),
            Status(Ref("scope", "owner"), Condition.READY, "Applied", "In force.", NOW),
        ]
    )
    assert overview.status_text(database).splitlines() == [
        "Revision 0123456789, applied 0123456789, stranded.",
        "Sessions: fenced, but cron DEGRADED, public REFUSED.",
        "The folder is gone.",
        "cron/digest: Outdated. Line 3 is wrong.",
        "2 of 3 declarations are as they should be.",
    ]


# -- crons -------------------------------------------------------------------------------------------------


def test_coming_slots_are_told_in_the_crons_own_zone_also_across_a_change_of_the_clock(
    database: Database, tmp_path: Path
) -> None:
    in_force(database, tmp_path, digest=cron(schedule="30 7 * * *", timezone="Europe/Berlin"))
    (found,) = overview.crons(database, count=2, start=NOW)
    assert found == {
        "name": "digest",
        "kind": "cron",
        "paused": False,
        "timezone": "Europe/Berlin",
        "next": ["2026-03-29T07:30+02:00", "2026-03-30T07:30+02:00"],
        "past": [],
    }


def test_a_paused_cron_is_shown_without_coming_slots(database: Database, tmp_path: Path) -> None:
    in_force(database, tmp_path, off=cron(paused="true"))
    (found,) = overview.crons(database, count=2, start=NOW)
    assert found["next"] == []
    assert overview.crons_text(database, NOW) == "off: paused"


def test_past_slots_name_their_outcome_and_session_newest_first_and_not_all_of_them(
    database: Database, tmp_path: Path
) -> None:
    in_force(database, tmp_path, digest=cron(schedule="0 7 * * *"))
    slots, turns = SlotStore(database), Turns(database)
    slots.follow("digest", "0 7 * * *", NOW)
    for day in range(1, 10):
        slots.record("digest", f"2026-03-{day:02}T07:00", Outcome.MISSED, detail="It was too late.")
    slots.reserve("digest", "2026-03-10T07:00", turn("a"))
    (found,) = overview.crons(database, count=1, start=NOW)
    assert len(found["past"]) == overview.PAST_SLOTS
    assert found["past"][:2] == [
        {
            "slot": "2026-03-10T07:00",
            "outcome": "running",
            "session": "session-a",
            "detail": "",
            "attempts": 1,
            "waits_until": None,
        },
        {
            "slot": "2026-03-09T07:00",
            "outcome": "missed",
            "session": None,
            "detail": "It was too late.",
            "attempts": 0,
            "waits_until": None,
        },
    ]
    turns.end("session-a", Outcome.DONE, NOW)
    assert overview.crons_text(database, NOW) == (
        "digest: next 2026-03-29T07:00+00:00, last 2026-03-10T07:00 done"
    )


def test_a_run_that_waits_for_its_next_try_says_until_when_and_how_often_a_run_was_tried(
    database: Database, tmp_path: Path
) -> None:
    in_force(database, tmp_path, digest=cron(schedule="0 7 * * *", timezone="Europe/Berlin"))
    slots, turns = SlotStore(database), Turns(database)
    slots.follow("digest", "0 7 * * *", NOW)
    slots.reserve("digest", "2026-03-28T07:00", turn("a"))
    turns.begin("session-a", Confinement.FENCED, policy="p", base="b", view="v", now=NOW)
    turns.retry("session-a", "The API is overloaded.", NOW + timedelta(minutes=2))
    (past,) = overview.crons(database, count=1, start=NOW)[0]["past"]
    assert (past["outcome"], past["attempts"]) == ("running", 2)
    assert past["waits_until"] == "2026-03-28T13:02:00+01:00"
    assert overview.ending(past) == "waits until 2026-03-28T13:02:00+01:00 for try 2"
    turns.end("session-a", Outcome.DONE, NOW)
    (past,) = overview.crons(database, count=1, start=NOW)[0]["past"]
    assert overview.ending(past) == "done at try 2"


ROWS = """
| name    | schedule     | scope     | prompt       | paused |
| ------- | ------------ | --------- | ------------ | ------ |
| morning | 0 7 * * *    | [[owner]] | What is new? |        |
| evening | 0 19 * * *   | [[owner]] | What is left? | true  |
"""


def test_rows_of_a_crontab_are_jobs_under_the_name_of_note_and_row(
    database: Database, tmp_path: Path
) -> None:
    in_force(database, tmp_path, table=note("crontab", ROWS, timezone="Europe/Berlin"))
    SlotStore(database).record("crontab/table/morning", "2026-03-28T07:00", Outcome.SKIPPED)
    morning, evening = overview.crons(database, count=1, start=NOW)
    assert (morning["name"], morning["next"]) == ("table/morning", ["2026-03-29T07:00+02:00"])
    assert [past["outcome"] for past in morning["past"]] == ["skipped"]
    assert (evening["name"], evening["next"]) == ("table/evening", [])
    assert overview.crons_text(database, NOW).splitlines()[1] == "table/evening: paused"


def test_a_reminder_is_shown_until_it_has_fired_and_one_that_was_missed_stays_in_sight(
    database: Database, tmp_path: Path
) -> None:
    text = note("reminder", "Water the plants.", at="2026-03-29 09:00")
    in_force(database, tmp_path, water=text, taxes=text)
    book, slots = StatusBook(database), SlotStore(database)
    refs = [Ref("reminder", "taxes"), Ref("reminder", "water")]
    book.record([Status(ref, Condition.READY, "Applied", "In force.", NOW) for ref in refs])
    both = overview.crons(database, count=3, start=NOW)
    assert [(found["name"], found["kind"]) for found in both] == [
        ("taxes", "reminder"),
        ("water", "reminder"),
    ]
    assert both[0]["next"] == ["2026-03-29T09:00+00:00"]

    slots.tell("reminder/water", "2026-03-29T09:00", [])
    slots.record("reminder/taxes", "2026-03-29T09:00", Outcome.MISSED)
    assert [found["name"] for found in overview.crons(database, count=3, start=NOW)] == ["taxes"]
    assert [found["name"] for found in overview.overview(database)["resources"]] == ["taxes"]
    assert overview.status_text(database).endswith("1 of 1 declarations are as they should be.")


def test_a_reminder_stays_in_sight_until_its_run_ended_well(database: Database, tmp_path: Path) -> None:
    text = note("reminder", "Look at the taxes.", at="2026-03-28 09:00", scope="[[owner]]")
    in_force(database, tmp_path, taxes=text, water=text)
    turns, slots = Turns(database), SlotStore(database)
    for name in ("taxes", "water"):
        slots.reserve(f"reminder/{name}", "2026-03-28T09:00", turn(name))
    turns.begin("session-water", Confinement.FENCED, policy="p", base="b", view="v", now=NOW)

    def shown() -> dict[str, str]:
        found = overview.crons(database, count=1, start=NOW)
        return {each["name"]: each["past"][0]["outcome"] for each in found}

    assert shown() == {"taxes": "running", "water": "running"}
    turns.end("session-taxes", Outcome.FAILED, NOW)
    turns.end("session-water", Outcome.DONE, NOW)
    assert shown() == {"taxes": "failed"}


def test_without_crons_a_chat_is_told_so(database: Database) -> None:
    assert overview.crons_text(database, NOW) == "No crons run."


# -- sessions and log --------------------------------------------------------------------------------------


def test_sessions_are_listed_newest_first_and_shown_with_what_was_asked_and_said(database: Database) -> None:
    turns = Turns(database)
    turns.add(turn("a"), NOW)
    turns.add(turn("b"), NOW + timedelta(minutes=1))
    turns.end("session-a", Outcome.FAILED, NOW, "It broke.")
    newest, oldest = overview.sessions(database, limit=5)
    assert (newest["session"], newest["state"], newest["outcome"]) == ("session-b", "queued", None)
    assert (oldest["outcome"], oldest["detail"], oldest["trigger"]) == ("failed", "It broke.", "cron digest")
    assert overview.sessions(database, limit=1) == [newest]

    Proposals(database).sort_out("session-a", [("CLAUDE.md", "only a human may")])
    draft = Draft("session-a", "owner", "c0ffee", "ba5e", ("agent/x.md",))
    Proposals(database).add(draft, ProposalState.OPEN, NOW)
    shown = overview.session(database, "session-a")
    more = {"refused": ["CLAUDE.md: only a human may"], "proposals": ["1 (open)"]}
    assert shown == {**oldest, **more, "prompt": "Gather.", "reply": ""}
    assert overview.session(database, "session-c") is None
