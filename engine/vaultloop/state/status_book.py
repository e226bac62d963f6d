"""The status book: how each resource stands, which version of it runs, and what the engine saw last.

Rows are written only when something changed, so a quiet engine leaves the disk alone, and `since` tells how
long a thing has stood as it stands, also across restarts.
"""

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Self

from pydantic import ValidationError

from vaultloop.model.errors import VaultloopError
from vaultloop.model.policy import Audience
from vaultloop.model.resource import AnyResource, Kind, Ref, Resource, Source
from vaultloop.model.status import Condition, Confinement, Push, PushState, Status
from vaultloop.state.database import Database

# In place of what holds sessions in, for a class that may not run here.
REFUSED = "refused"

# Shorter beginnings of a commit id are more likely a slip than a wish.
SHORTEST_REVISION = 4


@dataclass(frozen=True, slots=True)
class LastGood:
    """The version of a resource that was applied last: it can be applied again without its revision.

    Attributes:
        text: the whole note.
        spec: its fields as JSON, with what it inherited then.
        applied: the revision at which this version was applied first.
    """

    ref: Ref
    uid: str
    path: str
    blob: str
    text: str
    spec: str
    applied: str

    @classmethod
    def of(cls, resource: AnyResource, revision: str) -> Self:
        """The version that `resource` is, applied at `revision`."""
        source, spec = resource.source, resource.spec.model_dump_json(by_alias=True)
        return cls(resource.ref, resource.uid, source.path, source.blob, source.text, spec, revision)

    def resource(self, kinds: Mapping[str, Kind[Any]]) -> AnyResource | None:
        """The resource again; None if this engine does not understand it any more."""
        kind = kinds.get(self.ref.kind)
        if kind is None:
            return None
        try:
            spec = kind.spec.model_validate_json(self.spec)
        except ValidationError:
            return None
        return Resource(self.ref, spec, Source(self.path, self.blob, text=self.text), self.uid)


@dataclass(frozen=True, slots=True)
class Hold:
    """Deletes that wait for the owner.

    Attributes:
        revision: the one to confirm: where this state of the declarations was seen first.
        declarations: names that state; other commits may follow without changing it.
    """

    revision: str
    declarations: str
    refs: frozenset[Ref]


