"""The record of turns: what was asked, how far it got, and the one way in which it ended."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import count
from typing import Any

from vaultloop.model.conversation import Address, Limits, Outcome, SendWhen, Trigger, Turn
from vaultloop.model.status import Confinement
from vaultloop.state.database import Database


class TurnState(StrEnum):
    """How far a turn got; each step is on the disk before the next one begins."""

    QUEUED = "queued"
    RUNNING = "running"
    ANSWERED = "answered"
    PUBLISHED = "published"
    ENDED = "ended"


RETRYABLE = frozenset({Outcome.FAILED, Outcome.INTERRUPTED, Outcome.CANCELLED, Outcome.TIMED_OUT})

# So many turns are read at once, where somebody looks through all of them.
PAGE = 200

# Whole turns, as `_record` reads them.
_TURNS = (
    "SELECT turns.*, (SELECT json_group_array(json_array(channel, chat)) FROM (SELECT channel, chat"
    " FROM recipients WHERE turn = turns.number ORDER BY position)) AS recipients FROM turns"
)


@dataclass(frozen=True, slots=True)
class TurnRecord:
    """One turn as the database knows it.

    Attributes:
        policy, base, view: under which policy, of which revision and in which folder its session works.
        acted: it may have changed the world outside its view, so it is never run again by itself.
        commit: what it published, recorded before any branch moves.
        detail: why it ended as it did or what its answer should add, for people.
        attempt: which try it is, from 1 on.
        not_before: while it is queued for another try, or parked: when that may start.
        parked: it waits for a budget, not after a failure.
        confinement: what held its agent in; None before one was started.
    """

    turn: Turn
    state: TurnState
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    policy: str | None
    base: str | None
    view: str | None
    acted: bool
    reply: str
    model: str
    cost_usd: float
    commit: str | None
    outcome: Outcome | None
    detail: str
    attempt: int
    not_before: datetime | None
    confinement: Confinement | None = None
    parked: bool = False

    @property
    def id(self) -> str:
        return self.turn.id

    @property
    def told(self) -> str:
        """What is answered: first what came of the session's work, then what its agent says of it."""
        return "\n\n".join(part for part in (self.detail, self.reply) if part)


def insert_turn(change: sqlite3.Connection, turn: Turn, now: datetime) -> bool:
    """Queue `turn` within a transaction of the caller; false, and nothing done, if its key is known."""
    limits = turn.limits
    added = change.execute(
        "INSERT INTO turns (id, key, conversation, scope, trigger_kind, trigger_name, prompt, send_when,"
        " timezone, stop_after, budget_usd, retries, mounts, state, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'queued', ?) ON CONFLICT (key) DO NOTHING",
        (
            *(turn.id, turn.key, turn.conversation, turn.scope, turn.trigger.kind, turn.trigger.name),
            *(turn.prompt, turn.send_when, turn.timezone),
            *(_seconds(limits.stop_after), limits.budget_usd, limits.retries, json.dumps(limits.mounts)),
            now.isoformat(),
        ),
    )
    if added.rowcount != 1:
        return False
    assert added.lastrowid is not None
    _insert_recipients(change, added.lastrowid, turn.recipients)
    return True


def _insert_recipients(change: sqlite3.Connection, number: int, recipients: Iterable[Address]) -> None:
    # Whoever is named twice hears once.
    change.executemany(
        "INSERT OR IGNORE INTO recipients (turn, position, channel, chat) VALUES (?, ?, ?, ?)",
        [(number, place, *address) for place, address in enumerate(recipients)],
    )


def _seconds(span: timedelta | None) -> float | None:
    return None if span is None else span.total_seconds()


