"""What follows from a lease: pure values, no clock and no remote."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from vaultloop.model.handover import Handover
from vaultloop.vault.lease.lease import (
    CONFIRMED_FOR,
    DAY,
    SKEW,
    Bearer,
    Lease,
    Phase,
    Standpoint,
    Step,
    handed_over,
    is_strict,
    may_act_unseen,
    released,
    step,
    stood_down,
    taken,
)

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
PERIOD = timedelta(seconds=5)
OLD, YOUNG, THIRD = (Bearer(name, "here") for name in ("old", "young", "third"))
HANDOVER = Handover(NOON, {"digest": NOON - timedelta(minutes=5), "crontab/a b/ö": NOON})


def at(me: Bearer, phase: Phase, seconds: float = 0, **more: datetime) -> Standpoint:
    return Standpoint(me, phase, NOON + timedelta(seconds=seconds), **more)


def test_a_lease_says_all_of_itself_in_its_message() -> None:
    first = taken(None, OLD, NOON, PERIOD, "ssh-ed25519 AAAA")
    for lease in (
        first,
        claim := taken(first, YOUNG, NOON, PERIOD),
        stood_down(claim, OLD, NOON, HANDOVER),
        released(first, OLD, NOON, HANDOVER),
    ):
        assert Lease.parse(lease.text()) == lease


@pytest.mark.parametrize(
    "message",
    ["", "Lease\n\n", "x\n\n{}", "x\n\n[]", 'x\n\n{"word": "acts"}', "x\n\n" + "[" * 100_000, "x\n\nnull"],
)
def test_what_is_no_lease_is_read_as_none(message: str) -> None:
    assert Lease.parse(message) is None


@pytest.mark.parametrize(
    ("said", "instead"),
    [
        ('"period": 5.0', '"period": 90000'),
        ('"period": 5.0', '"period": 8e13'),
        ('"period": 5.0', '"period": 0'),
        ('"silence": 10.0', '"silence": 200000'),
        ('"silence": 10.0', '"silence": -1'),
        ('"silence": 10.0', '"silence": NaN'),
        ('"holder": "old@here"', '"holder": "\\u001b[2J@here"'),
        ('"holder": "old@here"', '"holder": "old"'),
        ('"awaited": []', '"awaited": [5]'),
        ('"key": ""', f'"key": "{"x" * 64 * 1024}"'),
    ],
)
def test_what_no_engine_writes_is_no_lease(said: str, instead: str) -> None:
    text = taken(None, OLD, NOON, PERIOD).text()
    assert said in text
    assert Lease.parse(text.replace(said, instead)) is None


def test_a_handover_from_a_clock_far_ahead_silences_schedules_for_a_day_at_most() -> None:
    ahead = Handover(NOON + timedelta(days=4000), {"digest": NOON + timedelta(days=3999), "sync": NOON})
    gone = released(taken(None, OLD, NOON, PERIOD), OLD, NOON, ahead)
    found = handed_over(taken(gone, YOUNG, NOON, PERIOD), YOUNG, NOON)
    assert found == Handover(NOON + DAY, {"digest": NOON + DAY, "sync": NOON})


def test_a_time_without_a_zone_is_no_lease() -> None:
    text = taken(None, OLD, NOON, PERIOD).text()
    assert Lease.parse(text.replace("+00:00", "")) is None


def test_who_finds_it_free_takes_it_and_acts_at_once() -> None:
    assert step(at(OLD, Phase.OUTSIDE), None) is Step.TAKE
    mine = taken(None, OLD, NOON, PERIOD)
    assert step(at(OLD, Phase.CLAIMING), mine) is Step.ACT
    assert step(at(OLD, Phase.ACTING), mine) is Step.GO_ON


def test_the_younger_acts_on_the_word_of_the_older() -> None:
    claim = taken(taken(None, OLD, NOON, PERIOD), YOUNG, NOON, PERIOD)
    assert step(at(YOUNG, Phase.CLAIMING, claimed=NOON), claim) is Step.WAIT
    assert step(at(OLD, Phase.ACTING), claim) is Step.STEP_BACK
    assert step(at(OLD, Phase.STANDING_BY), claim) is Step.SAY_SO
    word = stood_down(claim, OLD, NOON, HANDOVER)
    assert step(at(YOUNG, Phase.CLAIMING, claimed=NOON), word) is Step.ACT
    assert handed_over(word, YOUNG, NOON) == HANDOVER
    assert step(at(OLD, Phase.STANDING_BY), word) is Step.WAIT


def test_or_after_two_intervals_of_silence_of_the_slower_of_both() -> None:
    claim = taken(taken(None, OLD, NOON, PERIOD), YOUNG, NOON, PERIOD / 5)
    assert claim.silence == 2 * PERIOD
    assert step(at(YOUNG, Phase.CLAIMING, 9.9, claimed=NOON), claim) is Step.WAIT
    assert step(at(YOUNG, Phase.CLAIMING, 10, claimed=NOON), claim) is Step.ACT


def test_an_engine_that_cannot_see_its_lease_has_stopped_before_the_silence_is_over() -> None:
    claim = taken(taken(None, OLD, NOON, PERIOD), YOUNG, NOON, PERIOD)
    assert claim.silence > CONFIRMED_FOR * PERIOD


def test_after_a_silence_slots_are_left_out_rather_than_run_twice() -> None:
    claim = taken(taken(None, OLD, NOON, PERIOD), YOUNG, NOON, PERIOD)
    assert handed_over(claim, YOUNG, NOON) == Handover(NOON + SKEW)


def test_a_third_one_waits_for_everybody_who_may_still_act() -> None:
    claim = taken(taken(None, OLD, NOON, PERIOD), YOUNG, NOON, PERIOD)
    third = taken(claim, THIRD, NOON, PERIOD)
    assert third.awaited == (OLD, YOUNG)
    assert step(at(YOUNG, Phase.CLAIMING, claimed=NOON), third) is Step.SAY_SO
    first = stood_down(third, YOUNG, NOON, None)
    assert (first.awaited, first.handover) == ((OLD,), None)
    both = stood_down(first, OLD, NOON, HANDOVER)
    assert step(at(THIRD, Phase.CLAIMING, claimed=NOON), both) is Step.ACT
    assert handed_over(both, THIRD, NOON) == HANDOVER


def test_whose_silence_was_sat_out_is_not_waited_for_again() -> None:
    acts = taken(taken(None, OLD, NOON, PERIOD), YOUNG, NOON, PERIOD)
    third = taken(acts, THIRD, NOON, PERIOD)
    assert stood_down(third, YOUNG, NOON, HANDOVER).awaited == ()
    assert released(acts, YOUNG, NOON, HANDOVER).awaited == ()


def test_a_claim_that_is_given_up_still_names_whom_the_next_one_waits_for() -> None:
    claim = taken(taken(None, OLD, NOON, PERIOD), YOUNG, NOON, PERIOD)
    given_up = released(claim, YOUNG, NOON, None)
    assert taken(given_up, THIRD, NOON, PERIOD).awaited == (OLD,)


def test_who_stood_down_takes_it_back_only_when_it_is_free() -> None:
    acts = taken(None, YOUNG, NOON, PERIOD)
    assert step(at(OLD, Phase.STANDING_BY), acts) is Step.WAIT
    assert step(at(OLD, Phase.STANDING_BY), released(acts, YOUNG, NOON, HANDOVER)) is Step.TAKE


def test_what_others_have_had_meanwhile_is_not_acted_on_any_further() -> None:
    gone = released(taken(None, YOUNG, NOON, PERIOD), YOUNG, NOON, HANDOVER)
    assert step(at(OLD, Phase.ACTING), gone) is Step.STEP_BACK
    assert step(at(OLD, Phase.ACTING), None) is Step.TAKE


def test_after_a_crash_it_goes_on_with_its_lease_and_waits_if_it_had_not_acted() -> None:
    claim = taken(taken(None, OLD, NOON, PERIOD), YOUNG, NOON, PERIOD)
    assert step(at(YOUNG, Phase.OUTSIDE, 60), claim) is Step.WAIT
    assert step(at(YOUNG, Phase.OUTSIDE, 60, acted=claim.since), claim) is Step.ACT


def test_a_machine_that_was_booted_again_waits_but_keeps_its_own_records() -> None:
    again = Bearer(OLD.engine, "after the boot")
    claim = taken(taken(None, OLD, NOON, PERIOD), again, NOON, PERIOD)
    assert (claim.awaited, claim.met) == ((OLD,), None)
    assert handed_over(claim, again, NOON) is None


def test_what_an_engine_told_the_next_one_says_nothing_new_to_itself() -> None:
    gone = released(taken(None, OLD, NOON, PERIOD), OLD, NOON, HANDOVER)
    assert handed_over(taken(gone, OLD, NOON, PERIOD), OLD, NOON) is None
    assert handed_over(taken(gone, YOUNG, NOON, PERIOD), YOUNG, NOON) == HANDOVER


def test_a_word_that_comes_late_tells_of_the_later_slots() -> None:
    later = Handover(NOON + timedelta(hours=1))
    acts = replace(taken(taken(None, OLD, NOON, PERIOD), YOUNG, NOON, PERIOD), handover=later)
    assert stood_down(acts, OLD, NOON, HANDOVER).handover == later


def test_only_where_two_have_met_within_a_day_it_has_to_be_seen() -> None:
    alone = taken(None, OLD, NOON, PERIOD)
    assert not is_strict(alone, NOON)
    met = taken(alone, YOUNG, NOON, PERIOD)
    assert is_strict(met, NOON)
    assert not is_strict(met, NOON + DAY)


def test_offline_it_starts_on_what_it_remembers_unless_another_may_act() -> None:
    alone = taken(None, OLD, NOON, PERIOD)
    assert may_act_unseen(None, OLD, NOON)
    assert may_act_unseen(alone, OLD, NOON)
    assert may_act_unseen(alone, Bearer(OLD.engine, "after the boot"), NOON)
    assert may_act_unseen(released(alone, OLD, NOON, HANDOVER), OLD, NOON)
    assert not may_act_unseen(alone, YOUNG, NOON)
    met = taken(alone, YOUNG, NOON, PERIOD)
    assert not may_act_unseen(met, YOUNG, NOON)
    assert may_act_unseen(met, YOUNG, NOON + DAY)


def test_a_new_process_takes_what_others_await_the_word_of_its_last_one_for() -> None:
    claim = taken(taken(None, OLD, NOON, PERIOD), YOUNG, NOON, PERIOD)
    assert step(at(OLD, Phase.OUTSIDE), claim) is Step.TAKE
    again = taken(claim, OLD, NOON, PERIOD)
    assert (again.awaited, again.unsaid) == ((YOUNG,), (OLD,))
    # What the last one has run nobody has said; the new one, which never acted, cannot either.
    third = stood_down(taken(again, THIRD, NOON, PERIOD), OLD, NOON, None)
    assert handed_over(third, THIRD, NOON) == Handover(NOON + SKEW)
    assert stood_down(taken(again, THIRD, NOON, PERIOD), OLD, NOON, HANDOVER).unsaid == ()
