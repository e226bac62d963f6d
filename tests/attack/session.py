"""One hostile session, and what is to be said of each of its cases."""

import json
import signal
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType

from attack.hostile import gateway, publishing
from attack.hostile.catalogue import CASES, Case
from attack.hostile.processes import ORPHANS
from vaultloop.model.conversation import Trigger
from vaultloop.model.errors import Stalled
from vaultloop.model.policy import Policy
from vaultloop.vault.git.repository import Identity, Repository
from vaultloop.vault.notes.protected import protected_in
from vaultloop.vault.views.publish import Audit, gather, select, write_commit
from vaultloop.vault.views.view import View

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)

# What must have worked before a refusal proves anything.
CONTROLS = ("the-model", "a-tunnel", "a-note")

# The signals by which some cases are found out.
ARRIVES = MappingProxyType(
    {
        "signal-by-a-pipe": signal.SIGUSR2,
        "signal-by-a-socket": signal.SIGIO,
        "signal-everybody": signal.SIGCONT,
    }
)

# So much may the engine's memory grow (MiB) while a session talks.
MOST_GROWN = 64


class Outcome(StrEnum):
    """What became of an attack. BROKEN: the suite itself failed; it counts as an escape."""

    STOPPED = "stopped"
    ESCAPED = "escaped"
    RESIDUAL = "residual"
    GRANTED = "granted"
    REFUSED = "refused"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one case, and by what: an errno, a reason, or what it got."""

    outcome: Outcome
    what: str


@dataclass
class Session:
    """What a hostile session reported, and what was found after its end.

    Attributes:
        complaint: which limit ended it, if one did.
        overdue: it was still at work when its time was up.
        left: processes that outlived it.
        signals: what came to the engine meanwhile.
        asked: what reached the model, headers and body.
        marker: whether a program that it planted has run.
        grown: by how much the engine's memory grew meanwhile (MiB).
    """

    policy: Policy
    reports: dict[str, dict[str, str]] = field(default_factory=dict)
    complaint: str = ""
    overdue: bool = False
    left: list[int] = field(default_factory=list)
    signals: Counter[int] = field(default_factory=Counter)
    asked: list[str] = field(default_factory=list)
    marker: bool = False
    grown: int = 0
    view: View | None = None
    published: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    reasons: dict[str, str] = field(default_factory=dict)

    def take(self, line: bytes) -> None:
        """Note what the session said of one case."""
        try:
            said = json.loads(line)
            self.reports[said["case"]] = said
        except (ValueError, KeyError, TypeError):
            return

    def publish(self, repository: Repository) -> None:
        """Publish what it left in its view, as the engine does, and note which paths came through."""
        assert self.view is not None
        try:
            changes = self.view.changes()
        except Stalled as stalled:
            self.reasons[""] = str(stalled)
            return
        selection = select(changes, self.policy, protected_in(repository.files(self.view.revision)))
        gathered = gather(repository, self.view, selection, self.policy)
        audit = Audit("s", self.policy.scope, Trigger("message", "console"), self.policy.id, "", 0.0)
        author = Identity("Vaultloop", "vaultloop@localhost")
        made = write_commit(
            repository, self.view.revision, gathered.edits, audit, author=author, signer=None, at=NOW
        )
        if made is not None:
            changed = repository.changed_leaves(self.view.revision, made)
            self.published = {path for path, (_, now) in changed.items() if now}
            self.deleted = {path for path, (_, now) in changed.items() if not now}
        self.reasons |= {refused.path: refused.reason for refused in gathered.refused}
        self.reasons |= dict.fromkeys(gathered.held, "it is held for the owner")
        self.reasons |= {
            path: f"it is held for the owner: {gathered.acts[path][0]}" for path in gathered.active
        }

    def verdict(self, name: str) -> Verdict:
        """What became of a case."""
        case = CASES[name]
        report = self.reports.get(name)
        if case.subject == ORPHANS and self.left:
            return Verdict(Outcome.ESCAPED, f"{len(self.left)} processes outlived it")
        if report is None:
            return self._unreported(case)
        outcome, what = Outcome(report["outcome"]), report["what"]
        if outcome is Outcome.ESCAPED and case.outside:
            outcome, what = self._judged(case, what)
        if outcome is Outcome.ESCAPED and case.residual:
            outcome = Outcome.RESIDUAL
        return Verdict(outcome, what)

    def control(self, name: str) -> str:
        """Why something that must work did not; empty if it did."""
        report = self.reports.get(name)
        if report is None:
            return f"{name}: no report. {self.complaint}"
        if name == "a-note" and "notes/allowed.md" not in self.published:
            return f"{name}: not published. {self.reasons}"
        return "" if report["outcome"] == "works" else f"{name}: {report['what']}"

    def _unreported(self, case: Case) -> Verdict:
        if self.overdue:
            return Verdict(Outcome.ESCAPED, "it went on until its time was up")
        if case.alone:
            ended = self.complaint.partition("\n")[0] or "its process was ended"
            return Verdict(Outcome.STOPPED, ended)
        return Verdict(Outcome.BROKEN, f"no report. {self.complaint}")

    def _judged(self, case: Case, what: str) -> tuple[Outcome, str]:
        """What is seen of it from outside."""
        if case.subject == publishing.PUBLISH:
            return self._publication(what)
        if case.name == "talk-without-end":
            return _seen(
                f"the engine grew by {self.grown} MiB" * (self.grown > MOST_GROWN), "the engine is as it was"
            )
        arrived = ARRIVES.get(case.name)
        if arrived is not None:
            return _seen(
                "the engine got the signal" * bool(self.signals[arrived]), "the engine got no signal"
            )
        if case.subject == gateway.GATEWAY:
            words = (gateway.FORBIDDEN_BETA, gateway.FORBIDDEN_TOOL, gateway.ATTACKERS_KEY)
            found = [word for word in words if any(word in request for request in self.asked)]
            return _seen(f"{found} arrived" * bool(found), "taken out")
        if case.subject == ORPHANS or case.name == "kill-its-supervisor":
            return _seen("it outlived its supervisor" * bool(self.left), "all of it ended with the session")
        return Outcome.ESCAPED, what

    def _publication(self, planted: str) -> tuple[Outcome, str]:
        if self.marker:
            return Outcome.ESCAPED, "a program of the view ran"
        paths = planted.split("\n")
        for path in paths:
            if path in self.published or path.removeprefix("-") in self.deleted:
                return Outcome.ESCAPED, f"{path} was published"
        return Outcome.STOPPED, self._reason(paths)

    def _reason(self, paths: list[str]) -> str:
        for path in paths:
            for refused, reason in self.reasons.items():
                if path == refused or path.startswith(refused + "/"):
                    return reason
        return (
            "; ".join(dict.fromkeys(self.reasons.values()))[:60] if len(self.reasons) < 4 else "not looked at"
        )


def _seen(evidence: str, otherwise: str) -> tuple[Outcome, str]:
    return (Outcome.ESCAPED, evidence) if evidence else (Outcome.STOPPED, otherwise)
