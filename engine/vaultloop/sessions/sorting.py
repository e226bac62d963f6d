"""One session's changes, sorted once into commits: what is published, what is admitted, what is proposed.

Plain synchronous code for a thread: it uses the repository piece by piece, where that may be used. No branch
moves here.
"""

from collections.abc import Collection, Sequence, Set
from dataclasses import dataclass
from datetime import datetime

from vaultloop.model.policy import Policy
from vaultloop.state.proposals import Draft
from vaultloop.vault.files import Files
from vaultloop.vault.git.repository import Identity, Repository
from vaultloop.vault.git.revision import RevisionFiles
from vaultloop.vault.git.signing import Signer
from vaultloop.vault.notes.protected import protected_in
from vaultloop.vault.transport.oversize import LARGEST_FILE
from vaultloop.vault.views.publish import (
    LOST,
    Audit,
    Edits,
    Gathered,
    Selection,
    gather,
    losing,
    select,
    write_commit,
)
from vaultloop.vault.views.verdict import Admission, Verdict
from vaultloop.vault.views.view import Changes, Refusal, View
from vaultloop.vault.views.views import InGit, here


@dataclass(frozen=True, slots=True)
class Sorted:
    """What a session's changes become.

    Attributes:
        commit: of what is published; None where nothing is.
        admitted: what changes protected paths and needs nobody's consent.
        proposed: what waits for the owner.
        refused: the rest, with the reasons.
    """

    commit: str | None
    admitted: Draft | None
    proposed: tuple[Draft, ...]
    refused: tuple[Refusal, ...]


