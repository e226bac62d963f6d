from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultloop.state.period import Period

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Apia", "America/Havana")


def test_a_day_begins_at_midnight_of_its_timezone() -> None:
    begins, ends = Period.DAY.around(datetime(2026, 11, 22, 23, 30, tzinfo=UTC), "Europe/Berlin")
    assert begins == datetime(2026, 11, 22, 23, tzinfo=UTC)
    assert ends == datetime(2026, 11, 23, 23, tzinfo=UTC)


def test_the_day_on_which_clocks_go_back_has_25_hours() -> None:
    begins, ends = Period.DAY.around(datetime(2026, 10, 25, 12, tzinfo=UTC), "Europe/Berlin")
    assert ends - begins == timedelta(hours=25)


def test_december_ends_with_the_year() -> None:
    begins, ends = Period.MONTH.around(datetime(2026, 12, 31, 12, tzinfo=UTC), "UTC")
    assert (begins, ends) == (datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))


def test_a_timezone_that_is_none_is_refused() -> None:
    with pytest.raises(ZoneInfoNotFoundError):
        Period.DAY.around(datetime(2026, 11, 22, tzinfo=UTC), "Europe/Atlantis")


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - of UTC
    st.sampled_from(ZONES),
    st.sampled_from(Period),
)
def test_every_instant_is_in_exactly_one_day_and_month(at: datetime, zone: str, period: Period) -> None:
    begins, ends = period.around(at, zone)
    assert begins <= at < ends
    assert period.around(begins, zone) == (begins, ends)
    assert period.around(ends, zone)[0] == ends
    local = begins.astimezone(ZoneInfo(zone))
    assert period is Period.DAY or local.day == 1
