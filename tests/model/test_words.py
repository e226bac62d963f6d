import pytest

from vaultloop.model.words import edits, near_miss, unmistakable

KNOWN = ("timezone", "overlap", "max-sessions", "catch-up", "skip", "queue", "replace", "notify")


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("tmezone", "timezone"),
        ("timezones", "timezone"),
        ("tiemzone", "timezone"),
        ("Time_Zone", "timezone"),
        ("Catch Up", "catch-up"),
        ("SKIP", "skip"),
        ("overlab", "overlap"),
    ],
)
def test_one_slip_in_a_long_word_and_the_same_word_written_otherwise_are_unmistakable(
    word: str, meant: str
) -> None:
    assert unmistakable(word, KNOWN) == meant


@pytest.mark.parametrize(
    "word", ["skipp", "tmezon", "notifi", "x-queue", "min-sessions", "no-catch-up", "unqueue", "", "mood"]
)
def test_two_slips_a_short_word_and_a_negation_are_not(word: str) -> None:
    assert unmistakable(word, KNOWN) is None


def test_a_word_near_two_others_is_not() -> None:
    assert unmistakable("reader", ("readers", "leader")) is None


@pytest.mark.parametrize(
    "word", ["min-sessions", "no-catch-up", "unqueue", "budget-usd-per-week", "cannot-read", "none"]
)
def test_what_differs_by_a_whole_word_or_a_negation_is_not_even_near(word: str) -> None:
    assert near_miss(word, (*KNOWN, "budget-usd-per-run", "can-read", "once")) is None


@pytest.mark.parametrize(
    ("one", "other", "count"),
    [
        ("", "", 0),
        ("ab", "ba", 1),
        ("abc", "ab", 1),
        ("abc", "abcde", 2),
        ("abcd", "a", 3),
        ("abc", "xyz", 3),
    ],
)
def test_edits_are_counted_up_to_three(one: str, other: str, count: int) -> None:
    assert edits(one, other) == edits(other, one) == count
