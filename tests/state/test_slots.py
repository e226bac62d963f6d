from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from vaultloop.aio.clock import VirtualClock
from vaultloop.model.conversation import Outcome, Reply, Trigger, Turn, new_turn_id
from vaultloop.model.status import Confinement
from vaultloop.state.database import Database
from vaultloop.state.outbox import Outbox
from vaultloop.state.slots import PastSlot, SlotStore
from vaultloop.state.turns import Turns

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "db") as database:
        yield database


@pytest.fixture
def slots(database: Database) -> SlotStore:
    return SlotStore(database, VirtualClock(NOON))


def turn(slot: str, job: str = "u1") -> Turn:
    return Turn(
        id=new_turn_id(NOON),
        key=f"cron/{job}/{slot}",
        conversation=f"cron/{job}",
        scope="owner",
        trigger=Trigger("cron", "digest"),
        prompt="Do it.",
    )


def test_a_job_is_known_since_it_was_first_applied(slots: SlotStore) -> None:
    assert slots.considered("u1") is None
    assert slots.known_since("u1", NOON) == NOON
    assert slots.known_since("u1", NOON + timedelta(days=9)) == NOON
    assert slots.considered("u1") == NOON


def test_a_reserved_slot_has_a_queued_turn_and_is_not_reserved_again(
    database: Database, slots: SlotStore
) -> None:
    first = turn("2026-11-22T07:00")
    assert slots.reserve("u1", "2026-11-22T07:00", first)
    assert not slots.reserve("u1", "2026-11-22T07:00", turn("2026-11-22T07:00"))
    assert [record.id for record in Turns(database).unfinished()] == [first.id]
    assert slots.settled("u1", "2026-11-22T07:00")


