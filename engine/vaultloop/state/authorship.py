"""Which session or whose act a commit is, by the engine's own records: anybody could push trailers."""

import re
from dataclasses import dataclass

from vaultloop.state.database import Database
from vaultloop.state.proposals import Proposal, Proposals, ProposalState
from vaultloop.state.turns import TurnRecord, Turns
from vaultloop.state.undos import Undo, Undos

# Digits of a commit's id below which it names no commit in particular.
FEWEST_DIGITS = 4

_DIGITS = re.compile(rf"[0-9a-f]{{{FEWEST_DIGITS},40}}")

# Where commits are recorded, and what they are of.
_MADE = (
    'SELECT "commit", id AS target FROM turns WHERE "commit" LIKE ?1'
    ' UNION SELECT "commit", session FROM proposals WHERE "commit" LIKE ?1'
    ' UNION SELECT "commit", "commit" FROM undos WHERE "commit" LIKE ?1'
)


@dataclass(frozen=True, slots=True)
class Authored:
    """What the records say of one commit; nothing where it is not the engine's.

    Attributes:
        session: the session that wrote what the commit holds.
        proposal: the proposal that it is, or that it took in.
        approved_by, undo: it is the owner's act.
    """

    session: TurnRecord | None = None
    proposal: Proposal | None = None
    approved_by: str | None = None
    undo: Undo | None = None


class Authorship:
    """The engine's records of commits."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._turns, self._proposals, self._undos = Turns(database), Proposals(database), Undos(database)

    def of(self, commit: str) -> Authored:
        """What the records say of `commit`."""
        if record := self._turns.by_commit(commit):
            return Authored(session=record)
        if proposal := self._proposals.by_commit(commit):
            return Authored(session=self._turns.get(proposal.draft.session), proposal=proposal)
        if proposal := self._proposals.approved_by(commit):
            return Authored(proposal=proposal, approved_by=proposal.settled_by)
        return Authored(undo=self._undos.by_commit(commit))

    def behind(self, undo: Undo) -> TurnRecord | None:
        """The session that an undo is about in the end, be it the undo of an undo."""
        while (earlier := self._undos.by_commit(undo.target)) is not None:
            undo = earlier
        return self._turns.get(undo.target)

    def made_by(self, session: str) -> list[str]:
        """The commits of what a session may have published: at once, without asking, or as approved."""
        taken = (ProposalState.APPROVED, ProposalState.ADMITTED)
        record = self._turns.get(session)
        commits = [record.commit] if record and record.commit else []
        commits += [proposal.commit for proposal in self._proposals.of_session(session, taken)]
        return list(dict.fromkeys(commits))

    def target(self, name: str) -> str | None:
        """The session, or commit of an undo, that `name` means: its id, or a commit's first digits."""
        if self._turns.get(name):
            return name
        if not _DIGITS.fullmatch(name.lower()):
            return None
        rows = self._database.rows(_MADE, f"{name.lower()}%")
        targets = {str(row["target"]) for row in rows}
        return targets.pop() if len(targets) == 1 else None
