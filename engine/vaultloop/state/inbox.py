"""Every message that was ever taken, once, and what became of it."""

import re
import sqlite3
from datetime import datetime
from enum import StrEnum

from vaultloop.model.conversation import Message
from vaultloop.state.database import Database

# Key of the reply to a message that became no turn: a command, or a refusal.
_ANSWER = re.compile(r"([^/]+)/([^/]+)/(.+)/answer", re.DOTALL)


def answer_key(message: Message) -> str:
    """The key of the reply to a message that became no turn."""
    return f"{message.key}/answer"


class Fate(StrEnum):
    """What became of a message; only `waiting` ever changes."""

    WAITING = "waiting"
    TURN = "turn"
    COMMAND = "command"
    REFUSED = "refused"
    IGNORED = "ignored"


class Inbox:
    """The messages in the engine's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, message: Message, now: datetime) -> bool:
        """Keep `message` before anything is done about it; false if it was taken before."""
        with self._database.transaction() as change:
            added = change.execute(
                "INSERT INTO inbox (channel, chat, message, person, text, sent_at, received_at, fate)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, 'waiting') ON CONFLICT DO NOTHING",
                (
                    *(message.channel, message.chat, message.id, message.person, message.text),
                    *(message.sent_at.isoformat(), now.isoformat()),
                ),
            )
            return added.rowcount == 1

    def waiting(self) -> list[Message]:
        """Messages about which nothing has been done yet, in the order in which they came."""
        rows = self._database.rows("SELECT * FROM inbox WHERE fate = 'waiting' ORDER BY rowid")
        return [_message(row) for row in rows]

    def taken_from(self, message: Message, scope: str, since: datetime) -> list[datetime]:
        """When the person of `message` said, after `since`, what was answered under `scope` or will be here.

        Oldest first; only what came before `message`.
        """
        rows = self._database.rows(
            "SELECT received_at FROM inbox WHERE person = ?1 AND received_at > ?2 AND rowid < ("
            " SELECT rowid FROM inbox WHERE channel = ?4 AND chat = ?5 AND message = ?6) AND ("
            " (fate = 'waiting' AND channel = ?4 AND chat = ?5) OR"
            " (fate = 'turn' AND turn IN (SELECT id FROM turns WHERE scope = ?3)))"
            " ORDER BY received_at",
            *(message.person, since.isoformat(), scope, message.channel, message.chat, message.id),
        )
        return [datetime.fromisoformat(row["received_at"]) for row in rows]

    def refused_aloud(self, message: Message, since: datetime) -> bool:
        """Whether the person of `message` was told in this chat, after `since`, that they are refused."""
        row = self._database.row(
            "SELECT 1 FROM inbox JOIN outbox"
            " ON outbox.key = inbox.channel || '/' || inbox.chat || '/' || inbox.message || '/answer'"
            " WHERE person = ? AND received_at > ? AND fate = 'refused'"
            " AND inbox.channel = ? AND inbox.chat = ? LIMIT 1",
            *(message.person, since.isoformat(), message.channel, message.chat),
        )
        return row is not None

    def is_passed_over(self, message: Message) -> bool:
        """Whether it was decided that a message becomes nothing, and nobody is told."""
        row = self._database.row(
            "SELECT 1 FROM inbox WHERE channel = ? AND chat = ? AND message = ?"
            " AND fate IN ('refused', 'ignored') AND NOT EXISTS (SELECT 1 FROM outbox WHERE key = ?)",
            *(message.channel, message.chat, message.id, answer_key(message)),
        )
        return row is not None

    def of_turn(self, turn_id: str) -> list[Message]:
        """The messages that a turn answers, in the order in which they came."""
        rows = self._database.rows("SELECT * FROM inbox WHERE turn = ? ORDER BY rowid", turn_id)
        return [_message(row) for row in rows]

    def hand_on(self, old: str, new: str) -> None:
        """The messages of one turn are answered by another one from now on."""
        with self._database.transaction() as change:
            change.execute("UPDATE inbox SET turn = ? WHERE turn = ?", (new, old))

    def answered_by(self, reply: str) -> list[Message]:
        """The messages that the reply with this key answers; none for a notice or a cron's report."""
        if (found := _ANSWER.fullmatch(reply)) is None:
            return self.of_turn(reply)
        rows = self._database.rows(
            "SELECT * FROM inbox WHERE channel = ? AND chat = ? AND message = ?", *found.groups()
        )
        return [_message(row) for row in rows]

    def fate(self, message: Message) -> Fate | None:
        """What became of a message; None if it never came."""
        row = self._database.row(
            "SELECT fate FROM inbox WHERE channel = ? AND chat = ? AND message = ?",
            *(message.channel, message.chat, message.id),
        )
        return None if row is None else Fate(row["fate"])

    def settle(self, message: Message, fate: Fate, turn_id: str | None = None) -> bool:
        """Decide what becomes of a waiting message; false, and nothing done, if that is decided."""
        with self._database.transaction() as change:
            settled = change.execute(
                "UPDATE inbox SET fate = ?, turn = ?"
                " WHERE channel = ? AND chat = ? AND message = ? AND fate = 'waiting'",
                (fate, turn_id, message.channel, message.chat, message.id),
            )
            return settled.rowcount == 1


def _message(row: sqlite3.Row) -> Message:
    return Message(
        channel=row["channel"],
        chat=row["chat"],
        id=row["message"],
        person=row["person"],
        text=row["text"],
        sent_at=datetime.fromisoformat(row["sent_at"]),
    )