class StatusBook:
    """The status book in the engine's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # How each resource stands.

    def statuses(self) -> list[Status]:
        """Every row, by kind and name."""
        return [_status(row) for row in self._database.rows("SELECT * FROM status ORDER BY kind, name")]

    def record(self, statuses: Iterable[Status]) -> bool:
        """Make these the only rows; false if that changed nothing.

        `since` stays while condition and reason do.
        """
        before = {status.ref: status for status in self.statuses()}
        after = {status.ref: _keeping_since(before.get(status.ref), status) for status in statuses}
        changed = [status for ref, status in after.items() if before.get(ref) != status]
        gone = before.keys() - after.keys()
        if not changed and not gone:
            return False
        with self._database.transaction() as change:
            change.executemany(
                "DELETE FROM status WHERE kind = ? AND name = ?", [(r.kind, r.name) for r in gone]
            )
            change.executemany(
                "INSERT OR REPLACE INTO status VALUES (?, ?, ?, ?, ?, ?, ?, ?)", map(_row, changed)
            )
        return True

    # Which version of it runs.

    def last_good(self) -> list[LastGood]:
        """What was applied last, by kind and name."""
        rows = self._database.rows("SELECT * FROM last_good ORDER BY kind, name")
        return [
            LastGood(Ref(row["kind"], row["name"]), *(row[column] for column in _GOOD_COLUMNS))
            for row in rows
        ]

    def keep(self, good: Iterable[LastGood], gone: Collection[Ref]) -> bool:
        """Remember versions that were applied, and forget those of `gone`; false if that changed nothing.

        A version that is known keeps its revision: it has been applied before.
        """
        known = {version.ref: version for version in self.last_good()}
        new = [version for version in good if not _same_version(known.get(version.ref), version)]
        forgotten = [ref for ref in gone if ref in known]
        if not new and not forgotten:
            return False
        with self._database.transaction() as change:
            # Old names first: a renamed resource takes its uid along.
            change.executemany(
                "DELETE FROM last_good WHERE kind = ? AND name = ?",
                [(ref.kind, ref.name) for ref in forgotten],
            )
            change.executemany(
                "INSERT OR REPLACE INTO last_good VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [(v.ref.kind, v.ref.name, v.uid, v.path, v.blob, v.text, v.spec, v.applied) for v in new],
            )
        return True

    # What the engine saw and did.

    @property
    def revision(self) -> str | None:
        """The newest revision that was looked at."""
        return self._database.fact("revision")

    @property
    def applied_revision(self) -> str | None:
        """The newest revision of which nothing is left to do: no retry, nothing held."""
        return self._database.fact("applied-revision")

    @property
    def tolerated(self) -> frozenset[str] | None:
        """What did not run as written, by `kind/name`, when the last good revision was kept; None before."""
        found = self._database.fact("tolerated")
        return None if found is None else frozenset(json.loads(found))

    def record_tolerated(self, names: Collection[str]) -> None:
        self._database.remember("tolerated", json.dumps(sorted(names)))

    def saw(self, revision: str, *, applied: bool) -> None:
        """The vault is at `revision`, and all of it that can run does if `applied`."""
        with self._database.transaction():
            self._database.remember("revision", revision)
            if applied:
                self._database.remember("applied-revision", revision)

    @property
    def push(self) -> Push:
        """Where the newest commit was when somebody last looked."""
        found = self._database.fact("push")
        if found is None:
            return Push(PushState.LOCAL, datetime.fromtimestamp(0, UTC))
        value = json.loads(found)
        return Push(PushState(value["state"]), datetime.fromisoformat(value["since"]), value["message"])

    def record_push(self, push: Push) -> None:
        value = {"state": push.state, "since": push.since.isoformat(), "message": push.message}
        self._database.remember("push", json.dumps(value))

    @property
    def sandbox(self) -> Mapping[str, str]:
        """What holds the sessions of each class in, or `refused`; empty before an engine has looked."""
        found: dict[str, str] = json.loads(self._database.fact("sandbox") or "{}")
        return found

    def record_sandbox(self, outcomes: Mapping[Audience, Confinement | None]) -> None:
        """None stands for a class whose sessions are refused."""
        words = {audience: outcome or REFUSED for audience, outcome in outcomes.items()}
        self._database.remember("sandbox", json.dumps(words))

    @property
    def attention(self) -> tuple[str, ...]:
        """Sentences that ask the owner to look: what stands still, and how to mend it."""
        found = (json.loads(self._database.fact(key) or "[]") for key in ("attention", "agent", "mounts"))
        return tuple(sentence for sentences in found for sentence in sentences)

    def record_attention(self, sentences: Iterable[str]) -> None:
        """What the state flow has to say; it replaces what it said before."""
        self._database.remember("attention", json.dumps(list(sentences)))

    def record_agent(self, sentences: Iterable[str]) -> None:
        """What there is to say of the agent program; it replaces what was said of it before."""
        self._database.remember("agent", json.dumps(list(sentences)))

    @property
    def tenancy(self) -> Mapping[str, Any]:
        """How the engine stood at its remote: whether it acts, who has the lease; empty without a remote."""
        found = json.loads(self._database.fact("lease") or "{}")
        return found if isinstance(found, dict) else {}

    def record_tenancy(self, tenancy: Mapping[str, object]) -> None:
        """It has changed."""
        self._database.remember("lease", json.dumps(tenancy))

    def record_mounts(self, sentences: Iterable[str]) -> None:
        """What there is to say of the operator's folders that scopes name; it replaces what was said."""
        self._database.remember("mounts", json.dumps(list(sentences)))

    # Deletes that wait.

    @property
    def hold(self) -> Hold | None:
        """What waits for the owner, if anything does."""
        found = self._database.fact("hold")
        if not found:
            return None
        value = json.loads(found)
        return Hold(value["revision"], value["declarations"], frozenset(Ref(*ref) for ref in value["refs"]))

    def record_hold(self, hold: Hold | None) -> None:
        """Remember what waits; None, once nothing does, forgets the owner's word too."""
        with self._database.transaction():
            self._database.remember("hold", "" if hold is None else json.dumps(_hold_value(hold)))
            if hold is None:
                self._database.remember("confirmed", "")

    def is_confirmed(self, declarations: str) -> bool:
        """Whether the owner said yes to this state of the declarations."""
        return self._database.fact("confirmed") == declarations

    def confirm(self, revision: str) -> str:
        """Say yes to the deletes of the revision whose id begins with `revision`; the whole id.

        Raises:
            VaultloopError: nothing waits, or something else does.
        """
        hold = self.hold
        if hold is None:
            raise VaultloopError("Nothing is held: there is nothing to confirm.")
        if len(revision) < SHORTEST_REVISION or not hold.revision.startswith(revision):
            raise VaultloopError(
                f"{revision} is not the revision that is held. Look at `vaultloop plan`, "
                f"then write `vaultloop confirm {hold.revision[:12]}`."
            )
        self._database.remember("confirmed", hold.declarations)
        return hold.revision


_GOOD_COLUMNS = ("uid", "path", "blob", "text", "spec", "applied")


def _keeping_since(before: Status | None, after: Status) -> Status:
    if before is None or (before.condition, before.reason) != (after.condition, after.reason):
        return after
    return replace(after, since=before.since)


def _same_version(known: LastGood | None, version: LastGood) -> bool:
    return known is not None and known == replace(version, applied=known.applied)


def _hold_value(hold: Hold) -> Mapping[str, object]:
    refs = sorted((ref.kind, ref.name) for ref in hold.refs)
    return {"revision": hold.revision, "declarations": hold.declarations, "refs": refs}


def _status(row: sqlite3.Row) -> Status:
    return Status(
        ref=Ref(row["kind"], row["name"]),
        condition=Condition(row["condition"]),
        reason=row["reason"],
        message=row["message"],
        since=datetime.fromisoformat(row["since"]),
        attempted=row["attempted"],
        applied=row["applied"],
    )


def _row(status: Status) -> tuple[str | None, ...]:
    return (
        *(status.ref.kind, status.ref.name, str(status.condition), status.reason, status.message),
        *(status.since.isoformat(), status.attempted, status.applied),
    )
