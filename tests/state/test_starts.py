"""Crashes are counted across starts, and only those."""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from support.run import asynchronous
from vaultloop.aio.clock import VirtualClock
from vaultloop.model.errors import Stalled
from vaultloop.state.starts import CRASHES, NAME, WINDOW, Starts

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def crash(state: Path, clock: VirtualClock, declarations: str | None = "bad") -> Starts:
    """One life of an engine that ends by an error of ours."""
    starts = Starts(state, clock)
    with suppress(RuntimeError), starts.counted():
        if declarations is not None:
            starts.note(declarations)
        raise RuntimeError
    return starts


def poison(state: Path, clock: VirtualClock) -> frozenset[str]:
    starts = Starts(state, clock)
    with starts.counted():
        return starts.poison


def test_three_crashes_within_five_minutes_name_what_ran(tmp_path: Path) -> None:
    clock = VirtualClock(NOON)
    for _ in range(CRASHES):
        assert poison(tmp_path, clock) == frozenset()
        crash(tmp_path, clock)
    assert poison(tmp_path, clock) == {"bad"}


@asynchronous
async def test_crashes_of_long_ago_do_not_count(tmp_path: Path) -> None:
    clock = VirtualClock(NOON)
    for _ in range(CRASHES):
        crash(tmp_path, clock)
        await clock.advance(WINDOW.total_seconds() / 2)
    assert poison(tmp_path, clock) == frozenset()


def test_an_orderly_end_and_what_a_human_is_told_to_mend_are_no_crashes(tmp_path: Path) -> None:
    clock = VirtualClock(NOON)
    for error in (Stalled("No vault.", cure="Make one."), KeyboardInterrupt()):
        for _ in range(CRASHES):
            with pytest.raises(type(error)), Starts(tmp_path, clock).counted():
                raise error
    for _ in range(CRASHES):
        with Starts(tmp_path, clock).counted():
            pass
    crash(tmp_path, clock)
    assert len(crash(tmp_path, clock).crashed) == 1


def test_a_crash_before_anything_ran_poisons_nothing(tmp_path: Path) -> None:
    clock = VirtualClock(NOON)
    for _ in range(CRASHES):
        crash(tmp_path, clock, None)
    assert poison(tmp_path, clock) == frozenset()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"crashed": [1]}', '{"crashed": [{"at": "soon"}]}'])
def test_a_file_that_cannot_be_understood_is_begun_anew(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    clock = VirtualClock(NOON)
    for _ in range(CRASHES):
        assert poison(tmp_path, clock) == frozenset()
        crash(tmp_path, clock)
    assert poison(tmp_path, clock) == {"bad"}


def test_a_start_that_cannot_be_written_down_is_not_prevented(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    assert poison(tmp_path, VirtualClock(NOON)) == frozenset()
