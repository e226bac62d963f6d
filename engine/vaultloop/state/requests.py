"""Who asked for a turn, and what: the messages that it answers, or the slot that was due."""

from dataclasses import dataclass

from vaultloop.state.database import Database
from vaultloop.state.turns import TurnRecord


@dataclass(frozen=True, slots=True)
class Request:
    """What a turn is for; for its owner's eyes, as it holds ids and texts of chats.

    Attributes:
        why: the messages, or the slot and its schedule; of work that was started by hand, its prompt.
        slot: the slot's name.
        chats: the ids of the chats that asked or are answered.
    """

    why: str
    slot: str | None
    chats: tuple[str, ...]


class Requests:
    """The requests in the engine's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, record: TurnRecord) -> Request:
        messages = self._database.rows(
            "SELECT chat, text FROM inbox WHERE turn = ? ORDER BY rowid", record.id
        )
        found = self._database.row("SELECT slot FROM slots WHERE turn = ?", record.id)
        slot = str(found["slot"]) if found else None
        chats = [row["chat"] for row in messages] + [chat for _, chat in record.turn.recipients]
        said = "\n".join(row["text"] for row in messages)
        due = f"the slot {slot} of {record.turn.trigger}" if slot else ""
        return Request(said or due or record.turn.prompt, slot, tuple(dict.fromkeys(chats)))