def test_slot_and_turn_are_written_together_or_not_at_all(database: Database, slots: SlotStore) -> None:
    def reserve_and_die() -> None:
        with database.transaction():
            slots.reserve("u1", "2026-11-22T07:00", turn("2026-11-22T07:00"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reserve_and_die()
    assert not slots.settled("u1", "2026-11-22T07:00")
    assert Turns(database).unfinished() == []


def test_a_slot_has_one_entry_whatever_comes_first(slots: SlotStore) -> None:
    assert slots.record("u1", "2026-11-22T07:00", Outcome.SKIPPED)
    assert not slots.record("u1", "2026-11-22T07:00", Outcome.MISSED)
    assert not slots.reserve("u1", "2026-11-22T07:00", turn("2026-11-22T07:00"))
    assert slots.past("u1") == [PastSlot("2026-11-22T07:00", Outcome.SKIPPED, None)]


def test_missing_slots_leaves_those_that_have_an_entry(slots: SlotStore) -> None:
    slots.known_since("u1", NOON - timedelta(days=1))
    slots.record("u1", "b", Outcome.SKIPPED)
    slots.miss("u1", ["a", "b", "c"], until=NOON)
    assert slots.considered("u1") == NOON
    assert {past.slot: past.outcome for past in slots.past("u1")} == {
        "a": Outcome.MISSED,
        "b": Outcome.SKIPPED,
        "c": Outcome.MISSED,
    }


def test_a_job_goes_on_where_it_was_unless_its_timetable_changed(slots: SlotStore) -> None:
    later, much_later = NOON + timedelta(hours=1), NOON + timedelta(hours=2)
    assert slots.follow("u1", "0 7 * * *", NOON) == NOON
    slots.consider("u1", later)
    assert slots.follow("u1", "0 7 * * *", much_later) == later
    assert slots.follow("u1", "0 8 * * *", much_later) == much_later
    assert slots.known_since("u1", much_later) == NOON


def test_the_past_tells_how_turns_ended_newest_first(database: Database, slots: SlotStore) -> None:
    done, running = turn("a"), turn("b")
    slots.reserve("u1", "a", done)
    slots.reserve("u1", "b", running)
    slots.reserve("u2", "a", turn("a", job="u2"))
    Turns(database).end(done.id, Outcome.DONE, NOON)
    newest = PastSlot("b", None, running.id, attempts=1)
    assert slots.past("u1") == [newest, PastSlot("a", Outcome.DONE, done.id, attempts=1)]
    assert slots.past("u1", limit=1) == [newest]


def test_open_turns_are_those_of_the_job_without_an_outcome(database: Database, slots: SlotStore) -> None:
    ended, queued = turn("a"), turn("b")
    slots.reserve("u1", "a", ended)
    slots.reserve("u1", "b", queued)
    slots.reserve("u2", "a", turn("a", job="u2"))
    Turns(database).end(ended.id, Outcome.DONE, NOON)
    assert slots.open_turns("u1") == (queued.key,)


def test_a_slot_is_told_and_recorded_together_once(database: Database, slots: SlotStore) -> None:
    replies = [Reply(f"reminder/u1/a/{chat}", "console", chat, "Water.") for chat in ("owner", "42")]
    assert slots.tell("u1", "a", replies)
    assert not slots.tell("u1", "a", [Reply("again", "console", "owner", "Water.")])
    assert slots.past("u1") == [PastSlot("a", Outcome.DONE, None)]
    outbox = Outbox(database)
    assert outbox.waiting() == [("console", "owner"), ("console", "42")]
    assert outbox.next("console", "42") == replies[1]


def test_why_a_slot_has_no_turn_is_kept_with_it(slots: SlotStore) -> None:
    slots.known_since("u1", NOON)
    slots.record("u1", "a", Outcome.SKIPPED, detail="Its last run had not ended.")
    slots.miss("u1", ["a", "b"], until=NOON, detail="Nobody looked.")
    assert [past.detail for past in slots.past("u1")] == ["Nobody looked.", "Its last run had not ended."]
    assert slots.entry("u1", "b") == PastSlot("b", Outcome.MISSED, None, "Nobody looked.")
    assert slots.entry("u1", "c") is None


def test_a_run_that_waits_for_its_next_try_says_until_when(database: Database, slots: SlotStore) -> None:
    waiting, later = turn("a"), NOON + timedelta(minutes=2)
    slots.reserve("u1", "a", waiting)
    turns = Turns(database)
    turns.begin(waiting.id, Confinement.FENCED, policy="p", base="b", view="v", now=NOON)
    turns.retry(waiting.id, "Overloaded.", later)
    (past,) = slots.past("u1")
    assert (past.outcome, past.attempts, past.not_before) == (None, 2, later)
    turns.begin(waiting.id, Confinement.FENCED, policy="p", base="b", view="v", now=later)
    assert slots.past("u1")[0].not_before is None


def test_another_time_zone_gives_recent_entries_and_their_turns_the_name_of_the_old_one(
    database: Database, slots: SlotStore
) -> None:
    ran, old, instant = turn("2026-11-22T07:00"), "2026-11-01T07:00", "2026-11-22T07:00Z"
    slots.follow("u1", "0 7 * * * UTC", NOON - timedelta(days=30))
    slots.reserve("u1", "2026-11-22T07:00", ran)
    slots.record("u1", old, Outcome.SKIPPED)
    slots.record("u1", instant, Outcome.SKIPPED)
    slots.record("u2", "2026-11-22T07:00", Outcome.SKIPPED)
    again = replace(ran, id="again", key=f"{ran.key}#2")
    Turns(database).add(again, NOON)

    slots.follow("u1", "0 8 * * * UTC", NOON)
    assert slots.settled("u1", "2026-11-22T07:00")
    slots.follow("u1", "0 8 * * * Europe/Berlin", NOON)
    assert [past.slot for past in slots.past("u1")] == [instant, old, "2026-11-22T07:00 UTC"]
    assert slots.settled("u2", "2026-11-22T07:00")
    keys = [record.turn.key for record in Turns(database).unfinished()]
    assert keys == [f"{ran.key} UTC", f"{ran.key} UTC#2"]
