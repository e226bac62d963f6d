"""The record of schedule slots: each has exactly one entry, a turn or an outcome without one."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from vaultloop.aio.clock import Clock, SystemClock
from vaultloop.model.conversation import Outcome, Reply, Turn
from vaultloop.state.database import Database
from vaultloop.state.outbox import Outbox
from vaultloop.state.turns import insert_turn

_PAST = (
    "SELECT slot, turn, COALESCE(slots.outcome, turns.outcome) AS outcome,"
    " COALESCE(slots.detail, turns.detail) AS detail, attempt, not_before"
    " FROM slots LEFT JOIN turns ON turns.id = slots.turn"
)

# The name of a slot that is a local time, and not an instant.
_LOCAL = "????-??-??T??:??"
# No two zones show times farther apart.
NEAR = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class PastSlot:
    """What became of a slot.

    Attributes:
        slot: its name; two names with `..` between them stand for a run of missed slots: those from the first
            to before the second that have no entry of their own.
        outcome: None while its turn is queued or running.
        session: id of its turn; None if it never had one.
        detail: why it ended as it did, a sentence for people; mostly empty.
        attempts: how often its turn was tried, the running or waiting try included; 0 without a turn.
        not_before: while its turn waits for another try: when that may start.
    """

    slot: str
    outcome: Outcome | None
    session: str | None
    detail: str = ""
    attempts: int = 0
    not_before: datetime | None = None


class SlotStore:
    """Slots in the engine's database; `job` is the uid of a job."""

    def __init__(self, database: Database, clock: Clock | None = None) -> None:
        self._database = database
        self._outbox = Outbox(database)
        self._clock = clock or SystemClock()

    def known_since(self, job: str, now: datetime) -> datetime:
        """When the job was first applied; `now`, recorded, if this is the first time."""
        with self._database.transaction() as change:
            change.execute(
                "INSERT INTO jobs (job, known_since, considered) VALUES (?1, ?2, ?2) ON CONFLICT DO NOTHING",
                (job, now.isoformat()),
            )
        return self._time(job, "known_since") or now

    def considered(self, job: str) -> datetime | None:
        """The instant up to which every slot of the job has an entry."""
        return self._time(job, "considered")

    def consider(self, job: str, until: datetime) -> None:
        """Say that every slot up to `until` has an entry."""
        with self._database.transaction() as change:
            change.execute("UPDATE jobs SET considered = ? WHERE job = ?", (until.isoformat(), job))

    def follow(self, job: str, timetable: str, now: datetime) -> datetime:
        """The instant after which the job's slots count: `now` if it is new or its timetable another one.

        If its zone is another one too, recent entries get the old zone into their names: the same local time
        in the new zone is another slot.
        """
        with self._database.transaction() as change:
            self.known_since(job, now)
            zone = _zone(self._timetable(job))
            if zone and _zone(timetable) not in ("", zone):
                self._name_zone(job, zone, now - NEAR)
            changed = change.execute(
                "UPDATE jobs SET timetable = ?1, considered = ?2 WHERE job = ?3 AND timetable <> ?1",
                (timetable, now.isoformat(), job),
            )
        return now if changed.rowcount else self.considered(job) or now

    def _timetable(self, job: str) -> str:
        row = self._database.row("SELECT timetable FROM jobs WHERE job = ?", job)
        return row["timetable"] if row is not None else ""

    def _name_zone(self, job: str, zone: str, since: datetime) -> None:
        """Name `zone` in the job's entries of local times from `since` on, and in the keys of their turns."""
        with self._database.transaction() as change:
            recent = self._database.rows(
                "SELECT slot, key FROM slots LEFT JOIN turns ON turns.id = slots.turn"
                " WHERE job = ? AND slot GLOB ? AND slot >= ?",
                *(job, _LOCAL, f"{since:%Y-%m-%dT%H:%M}"),
            )
            for row in recent:
                slot = row["slot"]
                change.execute(
                    "UPDATE OR IGNORE slots SET slot = ?1 WHERE job = ?2 AND slot = ?3",
                    (f"{slot} {zone}", job, slot),
                )
                # Later tries have a number after the key: they stay its own.
                change.execute(
                    "UPDATE OR IGNORE turns SET key = ?1 || substr(key, length(?2) + 1)"
                    " WHERE key = ?2 OR substr(key, 1, length(?2) + 1) = ?2 || '#'",
                    (f"{row['key']} {zone}", row["key"]),
                )

    def settled(self, job: str, slot: str) -> bool:
        """Whether the slot has an entry."""
        return self._database.row("SELECT 1 FROM slots WHERE job = ? AND slot = ?", job, slot) is not None

    def reserve(self, job: str, slot: str, turn: Turn) -> bool:
        """Bind the slot to `turn`, queued in the same transaction; false if the slot has an entry."""
        with self._database.transaction() as change:
            if self.settled(job, slot):
                return False
            now = self._clock.now()
            insert_turn(change, turn, now)
            change.execute(
                # By key: a turn that answers this slot may be older than its entry, never doubled.
                "INSERT INTO slots (job, slot, turn, recorded_at)"
                " VALUES (?, ?, (SELECT id FROM turns WHERE key = ?), ?)",
                (job, slot, turn.key, now.isoformat()),
            )
            return True

    def record(self, job: str, slot: str, outcome: Outcome, *, detail: str = "") -> bool:
        """Give the slot an outcome without a turn, and say why; false if it has an entry."""
        with self._database.transaction() as change:
            added = change.execute(
                "INSERT INTO slots (job, slot, outcome, detail, recorded_at) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                (job, slot, outcome, detail, self._clock.now().isoformat()),
            )
            return added.rowcount == 1

    def tell(self, job: str, slot: str, replies: Sequence[Reply]) -> bool:
        """Owe `replies` and record the slot as done, in one transaction; false if the slot has an entry."""
        with self._database.transaction():
            if not self.record(job, slot, Outcome.DONE):
                return False
            for reply in replies:
                self._outbox.put(reply, self._clock.now())
            return True

    def take_over(self, job: str, slots: Sequence[str], since: datetime, *, detail: str) -> None:
        """Leave `slots` to the engine before this one; those after `since` count. In one transaction."""
        with self._database.transaction():
            for slot in slots:
                self.record(job, slot, Outcome.SKIPPED, detail=detail)
            self.consider(job, since)

    def miss(self, job: str, slots: Sequence[str], until: datetime, *, detail: str = "") -> None:
        """Record slots without an entry as missed and consider `until`, both in one transaction."""
        with self._database.transaction():
            for slot in slots:
                self.record(job, slot, Outcome.MISSED, detail=detail)
            self.consider(job, until)

    def open_turns(self, job: str) -> tuple[str, ...]:
        """Keys of the job's turns without an outcome, those started by hand too, oldest first."""
        rows = self._database.rows(
            "SELECT key FROM turns WHERE conversation = ? AND state <> 'ended' ORDER BY number", f"cron/{job}"
        )
        return tuple(row["key"] for row in rows)

    def past(self, job: str, limit: int = 10) -> list[PastSlot]:
        """The entries made last, newest first."""
        rows = self._database.rows(
            f"{_PAST} WHERE job = ? ORDER BY slots.rowid DESC LIMIT ?",
            job,
            limit,
        )
        return [_past(row) for row in rows]

    def entry(self, job: str, slot: str) -> PastSlot | None:
        """What became of one slot; None if it has no entry."""
        row = self._database.row(f"{_PAST} WHERE job = ? AND slot = ?", job, slot)
        return None if row is None else _past(row)

    def _time(self, job: str, column: str) -> datetime | None:
        row = self._database.row("SELECT known_since, considered FROM jobs WHERE job = ?", job)
        return None if row is None else datetime.fromisoformat(row[column])


def _zone(timetable: str) -> str:
    """The time zone of a timetable; empty if it names none."""
    words = timetable.split()
    return words[-1] if words[1:] else ""


def _past(row: sqlite3.Row) -> PastSlot:
    return PastSlot(
        slot=row["slot"],
        outcome=Outcome(row["outcome"]) if row["outcome"] else None,
        session=row["turn"],
        detail=row["detail"] or "",
        attempts=row["attempt"] or 0,
        not_before=datetime.fromisoformat(row["not_before"]) if row["not_before"] else None,
    )