class Turns:
    """The turns in the engine's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, turn: Turn, now: datetime) -> bool:
        """Queue `turn`; false if one with its key exists."""
        with self._database.transaction() as change:
            return insert_turn(change, turn, now)

    def get(self, turn_id: str) -> TurnRecord | None:
        row = self._database.row(f"{_TURNS} WHERE id = ?", turn_id)
        return None if row is None else _record(row)

    def by_key(self, key: str) -> TurnRecord | None:
        row = self._database.row(f"{_TURNS} WHERE key = ?", key)
        return None if row is None else _record(row)

    def by_commit(self, commit: str) -> TurnRecord | None:
        """The turn whose session made `commit` of what it could publish at once."""
        row = self._database.row(f'{_TURNS} WHERE "commit" = ?', commit)
        return None if row is None else _record(row)

    def unfinished(self, conversation: str | None = None) -> list[TurnRecord]:
        """What has no outcome yet, of one conversation or of all, oldest first."""
        rows = self._database.rows(
            f"{_TURNS} WHERE state <> 'ended' AND (?1 IS NULL OR conversation = ?1) ORDER BY number",
            conversation,
        )
        return [_record(row) for row in rows]

    def recent(self, limit: int = 20, conversation: str | None = None) -> list[TurnRecord]:
        """The newest turns, newest first."""
        rows = self._database.rows(
            f"{_TURNS} WHERE (?1 IS NULL OR conversation = ?1) ORDER BY number DESC LIMIT ?2",
            conversation,
            limit,
        )
        return [_record(row) for row in rows]

    def newest(self) -> Iterator[TurnRecord]:
        """All turns, newest first; read as they are looked at."""
        for page in count():
            rows = self._database.rows(f"{_TURNS} ORDER BY number DESC LIMIT ? OFFSET ?", PAGE, page * PAGE)
            yield from map(_record, rows)
            if len(rows) < PAGE:
                return

    def last_done(self, conversation: str) -> TurnRecord | None:
        """The newest turn of a conversation that ended well."""
        row = self._database.row(
            f"{_TURNS} WHERE conversation = ? AND outcome = 'done' ORDER BY number DESC LIMIT 1", conversation
        )
        return None if row is None else _record(row)

    def retryable(self, chat: Address) -> list[TurnRecord]:
        """Of the last turns that answered into a chat, those that did not end well, newest first.

        What was run again already is not among them: it is the newer turn that counts.
        """
        rows = self._database.rows(
            f"{_TURNS} JOIN recipients AS here ON here.turn = turns.number"
            " WHERE here.channel = ? AND here.chat = ? AND state = 'ended' ORDER BY here.turn DESC LIMIT 10",
            *chat,
        )
        records = [record for record in map(_record, rows) if record.outcome in RETRYABLE]
        return [record for record in records if self._is_latest_try(record.turn.key)]

    def _is_latest_try(self, key: str) -> bool:
        first, _, number = key.partition("#")
        return self.by_key(f"{first}#{int(number or 1) + 1}") is None

    def next_key(self, key: str) -> str:
        """The key under which what `key` asked is run once more: `key#2`, `key#3` and so on."""
        first = key.partition("#")[0]
        number = 2
        while self.by_key(f"{first}#{number}") is not None:
            number += 1
        return f"{first}#{number}"

    def begin(
        self, turn_id: str, confinement: Confinement, *, policy: str, base: str, view: str, now: datetime
    ) -> None:
        """A session works on it, in `view`, held in by `confinement`."""
        self._change(
            "state = 'running', policy = ?, base = ?, view = ?, acted = 0, started_at = ?, not_before = NULL,"
            " parked = 0, detail = NULL, confinement = ?",
            *(policy, base, view, now.isoformat(), confinement),
            turn_id=turn_id,
        )

    def renew(self, turn: Turn) -> None:
        """What it is for changed while it waited: its scope, its prompt, who hears of it, its limits."""
        with self._database.transaction() as change:
            limits = turn.limits
            self._change(
                "scope = ?, prompt = ?, send_when = ?, timezone = ?, stop_after = ?, budget_usd = ?,"
                " retries = ?, mounts = ?",
                *(turn.scope, turn.prompt, turn.send_when, turn.timezone, _seconds(limits.stop_after)),
                *(limits.budget_usd, limits.retries, json.dumps(limits.mounts)),
                turn_id=turn.id,
            )
            row = change.execute("SELECT number FROM turns WHERE id = ?", (turn.id,)).fetchone()
            change.execute("DELETE FROM recipients WHERE turn = ?", (row["number"],))
            _insert_recipients(change, row["number"], turn.recipients)

    def requeue(self, turn_id: str) -> None:
        """Its session is gone and did nothing that matters: it is run as if for the first time."""
        self._change("state = 'queued', view = NULL, base = NULL, acted = 0", turn_id=turn_id)

    def retry(self, turn_id: str, why: str, not_before: datetime) -> None:
        """This try failed: another one may start from `not_before` on."""
        self._change(
            "state = 'queued', view = NULL, base = NULL, acted = 0, attempt = attempt + 1, detail = ?,"
            " not_before = ?",
            *(why, not_before.isoformat()),
            turn_id=turn_id,
        )

    def park(self, turn_id: str, why: str, not_before: datetime) -> None:
        """A budget is spent: it waits until `not_before`, or until somebody raises the budget."""
        self._change(
            "state = 'queued', view = NULL, base = NULL, acted = 0, parked = 1, detail = ?, not_before = ?",
            *(why, not_before.isoformat()),
            turn_id=turn_id,
        )

    def unpark(self, now: datetime) -> None:
        """Those that wait for a budget may look again, now."""
        with self._database.transaction() as change:
            change.execute(
                "UPDATE turns SET not_before = ? WHERE state = 'queued' AND parked = 1 AND not_before > ?",
                (now.isoformat(), now.isoformat()),
            )

    def mark_acted(self, turn_id: str) -> None:
        """From here on it may have changed the world."""
        self._change("acted = 1", turn_id=turn_id)

    def answer(self, turn_id: str, reply: str) -> None:
        """Its agent has answered; what it wrote lies in its view."""
        self._change("state = 'answered', reply = ?", reply, turn_id=turn_id)

    def account(self, turn_id: str, *, model: str, cost_usd: float) -> None:
        """What one run of its agent cost, whether it had an answer or not; tries add up."""
        self._change("model = ?, cost_usd = cost_usd + ?", model, cost_usd, turn_id=turn_id)

    def record_commit(self, turn_id: str, commit: str) -> None:
        """What it wrote is `commit`; recorded before a branch moves, so that it is never made twice."""
        with self._database.transaction() as change:
            # Also of a turn that has ended: what was kept of it may be published later.
            change.execute('UPDATE turns SET "commit" = ? WHERE id = ?', (commit, turn_id))

    def publish(self, turn_id: str, detail: str) -> None:
        """What it wrote is in the vault, all but what `detail` says."""
        self._change("state = 'published', detail = ?", detail, turn_id=turn_id)

    def amend(self, turn_id: str, detail: str) -> None:
        """What there is to say about it changed, also after its end."""
        with self._database.transaction() as change:
            change.execute("UPDATE turns SET detail = ? WHERE id = ?", (detail, turn_id))

    def end(self, turn_id: str, outcome: Outcome, now: datetime, detail: str = "") -> bool:
        """Give it its one outcome; false, and nothing done, if it has one."""
        with self._database.transaction() as change:
            ended = change.execute(
                "UPDATE turns SET state = 'ended', outcome = ?, detail = ?, ended_at = ?, view = NULL,"
                " not_before = NULL WHERE id = ? AND state <> 'ended'",
                (outcome, detail, now.isoformat(), turn_id),
            )
            return ended.rowcount == 1

    def _change(self, assignments: str, *values: object, turn_id: str) -> None:
        # An ended turn never moves again, whoever is late.
        with self._database.transaction() as change:
            change.execute(
                f"UPDATE turns SET {assignments} WHERE id = ? AND state <> 'ended'",  # noqa: S608 - constants of this module
                (*values, turn_id),
            )


def _record(row: sqlite3.Row) -> TurnRecord:
    return TurnRecord(
        turn=_turn(row),
        state=TurnState(row["state"]),
        created_at=datetime.fromisoformat(row["created_at"]),
        started_at=_time(row["started_at"]),
        ended_at=_time(row["ended_at"]),
        policy=row["policy"],
        base=row["base"],
        view=row["view"],
        acted=bool(row["acted"]),
        reply=row["reply"] or "",
        model=row["model"] or "",
        cost_usd=row["cost_usd"],
        commit=row["commit"],
        outcome=Outcome(row["outcome"]) if row["outcome"] else None,
        detail=row["detail"] or "",
        attempt=row["attempt"],
        not_before=_time(row["not_before"]),
        parked=bool(row["parked"]),
        confinement=Confinement(row["confinement"]) if row["confinement"] else None,
    )


def _turn(row: sqlite3.Row) -> Turn:
    return Turn(
        id=row["id"],
        key=row["key"],
        conversation=row["conversation"],
        scope=row["scope"],
        trigger=Trigger(row["trigger_kind"], row["trigger_name"]),
        prompt=row["prompt"],
        recipients=tuple((channel, chat) for channel, chat in json.loads(row["recipients"])),
        send_when=SendWhen(row["send_when"]),
        limits=Limits(
            stop_after=None if row["stop_after"] is None else timedelta(seconds=row["stop_after"]),
            budget_usd=row["budget_usd"],
            retries=row["retries"],
            mounts=tuple(json.loads(row["mounts"])),
        ),
        timezone=row["timezone"],
    )


def _time(value: Any) -> datetime | None:
    return datetime.fromisoformat(value) if value else None