class Sorting:
    """The sorting of one view's changes under one policy."""

    def __init__(
        self,
        repository: Repository,
        view: View,
        policy: Policy,
        audit: Audit,
        *,
        admission: Admission,
        author: Identity,
        signer: Signer,
        now: datetime,
        largest_file: int = LARGEST_FILE,
    ) -> None:
        """`largest_file`: bytes of the largest file that is committed."""
        self._repository, self._view, self._policy, self._audit = repository, view, policy, audit
        self._admission, self._author, self._signer, self._now = admission, author, signer, now
        self._largest_file = largest_file

    def result(self, changes: Changes, in_git: InGit = here) -> Sorted:
        """Write the commits, each upon the view's base; the repository is used inside `in_git` only."""
        selection = in_git(lambda: self._selected(changes))
        gathered = gather(
            self._repository, self._view, selection, self._policy, in_git, largest_file=self._largest_file
        )
        return in_git(lambda: self._sorted(gathered, changes))

    def _sorted(self, gathered: Gathered, changes: Changes) -> Sorted:
        verdict = self._verdict(gathered)
        acting = [path for path in verdict.admitted if path in gathered.acts]
        admitted = _only(gathered.held, [path for path in verdict.admitted if path not in acting])
        refused = [*gathered.refused, *verdict.refused]
        if self._policy.self_edit == "deny":
            # Of what governs nothing is proposed then.
            refused += [Refusal(path, _acts(gathered.acts[path])) for path in acting]
            acting = []
        active = {**gathered.active, **_only(gathered.held, acting)}
        active |= self._moved(gathered.edits, active)
        edits = {path: entry for path, entry in gathered.edits.items() if path not in active}
        waiting = {path for path in verdict.proposed if path not in self._view.base} | active.keys()
        unplaced = ({refusal.path for refusal in refused} | waiting) - set(changes.deleted)
        kept = self._kept(edits, admitted, unplaced, gathered.held) if unplaced else frozenset()
        proposals = (
            self._draft(_only(gathered.held, verdict.proposed), verdict.reason, verdict.permissions),
            self._draft(active, self._why_active(gathered, active)),
        )
        return Sorted(
            commit=self._commit(_without(edits, kept)),
            admitted=self._draft(_without(admitted, kept)),
            proposed=tuple(filter(None, proposals)),
            refused=tuple(sorted((*refused, *(Refusal(path, LOST) for path in kept)), key=str)),
        )

    def _moved(self, edits: Edits, active: Edits) -> Edits:
        """The deletions of texts that wait in another place: a move is decided as a whole."""
        waiting = {entry.blob for entry in active.values() if entry}
        base = self._view.base
        gone = [path for path, entry in edits.items() if entry is None and base[path][0].blob in waiting]
        return dict.fromkeys(gone)

    def _kept(self, edits: Edits, admitted: Edits, unplaced: Set[str], held: Edits) -> frozenset[str]:
        """The deletions that would take a text out of the vault, for it may be what lies `unplaced`.

        A text is changed a little when it moves, so that only one that arrived as it was is known to be safe.
        """
        published = {entry.blob for entry in (*edits.values(), *admitted.values()) if entry}
        kept = losing(edits, self._view, published)
        if unplaced - held.keys():
            return kept | losing(admitted, self._view, published)
        elsewhere = {entry.blob for path in unplaced if (entry := held[path])}
        taken = losing(admitted, self._view, published)
        return kept | {path for path in taken if self._view.base[path][0].blob in elsewhere}

    def _selected(self, changes: Changes) -> Selection:
        # What became a template meanwhile is one.
        base, head = self._view.revision, self._repository.head
        protected = protected_in(self._repository.files(base))
        if head is not None and head != base:
            protected |= protected_in(self._repository.files(head))
        return select(changes, self._policy, protected)

    def _verdict(self, gathered: Gathered) -> Verdict:
        if not gathered.held:
            return Verdict()
        before = self._repository.files(self._view.revision)

        def edited(paths: Collection[str]) -> RevisionFiles:
            return self._repository.files_of_tree(
                self._repository.edit(before.revision, _only(gathered.held, paths)), before.revision
            )

        try:
            return self._admission.judge(before, edited, tuple(gathered.held), self._policy, self._now)
        except ValueError:
            # A note in the place of a folder: parts of that cannot be looked at alone.
            clash = "notes take the place of folders here; a human has to do that"
            return Verdict(refused=tuple(Refusal(path, clash) for path in gathered.held))

    def _why_active(self, gathered: Gathered, active: Edits) -> str:
        words = sorted({word for path in active for word in gathered.acts.get(path, ())})
        return (
            f"What sessions of the scope {self._policy.scope} write must not act by itself when you open it;"
            f" this holds {_enumerated(words)}."
        )

    def _draft(self, edits: Edits, reason: str = "", permissions: tuple[str, ...] = ()) -> Draft | None:
        commit = self._commit(edits)
        if commit is None:
            return None
        paths = tuple(sorted(edits))
        return Draft(
            self._audit.session, self._audit.scope, commit, self._view.revision, paths, reason, permissions
        )

    def _commit(self, edits: Edits) -> str | None:
        return write_commit(
            self._repository,
            self._view.revision,
            edits,
            self._audit,
            author=self._author,
            signer=self._signer,
            at=self._now,
        )


class LateGate:
    """Judges again what a merge would change of protected paths, upon what a human has there by now."""

    def __init__(self, repository: Repository, admission: Admission, policy: Policy, now: datetime) -> None:
        self._repository, self._admission, self._policy, self._now = repository, admission, policy, now

    def __call__(
        self, before: RevisionFiles, after: RevisionFiles, paths: Collection[str]
    ) -> Collection[str]:
        """Those of `paths` that need the owner's consent."""

        def edited(some: Collection[str]) -> Files:
            return self._repository.partly(before.revision, after.revision, some)

        try:
            verdict = self._admission.judge(before, edited, paths, self._policy, self._now)
        except ValueError:
            return paths
        return set(paths) - set(verdict.admitted)


def _acts(words: Sequence[str]) -> str:
    return f"what governs the agent must not act by itself; this holds {_enumerated(words)}"


def _enumerated(words: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def _without(edits: Edits, paths: Collection[str]) -> Edits:
    return {path: entry for path, entry in edits.items() if path not in paths}


def _only(edits: Edits, paths: Collection[str]) -> Edits:
    return {path: edits[path] for path in paths}
