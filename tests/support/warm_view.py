"""A view of a large vault that is leased and given back, as sessions do, while the vault changes."""

import itertools
import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from vaultloop.model.policy import Audience, Policy
from vaultloop.vault.files import Entry
from vaultloop.vault.git.repository import Identity, Repository
from vaultloop.vault.git.revision import RevisionFiles
from vaultloop.vault.views.views import Views

EVERYTHING = Policy("owner", Audience.OWNER, can_read=("**",))


class WarmView:
    """The view, and the vault.

    Attributes:
        view: the one that is leased now.
        contents: the files of the last change, with their contents.
    """

    def __init__(self, root: Path, vault: Path) -> None:
        """Views lie below `root`; `vault` is a bare repository."""
        self._repository = Repository.bare(vault, "main")
        self._views = Views(root / "state")
        self._numbers = itertools.count()
        self.view = self._views.lease(self._newest(), EVERYTHING)
        # Far apart from each other, as notes that people edit are.
        self._paths = sorted(self.view.base)
        self.contents: Sequence[tuple[str, bytes]] = ()

    def changed(self, count: int) -> RevisionFiles:
        """The files of a new revision in which so many notes differ; the view is clean and given back."""
        self.look_through()
        self._views.give_back(self.view, EVERYTHING.scope, fenced=True)
        number, step = next(self._numbers), len(self._paths) // count
        self.contents = [
            (path, f"# Edited\n\nFor the {number}. time.\n".encode() * 60)
            for path in self._paths[number::step][:count]
        ]
        edits = {path: Entry(path, self._repository.write_blob(data)) for path, data in self.contents}
        head = self._repository.head
        assert head is not None
        made = self._repository.commit(
            self._repository.edit(head, edits),
            [head],
            "Edit\n",
            author=Identity("Bench", "bench@localhost"),
            at=datetime.now(UTC),
        )
        self._repository.move(head, made)
        return self._newest()

    def lease(self, files: RevisionFiles) -> None:
        """Take the view for a session of this revision."""
        self.view = self._views.lease(files, EVERYTHING)

    def look_through(self) -> None:
        """What the engine does after a session: find out what it changed, from what is on the disk."""
        view = self._views.reopen(self.view.home)
        assert view is not None
        assert not view.changes()
        self.view = view

    def _newest(self) -> RevisionFiles:
        head = self._repository.head
        assert head is not None
        return self._repository.files(head)


def write(folder: Path, contents: Iterable[tuple[str, bytes]]) -> None:
    """Write these files, as simply as it goes."""
    for path, data in contents:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


def stat_walk(folder: Path) -> int:
    """Ask for the status of every file, as simply as it goes; how many there are."""
    count = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            os.lstat(f"{parent}/{name}")
            count += 1
    return count
