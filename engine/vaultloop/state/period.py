"""Days and months as a person means them: by the calendar of a timezone."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo


class Period(StrEnum):
    """What a budget is for."""

    DAY = "day"
    MONTH = "month"

    def around(self, at: datetime, timezone: str) -> tuple[datetime, datetime]:
        """When the day or month that `at` falls into begins and when it is over, in UTC.

        Where the clocks are changed at midnight, a day begins with the change.

        Raises:
            ValueError, OSError: there is no such timezone (`zoneinfo.ZoneInfo`).
        """
        zone = ZoneInfo(timezone)
        local = at.astimezone(zone)
        first = local.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None, fold=0)
        if self is Period.DAY:
            following = first + timedelta(days=1)
        else:
            first = first.replace(day=1)
            following = (first + timedelta(days=32)).replace(day=1)
        begins, ends = (moment.replace(tzinfo=zone).astimezone(UTC) for moment in (first, following))
        return begins, ends
