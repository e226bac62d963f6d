"""The record of proposals: changes of what governs the agent, and what became of them."""

import json
import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from vaultloop.state.database import Database

# The reference, below the engine's own, that holds a proposal's commit.
REFERENCE = "proposals/{}"

# The largest number of a row; people may type any.
_LARGEST = 2**63 - 1


class ProposalState(StrEnum):
    """Only `open` and `admitted` ones ever change."""

    OPEN = "open"
    APPROVED = "approved"
    DENIED = "denied"
    SUPERSEDED = "superseded"
    STALE = "stale"
    ADMITTED = "admitted"


@dataclass(frozen=True, slots=True)
class Draft:
    """A change that is about to become a proposal.

    Attributes:
        commit: what would come into the vault, upon `base`, the revision that its session worked on.
        reason: why it waits, a sentence; empty for one that needs nobody's consent.
        permissions: what people may do more or less with it, one sentence each.
    """

    session: str
    scope: str
    commit: str
    base: str
    paths: tuple[str, ...]
    reason: str = ""
    permissions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Proposal:
    """One proposal as the database knows it.

    Attributes:
        settled_by: who decided, in words: `owner (cli)`, or the number of the proposal that took its place.
        result: the commit on the branch that took it in.
    """

    number: int
    draft: Draft
    state: ProposalState
    made_at: datetime
    settled_at: datetime | None
    settled_by: str
    result: str | None

    @property
    def commit(self) -> str:
        return self.draft.commit

    @property
    def is_open(self) -> bool:
        return self.state is ProposalState.OPEN

    @property
    def reference(self) -> str:
        """Under which its commit is kept, below the engine's own references."""
        return REFERENCE.format(self.number)


class Proposals:
    """The proposals in the engine's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def refused(self, session: str) -> tuple[tuple[str, str], ...] | None:
        """Paths and reasons of what a session may not publish; None while its changes are not sorted."""
        row = self._database.row("SELECT refused FROM publications WHERE session = ?", session)
        return None if row is None else tuple((path, why) for path, why in json.loads(row["refused"]))

    def sort_out(self, session: str, refused: Sequence[tuple[str, str]]) -> None:
        """The changes of a session are sorted: this is what was refused of them."""
        with self._database.transaction() as change:
            change.execute(
                "INSERT OR REPLACE INTO publications VALUES (?, ?)", (session, json.dumps(refused))
            )

    def add(self, draft: Draft, state: ProposalState, now: datetime) -> Proposal:
        """Record `draft`; an open one takes the place of open ones of its scope on the same notes."""
        with self._database.transaction() as change:
            added = change.execute(
                'INSERT INTO proposals (session, scope, "commit", base, paths, permissions, reason, state,'
                " made_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(draft.session, draft.scope, draft.commit, draft.base, json.dumps(draft.paths)),
                    *(json.dumps(draft.permissions), draft.reason, state, now.isoformat()),
                ),
            )
            assert added.lastrowid is not None
            if state is ProposalState.OPEN:
                self._supersede(draft, added.lastrowid, now)
            made = self.get(added.lastrowid)
        assert made is not None
        return made

    def open_up(self, number: int, reason: str, permissions: Sequence[str], now: datetime) -> Proposal:
        """What was admitted has to wait for the owner after all."""
        with self._database.transaction() as change:
            change.execute(
                "UPDATE proposals SET state = 'open', reason = ?, permissions = ?"
                " WHERE number = ? AND state = 'admitted'",
                (reason, json.dumps(list(permissions)), number),
            )
            proposal = self.get(number)
            assert proposal is not None
            self._supersede(proposal.draft, number, now)
        return proposal

    def _supersede(self, draft: Draft, number: int, now: datetime) -> None:
        # Of the same scope only: nobody may push aside what others proposed.
        for older in self.open(draft.scope):
            if older.number != number and not set(older.draft.paths).isdisjoint(draft.paths):
                self.settle(older.number, ProposalState.SUPERSEDED, f"proposal {number}", now)

    def settle(
        self, number: int, state: ProposalState, by: str, now: datetime, result: str | None = None
    ) -> bool:
        """Decide about an open one; false, and nothing done, if that is decided."""
        with self._database.transaction() as change:
            settled = change.execute(
                "UPDATE proposals SET state = ?, settled_by = ?, settled_at = ?, result = ?"
                " WHERE number = ? AND state = 'open'",
                (state, by, now.isoformat(), result, number),
            )
            return settled.rowcount == 1

    def arrived(self, number: int, result: str, now: datetime) -> None:
        """What needed nobody's consent is on the branch."""
        with self._database.transaction() as change:
            change.execute(
                "UPDATE proposals SET result = ?, settled_at = ? WHERE number = ? AND state = 'admitted'",
                (result, now.isoformat(), number),
            )

    def get(self, number: int) -> Proposal | None:
        if not 0 < number <= _LARGEST:
            return None
        row = self._database.row("SELECT * FROM proposals WHERE number = ?", number)
        return None if row is None else _proposal(row)

    def open(self, scope: str | None = None) -> list[Proposal]:
        """Those that wait for the owner, of one scope or of all, oldest first."""
        rows = self._database.rows(
            "SELECT * FROM proposals WHERE state = 'open' AND (?1 IS NULL OR scope = ?1) ORDER BY number",
            scope,
        )
        return [_proposal(row) for row in rows]

    def of_session(self, session: str, states: Collection[ProposalState] = ()) -> list[Proposal]:
        """What one session proposed, or was admitted, oldest first."""
        rows = self._database.rows("SELECT * FROM proposals WHERE session = ? ORDER BY number", session)
        return [one for one in map(_proposal, rows) if not states or one.state in states]

    def by_commit(self, commit: str) -> Proposal | None:
        """The one whose change is `commit`."""
        row = self._database.row('SELECT * FROM proposals WHERE "commit" = ? ORDER BY number', commit)
        return None if row is None else _proposal(row)

    def approved_by(self, commit: str) -> Proposal | None:
        """The one that `commit` took in, in the owner's name."""
        row = self._database.row(
            "SELECT * FROM proposals WHERE result = ? AND state = 'approved' ORDER BY number", commit
        )
        return None if row is None else _proposal(row)

    def newest(self, limit: int) -> list[Proposal]:
        """The newest ones, admitted ones too, newest first."""
        rows = self._database.rows("SELECT * FROM proposals ORDER BY number DESC LIMIT ?", limit)
        return [_proposal(row) for row in rows]

    def recent(self, limit: int) -> list[Proposal]:
        """The newest ones that the owner was asked about, newest first."""
        rows = self._database.rows(
            "SELECT * FROM proposals WHERE state <> 'admitted' ORDER BY number DESC LIMIT ?", limit
        )
        return [_proposal(row) for row in rows]


def _proposal(row: sqlite3.Row) -> Proposal:
    return Proposal(
        number=row["number"],
        draft=Draft(
            session=row["session"],
            scope=row["scope"],
            commit=row["commit"],
            base=row["base"],
            paths=tuple(json.loads(row["paths"])),
            reason=row["reason"],
            permissions=tuple(json.loads(row["permissions"])),
        ),
        state=ProposalState(row["state"]),
        made_at=datetime.fromisoformat(row["made_at"]),
        settled_at=datetime.fromisoformat(row["settled_at"]) if row["settled_at"] else None,
        settled_by=row["settled_by"] or "",
        result=row["result"],
    )
