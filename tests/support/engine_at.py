"""`vaultloop up` on a wall clock that begins at a given instant and then runs as any clock does.

Usage: python engine_at.py 2026-11-22T11:59:57+00:00 [--held] --config vaultloop.toml

So a test meets the next slot of a cron after seconds, in the very program that users run. A clock that is
held stands still until the signal USR1 lets it go.
"""

import asyncio
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from vaultloop import daemon, logs, settings
from vaultloop.aio.clock import SystemClock


class ShiftedClock(SystemClock):
    """The machine's clock, moved; while it is held, it stands at its beginning."""

    def __init__(self, start: datetime, *, held: bool) -> None:
        self._start = start
        self._offset = start - datetime.now(UTC)
        self._held = held

    def release(self) -> None:
        self._offset = self._start - datetime.now(UTC)
        self._held = False

    def now(self) -> datetime:
        return self._start if self._held else super().now() + self._offset


def main() -> None:
    start, *flags, _, config = sys.argv[1:]
    logs.configure("info")
    found = settings.load(config=Path(config))
    clock = ShiftedClock(datetime.fromisoformat(start), held="--held" in flags)
    signal.signal(signal.SIGUSR1, lambda *_: clock.release())
    asyncio.run(daemon.up(found, clock=clock))


if __name__ == "__main__":
    main()
