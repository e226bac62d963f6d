"""Replies that are owed: written with what they answer in one transaction, kept until a channel took them."""

from datetime import datetime

from vaultloop.model.conversation import Reply
from vaultloop.state.database import Database


class Outbox:
    """The replies in the engine's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, reply: Reply, now: datetime) -> bool:
        """Owe `reply`; false, and nothing done, if one with its key was ever put."""
        with self._database.transaction() as change:
            added = change.execute(
                "INSERT INTO outbox (key, channel, chat, text, created_at) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (key) DO NOTHING",
                (reply.key, reply.channel, reply.chat, reply.text, now.isoformat()),
            )
            return added.rowcount == 1

    def next(self, channel: str, chat: str) -> Reply | None:
        """The oldest reply that a chat has not got yet."""
        row = self._database.row(
            "SELECT * FROM outbox WHERE delivered_at IS NULL AND channel = ? AND chat = ?"
            " ORDER BY number LIMIT 1",
            channel,
            chat,
        )
        return None if row is None else Reply(row["key"], row["channel"], row["chat"], row["text"])

    def waiting(self) -> list[tuple[str, str]]:
        """Channel and chat of everybody who is owed a reply."""
        rows = self._database.rows(
            "SELECT channel, chat FROM outbox WHERE delivered_at IS NULL"
            " GROUP BY channel, chat ORDER BY min(number)"
        )
        return [(row["channel"], row["chat"]) for row in rows]

    def delivered(self, key: str, now: datetime) -> None:
        """The channel took it."""
        with self._database.transaction() as change:
            change.execute(
                "UPDATE outbox SET delivered_at = ? WHERE key = ? AND delivered_at IS NULL",
                (now.isoformat(), key),
            )
