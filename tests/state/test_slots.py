from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from vaultloop.aio.clock import VirtualClock
from vaultloop.model.conversation import Outcome, Trigger, Turn, new_turn_id
from vaultloop.state.database import Database
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
    assert slots.past("u1") == [PastSlot("b", None, running.id), PastSlot("a", Outcome.DONE, done.id)]
    assert slots.past("u1", limit=1) == [PastSlot("b", None, running.id)]


def test_open_turns_are_those_of_the_job_without_an_outcome(database: Database, slots: SlotStore) -> None:
    ended, queued = turn("a"), turn("b")
    slots.reserve("u1", "a", ended)
    slots.reserve("u1", "b", queued)
    slots.reserve("u2", "a", turn("a", job="u2"))
    Turns(database).end(ended.id, Outcome.DONE, NOON)
    assert slots.open_turns("u1") == (queued.key,)
