"""The transcripts of conversations that go on: who may go on from which is a row, what was said is a file.

A file is written whole, under a name of its own, before a row names it: whenever the process dies, a
conversation goes on from its newest or from the one before, never from half of one.
"""

import hashlib
import os
import shutil
from pathlib import Path
from typing import BinaryIO

from vaultloop.model.cell import Transcript
from vaultloop.state.database import Database


class Transcripts:
    """The last transcript of each conversation."""

    def __init__(self, database: Database, folder: Path) -> None:
        self._database = database
        self._folder = folder

    def find(self, conversation: str, policy: str) -> Transcript | None:
        """What a session under the policy with this id may go on from.

        A conversation that was had under another policy is not continued: it may tell what the scope
        does not grant any more.
        """
        row = self._database.row(
            "SELECT * FROM transcripts WHERE conversation = ? AND policy = ?", conversation, policy
        )
        if row is None or not (file := self._folder / row["file"]).is_file():
            return None
        return Transcript(row["id"], file, row["spent_usd"])

    def write(self, source: BinaryIO, conversation: str, turn_id: str) -> Path:
        """Copy what a run left, closed to others and durable; nothing names it yet."""
        place = self._place(conversation)
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = place / turn_id
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, 0o600), "wb") as target:
            shutil.copyfileobj(source, target)
            target.flush()
            os.fsync(target.fileno())
        return path

    def keep(self, conversation: str, policy: str, transcript: Transcript) -> None:
        """Go on from `transcript`, which `write` has written, from now on."""
        name = str(transcript.file.relative_to(self._folder))
        with self._database.transaction() as change:
            change.execute(
                "INSERT OR REPLACE INTO transcripts VALUES (?, ?, ?, ?, ?)",
                (conversation, policy, transcript.id, name, transcript.spent_usd),
            )

    def forget(self, conversation: str) -> None:
        """The next message starts the conversation afresh."""
        with self._database.transaction() as change:
            change.execute("DELETE FROM transcripts WHERE conversation = ?", (conversation,))

    def tidy(self, conversation: str) -> None:
        """Remove the files of a conversation that no row names, or not any more."""
        row = self._database.row("SELECT file FROM transcripts WHERE conversation = ?", conversation)
        kept = None if row is None else self._folder / row["file"]
        for path in self._place(conversation).glob("*"):
            if path != kept:
                path.unlink()

    def _place(self, conversation: str) -> Path:
        # Hashed: what a channel calls a chat may be no name for a folder.
        return self._folder / hashlib.sha256(conversation.encode()).hexdigest()[:32]
