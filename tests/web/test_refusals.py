"""Requests that prove nothing: told in one line a minute, and no more than so many from one address."""

import logging

import pytest

from vaultloop.web.refusals import MINUTE, MOST_A_MINUTE, MOST_ADDRESSES, Refusals

STRANGER, FORGE = "93.184.215.14", "140.82.112.3"


class Watch:
    """A clock that moves when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_address_is_looked_at_so_often_a_minute_and_others_do_not_suffer() -> None:
    watch = Watch()
    refusals = Refusals(watch)
    for _ in range(MOST_A_MINUTE):
        assert not refusals.is_tired_of(STRANGER)
        refusals.note(STRANGER)
    assert refusals.is_tired_of(STRANGER)
    assert not refusals.is_tired_of(FORGE)
    watch.now += MINUTE
    assert not refusals.is_tired_of(STRANGER)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.7", "172.18.0.2", "fd00::1", "::1", ""])
def test_a_proxy_is_never_punished_for_what_strangers_send_through_it(address: str) -> None:
    refusals = Refusals(Watch())
    for _ in range(2 * MOST_A_MINUTE):
        refusals.note(address)
    assert not refusals.is_tired_of(address)


def test_many_addresses_are_forgotten_in_the_order_in_which_they_were_refused() -> None:
    refusals = Refusals(Watch())
    for _ in range(MOST_A_MINUTE):
        refusals.note(STRANGER)
    for number in range(MOST_ADDRESSES):
        refusals.note(f"8.8.{number // 256}.{number % 256}")
    assert not refusals.is_tired_of(STRANGER)


def test_a_flood_is_one_line_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    watch = Watch()
    refusals = Refusals(watch)
    with caplog.at_level(logging.WARNING):
        for _ in range(500):
            refusals.note(STRANGER)
        watch.now += MINUTE
        refusals.note(STRANGER)
    said = "refused {} webhooks whose sender does not know the secret"
    assert [record.message for record in caplog.records] == [said.format(1), said.format(500)]
