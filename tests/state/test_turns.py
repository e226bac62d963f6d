from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from vaultloop.model.conversation import Limits, Outcome, SendWhen, Trigger, Turn
from vaultloop.model.status import Confinement
from vaultloop.state.database import Database
from vaultloop.state.turns import Turns, TurnState, insert_turn

NOW = datetime(2026, 11, 22, 7, tzinfo=UTC)
HERE = ("console", "owner")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "engine.db") as opened:
        yield opened


@pytest.fixture
def turns(database: Database) -> Turns:
    return Turns(database)


def turn(name: str = "a", *, conversation: str = "console/owner") -> Turn:
    return Turn(
        id=f"id-{name}",
        key=f"key-{name}",
        conversation=conversation,
        scope="owner",
        trigger=Trigger("message", "console"),
        prompt="hello",
        recipients=(HERE,),
    )


def test_a_turn_is_read_as_it_was_queued(turns: Turns) -> None:
    silent = replace(turn("b"), recipients=())
    loud = replace(
        turn("c"),
        recipients=(("telegram", "-100"), HERE, ("console", "-1")),
        send_when=SendWhen.FAILURE,
        limits=Limits(timedelta(minutes=1.5), 0.25, 3),
        timezone="Europe/Berlin",
    )
    for each in (turn(), silent, loud):
        assert turns.add(each, NOW)
    assert [record.turn for record in turns.unfinished()] == [turn(), silent, loud]
    assert turns.unfinished()[0].state is TurnState.QUEUED


def test_who_is_named_twice_hears_once(turns: Turns) -> None:
    turns.add(replace(turn(), recipients=(HERE, ("console", "-1"), HERE)), NOW)
    assert turns.unfinished()[0].turn.recipients == (HERE, ("console", "-1"))


def test_there_is_one_turn_a_key(turns: Turns) -> None:
    assert turns.add(turn(), NOW)
    assert not turns.add(replace(turn(), id="another"), NOW)
    assert turns.get("another") is None


def test_a_turn_joins_the_transaction_of_a_caller(database: Database, turns: Turns) -> None:
    def fail() -> None:
        with database.transaction() as change:
            assert insert_turn(change, turn(), NOW)
            assert not insert_turn(change, turn(), NOW)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert turns.by_key("key-a") is None


def test_each_step_is_recorded(turns: Turns) -> None:
    turns.add(turn(), NOW)
    turns.begin("id-a", Confinement.FENCED, policy="p", base="b", view="/v", now=NOW)
    turns.mark_acted("id-a")
    turns.account("id-a", model="m", cost_usd=0.25)
    turns.answer("id-a", "the reply")
    turns.record_commit("id-a", "c")
    turns.publish("id-a", "left out")
    record = turns.get("id-a")
    assert record is not None
    assert (record.policy, record.base, record.view, record.acted) == ("p", "b", "/v", True)
    assert (record.model, record.cost_usd, record.reply) == ("m", 0.25, "the reply")
    assert (record.commit, record.detail, record.state) == ("c", "left out", TurnState.PUBLISHED)


def test_a_turn_has_exactly_one_outcome(turns: Turns) -> None:
    turns.add(turn(), NOW)
    assert turns.end("id-a", Outcome.DONE, NOW)
    assert not turns.end("id-a", Outcome.FAILED, NOW, "too late")
    record = turns.get("id-a")
    assert record is not None
    assert (record.outcome, record.detail, record.ended_at) == (Outcome.DONE, "", NOW)


def test_an_ended_turn_never_moves_again(turns: Turns) -> None:
    turns.add(turn(), NOW)
    turns.end("id-a", Outcome.CANCELLED, NOW)
    turns.answer("id-a", "late")
    turns.requeue("id-a")
    record = turns.get("id-a")
    assert record is not None
    assert (record.state, record.reply) == (TurnState.ENDED, "")


