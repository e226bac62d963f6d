"""Whose commits count: what nobody trusted has signed is held, and the last good runs on.

Two places ask. Before the remote's commits come onto the branch, their range is looked at (`refusal`). And
the newest revision that the engine may run is looked for on the branch itself (`newest`), for in a folder
with its own git a human commits straight onto it. What was looked at once is remembered, across restarts,
under `refs/vaultloop/trusted/<branch>`.
"""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import pygit2

from vaultloop.aio.clock import Clock, SystemClock
from vaultloop.aio.failpoint import Failpoint, reached
from vaultloop.vault.git.repository import Repository
from vaultloop.vault.git.trees import shown
from vaultloop.vault.notes.protected import protected_in
from vaultloop.vault.sync.vetting import VOUCHES, Coverage, Finding, Vetting, committed_at, newest_dated

__all__ = ["Coverage", "Trust", "Trusted"]

log = logging.getLogger(__name__)

# How many commits and how many of their paths a sentence names.
MOST_COMMITS = 3
MOST_PATHS = 3


@dataclass(frozen=True, slots=True)
class Trusted:
    """What may run.

    Attributes:
        revision: the newest revision of the branch that may; None while there is none.
        held: why that is not the branch's newest, in sentences for people.
        begun: what was taken unseen, because trust is new here; told once.
    """

    revision: str | None
    held: str | None = None
    begun: str | None = None


class Trust:
    """What the settings `trust`, `allowed-signers` and `trust-folder` say; off, everything is allowed."""

    def __init__(
        self, vetting: Vetting | None = None, *, folder: bool = False, clock: Clock | None = None
    ) -> None:
        """Without `vetting` trust is off. `folder`: what is saved in the watched folder counts unsigned."""
        self._vetting = vetting
        self._folder = folder
        self._clock = clock or SystemClock()
        # The answer to the question that is asked again and again while something is held.
        self._last: tuple[tuple[str, ...], str | None] | None = None
        self._begun: str | None = None
        self._is_forgotten = False
        self._refused: tuple[str, str] | None = None

    @property
    def refused(self) -> tuple[str, str] | None:
        """The remote's newest commit, and why it may not come; None if it may."""
        return self._refused

    @property
    def is_on(self) -> bool:
        return self._vetting is not None

    def refusal(self, repository: Repository, old: str | None, new: str) -> str | None:
        """Why `new` may not come onto the branch that is at `old`: which commit, which paths, what to do.

        Every commit of the range is looked at, also in the middle. None if it may.

        Raises:
            Stalled: the allowed signers cannot be read, or `ssh-keygen` cannot be asked.
        """
        why = self._refusal(repository, old, new)
        self._refused = (new, why) if why else None
        return why

    def _refusal(self, repository: Repository, old: str | None, new: str) -> str | None:
        if self._vetting is None:
            return None
        vetted = self._vetted(repository)
        known = [commit for commit in (vetted, old) if commit is not None]
        if not known:
            # Nobody looked at this history here: who signs its newest commit answers for what is before it.
            finding = self._vetting.tip(repository, new)
            return _first_refusal(finding) if finding else None
        return self._range_refusal(repository, known, new)

    def withheld(self, repository: Repository, head: str | None, paths: Collection[str]) -> tuple[str, ...]:
        """Those of `paths`, edited in the watched folder, that do not count without a signature."""
        if self._vetting is None or self._folder:
            return ()
        if self._vetting.coverage is Coverage.ALL:
            return tuple(sorted(paths))
        protected = protected_in(repository.files(head) if head else repository.files_of_tree(None))
        return tuple(sorted(path for path in paths if path in protected))

    def note(self, repository: Repository, old: str | None, new: str) -> None:
        """The engine is about to move the branch to `new`, by an act of its own upon `old`.

        What it does itself, a join for instance, bears no signature. To be called before the branch moves:
        after a crash in between nobody could tell its act from another's.
        """
        if self._vetting is None:
            return
        if old is None or old == self._vetted(repository):
            repository.keep(_coming(repository), new)
            reached(Failpoint.TRUST_AHEAD)

    def newest(self, repository: Repository) -> Trusted:
        """The newest revision of the branch that may run, and why that is not its head.

        Raises:
            Stalled: as `refusal`.
        """
        head = repository.head
        if self._vetting is None:
            if not self._is_forgotten:
                _forget(repository)
                self._is_forgotten = True
            return Trusted(head)
        if head is None:
            return Trusted(None)
        vetted = self._vetted(repository)
        assert vetted is not None, "a branch that has a commit has a starting point"
        begun, self._begun = self._begun, None
        if vetted == head:
            return Trusted(head, begun=begun)
        why = self._range_refusal(repository, [vetted], head)
        if why:
            return Trusted(vetted, f"{why} Until then {vetted[:12]} runs on.", begun)
        repository.keep(_trusted(repository), head)
        reached(Failpoint.TRUST_NOTED)
        return Trusted(head, begun=begun)

    def counts(self, repository: Repository, revision: str) -> bool:
        """Whether `revision`, of whatever age, was looked at, or is older than that."""
        vetted = self._vetted(repository) if self._vetting else None
        return self._vetting is None or (vetted is not None and repository.is_ancestor(revision, vetted))

    def _vetted(self, repository: Repository) -> str | None:
        """The newest commit that was looked at; where trust is new, what the branch is at."""
        head, trusted = repository.head, repository.kept(_trusted(repository))
        coming = repository.kept(_coming(repository))
        if coming and head and coming != trusted and repository.is_ancestor(coming, head):
            repository.keep(_trusted(repository), coming)
            return coming
        if trusted is None and head is not None:
            repository.keep(_trusted(repository), head)
            self._begun = (
                f"Trust is new here: {head[:12]} is taken as it is, with all before it, and every commit"
                " after it is looked at."
            )
            log.warning("%s", self._begun, extra={"revision": head})
            return head
        return trusted

    def _range_refusal(self, repository: Repository, known: Sequence[str], new: str) -> str | None:
        assert self._vetting is not None
        question = (self._vetting.signers.stamp, *known, new)
        if self._last is None or self._last[0] != question:
            self._last = (question, self._judged(repository, known, new))
        return self._last[1]

    def _judged(self, repository: Repository, known: Sequence[str], new: str) -> str | None:
        assert self._vetting is not None
        try:
            findings = self._vetting.findings(repository, known, new, self._floor(repository, known[0]))
        except (KeyError, ValueError, pygit2.GitError) as error:
            return f"What was committed since {known[0][:12]} cannot be read ({error})."
        if findings:
            return _refusal(findings)
        self._keep_date(repository, known, new)
        return None

    def _floor(self, repository: Repository, known: str) -> datetime:
        """No new commit was signed before the newest date that is known: withdrawn keys sign with old dates.

        A date to come is somebody's wrong clock, and binds nobody.
        """
        commits = filter(None, (known, repository.kept(_dated(repository))))
        return min(max(committed_at(repository, commit) for commit in commits), self._clock.now())

    def _keep_date(self, repository: Repository, known: Sequence[str], new: str) -> None:
        """Remember the newest date: an ordinary commit needs no signature, and may bear any older one."""
        kept = repository.kept(_dated(repository))
        known = [*known, kept] if kept else known
        newest = newest_dated(repository, known, new, self._clock.now())
        if newest not in (None, kept):
            repository.keep(_dated(repository), str(newest))


