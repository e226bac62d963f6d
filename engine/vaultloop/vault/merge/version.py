"""What a merge is given and what it gives: two versions of a file with their writers, and the joined one."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from vaultloop.vault.git.signing import AuthorClass


@dataclass(frozen=True, slots=True)
class Writer:
    """Who wrote one side's version of a path: the newest commit of that side, a merge aside, that touched it.

    Attributes:
        author_class: by the engine's signature alone; where the key is unknown, everybody is human.
        name: the author's name, for callouts and reports.
        at: the author's time.
        commit: its id.
    """

    author_class: AuthorClass
    name: str
    at: datetime
    commit: str


@dataclass(frozen=True, slots=True)
class Version:
    """One side of a file.

    Attributes:
        blob: the git id of `data`.
    """

    data: bytes = field(repr=False)
    blob: str
    writer: Writer

    def wins_over(self, other: "Version") -> bool:
        """Whether this version stays in place where both cannot.

        A human wins over an agent; of one class the later author; at the same time the larger blob id. It
        does not depend on who merges.
        """
        return self._rank > other._rank

    @property
    def _rank(self) -> tuple[bool, float, str]:
        writer = self.writer
        return writer.author_class is AuthorClass.HUMAN, writer.at.timestamp(), self.blob


class Rule(StrEnum):
    """Why a line that one side wrote is not in the result as it stood; the audit accepts no other reason."""

    TASK = "task"  # ticked on one side, worded anew on the other: both are in one line
    LIST = "list"  # a list of the properties is a set
    LINE_ENDS = "line-ends"  # the file's own line ends
    ONCE = "once"  # both wrote the same line in the same place
    CALLOUT = "callout"  # folded beneath the winner
    COPY = "copy"  # a file beside, for what has no place in a note
    HELD = "held"  # a declaration that both changed stays as it was; both versions are in the history
    SETTINGS = "settings"  # an application's own settings: the newer file stays, the other is in the history
    MARKERS = "markers"  # conflict markers from outside: their lines go, what stood between them stays


@dataclass(frozen=True, slots=True)
class Merged:
    """One file, joined.

    Attributes:
        data: its bytes.
        rules: what was done beyond taking lines of both; empty for a merge that nobody needs to look at.
        held: this is a declaration that both sides changed, so `data` is the version before both (or, where
            there was none, the winner's) and the owner is asked.
        lost: the loser's text that has no place in the note; to be put into a copy beside it. None mostly.
    """

    data: bytes = field(repr=False)
    rules: frozenset[Rule] = frozenset()
    held: bool = False
    lost: bytes | None = field(default=None, repr=False)
