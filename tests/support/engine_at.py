"""`vaultloop up` on a wall clock that begins at a given instant and then runs as any clock does.

Usage: python engine_at.py 2026-11-22T11:59:57+00:00 --config vaultloop.toml

So a test meets the next slot of a cron after seconds, in the very program that users run.
"""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

from vaultloop import app, logs, settings
from vaultloop.aio.clock import SystemClock


class ShiftedClock(SystemClock):
    """The machine's clock, moved."""

    def __init__(self, start: datetime) -> None:
        self._offset = start - datetime.now(UTC)

    def now(self) -> datetime:
        return super().now() + self._offset


def main() -> None:
    start, _, config = sys.argv[1:]
    logs.configure("info")
    found = settings.load(config=Path(config))
    asyncio.run(app.up(found, clock=ShiftedClock(datetime.fromisoformat(start))))


if __name__ == "__main__":
    main()