def _trusted(repository: Repository) -> str:
    return f"trusted/{repository.branch}"


def _coming(repository: Repository) -> str:
    return f"coming/{repository.branch}"


def _dated(repository: Repository) -> str:
    return f"dated/{repository.branch}"


def _forget(repository: Repository) -> None:
    """Trust is off: should it be turned on again, it begins anew."""
    for name in (_trusted(repository), _coming(repository), _dated(repository)):
        if repository.kept(name) is not None:
            repository.let_go(name)


def _first_refusal(finding: Finding) -> str:
    return (
        f"Trust is on, and the newest commit, {finding.commit[:12]}, {finding.why}. Nothing was looked at"
        " here yet, so that commit has to answer for all before it. Push one that somebody in"
        ' allowed-signers has signed: git commit --allow-empty -S -m "Vouch for what is there".'
    )


def _refusal(findings: Sequence[Finding]) -> str:
    named = "; ".join(map(_told, findings[:MOST_COMMITS]))
    more = f"; and {len(findings) - MOST_COMMITS} more" if len(findings) > MOST_COMMITS else ""
    first = findings[0].commit
    return (
        f"Trust holds what was committed since: {named}{more}. Take that commit away or sign it anew, or"
        f" stand behind it in a signed commit whose message has the line `{VOUCHES}: {first}`."
    )


def _told(finding: Finding) -> str:
    paths = ", ".join(map(shown, finding.paths[:MOST_PATHS]))
    more = f" and {len(finding.paths) - MOST_PATHS} more" if len(finding.paths) > MOST_PATHS else ""
    changes = f" changes {paths}{more} and" if paths else ""
    return f"{finding.commit[:12]}{changes} {finding.why}"