def test_a_requeued_turn_is_as_new(turns: Turns) -> None:
    turns.add(turn(), NOW)
    turns.begin("id-a", Confinement.FENCED, policy="p", base="b", view="/v", now=NOW)
    turns.requeue("id-a")
    record = turns.get("id-a")
    assert record is not None
    assert (record.state, record.view, record.base, record.acted) == (TurnState.QUEUED, None, None, False)


def test_unfinished_turns_of_one_conversation_are_told_apart(turns: Turns) -> None:
    turns.add(turn("a"), NOW)
    turns.add(turn("b", conversation="cron/x"), NOW)
    turns.add(turn("c"), NOW)
    turns.end("id-a", Outcome.DONE, NOW)
    assert [record.id for record in turns.unfinished("console/owner")] == ["id-c"]
    assert [record.id for record in turns.unfinished()] == ["id-b", "id-c"]


def test_a_turn_is_run_again_under_the_next_free_key(turns: Turns) -> None:
    turns.add(turn(), NOW)
    assert turns.next_key("key-a") == "key-a#2"
    turns.add(replace(turn(), id="again", key="key-a#2"), NOW)
    assert turns.next_key("key-a#2") == "key-a#3"


def test_only_what_did_not_end_well_and_was_not_run_again_may_be_retried(turns: Turns) -> None:
    for name, outcome in (("a", Outcome.INTERRUPTED), ("b", Outcome.DONE), ("c", Outcome.FAILED)):
        turns.add(turn(name), NOW)
        turns.end(f"id-{name}", outcome, NOW)
    assert [record.id for record in turns.retryable(HERE)] == ["id-c", "id-a"]
    turns.add(replace(turn(), id="again", key="key-c#2"), NOW)
    assert [record.id for record in turns.retryable(HERE)] == ["id-a"]
    assert turns.retryable(("console", "another")) == []


def test_each_recipient_may_retry_what_did_not_end_well(turns: Turns) -> None:
    turns.add(replace(turn(), recipients=(("console", "-1"), HERE)), NOW)
    turns.end("id-a", Outcome.FAILED, NOW)
    assert [record.id for record in turns.retryable(HERE)] == ["id-a"]
    assert [record.id for record in turns.retryable(("console", "-1"))] == ["id-a"]


def test_a_turn_that_is_tried_again_waits_in_the_queue_with_the_reason(turns: Turns) -> None:
    turns.add(turn(), NOW)
    turns.begin("id-a", Confinement.FENCED, policy="p", base="b", view="/v", now=NOW)
    turns.mark_acted("id-a")
    turns.account("id-a", model="m", cost_usd=0.25)
    turns.retry("id-a", "The model was busy.", NOW + timedelta(minutes=1))
    (record,) = turns.unfinished()
    assert (record.state, record.attempt, record.detail) == (TurnState.QUEUED, 2, "The model was busy.")
    assert record.not_before == NOW + timedelta(minutes=1)
    assert (record.view, record.acted) == (None, False)
    turns.begin("id-a", Confinement.FENCED, policy="p", base="b", view="/w", now=NOW)
    turns.account("id-a", model="m", cost_usd=0.5)
    (record,) = turns.unfinished()
    assert (record.attempt, record.not_before, record.cost_usd) == (2, None, 0.75)


def test_a_turn_that_ended_waits_for_nothing(turns: Turns) -> None:
    turns.add(turn(), NOW)
    turns.retry("id-a", "The model was busy.", NOW + timedelta(minutes=1))
    turns.end("id-a", Outcome.CANCELLED, NOW)
    record = turns.get("id-a")
    assert record is not None
    assert (record.not_before, record.attempt) == (None, 2)


def test_the_last_run_that_was_done_is_found_behind_those_that_were_not(turns: Turns) -> None:
    assert turns.last_done("console/owner") is None
    for name, outcome in (("a", Outcome.DONE), ("b", Outcome.DONE), ("c", Outcome.FAILED)):
        turns.add(turn(name), NOW)
        turns.end(f"id-{name}", outcome, NOW)
    turns.add(turn("d"), NOW)
    last = turns.last_done("console/owner")
    assert last is not None
    assert last.id == "id-b"
    assert turns.last_done("console/another") is None
