"""What one engine tells the next of its schedules, so that no slot is run twice and none is forgotten."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Handover:
    """Where the next engine's schedules begin.

    Attributes:
        until: every slot up to here has its entry, in the records of an engine before.
        owed: by the job's kind and name (`cron/digest`), the instant up to which that holds of its slots,
            where that is earlier. Not by its uid: another engine may know it by another one.
    """

    until: datetime
    owed: Mapping[str, datetime] = field(default_factory=dict)

    def since(self, job: str) -> datetime:
        """The instant after which the next engine answers for a job's slots."""
        return self.owed.get(job, self.until)
