"""What is under way between folder, branch and index, written down before it begins."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vaultloop.aio.failpoint import Failpoint, reached
from vaultloop.vault.git.disk import bring_to_disk
from vaultloop.vault.git.trees import Leaf

# What the index holds of files beside the commit, by path; None for no entry.
Staged = Mapping[str, Leaf | None]


@dataclass(frozen=True, slots=True)
class Intent:
    """One move of the branch from `old` to `new`.

    Attributes:
        writes: files of `new` are written into the folder; otherwise they lie there already.
        replaced: what is staged of these files, where that is neither the old nor the new.
        since: when it began, as `stat` tells times.
    """

    old: str | None
    new: str
    writes: bool
    replaced: Staged = field(default_factory=dict)
    since: float = 0.0


class Journal:
    """The intent of one folder, in a file of the state directory.

    Attributes:
        is_open: an intent was written by this process and not cleared.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.is_open = False

    def write(self, intent: Intent) -> None:
        staged = {path: leaf and [leaf.id, leaf.mode] for path, leaf in intent.replaced.items()}
        words = {"old": intent.old, "new": intent.new, "writes": intent.writes, "replaced": staged}
        fresh = self._file.with_suffix(".new")
        fresh.write_text(json.dumps(words))
        bring_to_disk([fresh])
        fresh.replace(self._file)
        self.is_open = True
        reached(Failpoint.INTENT_WRITTEN)

    def read(self) -> Intent | None:
        """What was under way, in this process or an earlier one; None if nothing was."""
        try:
            words, since = json.loads(self._file.read_text()), self._file.stat().st_mtime
        except (FileNotFoundError, ValueError):
            return None
        staged = words.get("replaced", {})
        replaced = {path: Leaf(*leaf) if leaf else None for path, leaf in staged.items()}
        return Intent(words["old"], words["new"], words["writes"], replaced, since)

    def clear(self) -> None:
        self._file.unlink(missing_ok=True)
        self.is_open = False
