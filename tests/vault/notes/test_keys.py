import pytest

from vaultloop.components import KINDS
from vaultloop.vault.notes.keys import is_of_others, near_miss

KNOWN = {info.alias or name for kind in KINDS for name, info in kind.spec.model_fields.items()}


@pytest.mark.parametrize(
    "key", ["aliases", "tags", "Date Created", "date modified", "created_at", "x-mood", "publish"]
)
def test_keys_of_obsidian_and_its_plugins_are_known(key: str) -> None:
    assert is_of_others(key)


def test_no_key_of_ours_is_taken_for_somebody_elses() -> None:
    assert not {key for key in KNOWN if is_of_others(key)}


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("Schedule", "schedule"),
        ("time_zone", "timezone"),
        ("can read", "can-read"),
        ("canRead", "can-read"),
        ("shedule", "schedule"),
        ("peple", "people"),
        ("chat", "chats"),
        ("stop-afte", "stop-after"),
        ("catchup", "catch-up"),
        ("pausd", "paused"),
    ],
)
def test_a_slip_of_the_finger_is_recognised(typed: str, meant: str) -> None:
    assert near_miss(typed, KNOWN) == meant


@pytest.mark.parametrize(
    "typed",
    [
        *("mood", "colour", "priority", "owner", "note", "ttl", "project"),
        *("cannot-read", "no-catch-up", "unpaused", "min-sessions", "budget-usd-per-week"),
    ],
)
def test_another_word_is_no_slip(typed: str) -> None:
    assert near_miss(typed, KNOWN) is None
