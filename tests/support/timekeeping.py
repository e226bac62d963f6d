"""What a schedule meets at run time: a clock that is moved, and turns that take their time."""

import random
from datetime import datetime, timedelta

from vaultloop.aio.clock import VirtualClock
from vaultloop.model.conversation import Outcome, Turn
from vaultloop.state.database import Database
from vaultloop.state.turns import Turns


class WallClock(VirtualClock):
    """A clock that jumps, and that somebody may set back, though not before its beginning.

    Attributes:
        latest: what it had shown at most when it was set back.
    """

    def __init__(self, start: datetime) -> None:
        super().__init__(start)
        self.earliest = self.latest = start

    async def jump(self, span: timedelta) -> None:
        """Go forward at once, as when a laptop wakes: nothing happens at the times between."""
        self._now += span
        await self.advance(0)

    def set_back(self, span: timedelta) -> None:
        self.latest = max(self.latest, self._now)
        super().set_back(min(span, self._now - self.earliest))


class RecordedTurns:
    """A turn starter over the real record; turns end when the test says so."""

    def __init__(self, database: Database, clock: VirtualClock) -> None:
        self.turns = Turns(database)
        self._clock = clock

    def start(self, turn: Turn) -> None:
        self.turns.add(turn, self._clock.now())

    async def cancel(self, key: str, outcome: Outcome) -> None:
        record = self.turns.by_key(key)
        if record is not None:
            self.turns.end(record.id, outcome, self._clock.now())

    def unfinished(self, conversation: str) -> int:
        return len(self.turns.unfinished(conversation))

    def end(self, chance: random.Random, likely: float) -> None:
        """End each unfinished turn, as likely as said."""
        for record in self.turns.unfinished():
            if chance.random() < likely:
                self.turns.end(record.id, Outcome.DONE, self._clock.now())
