"""The one branch that is the vault: human edits, sessions' commits and the remote's come together here.

Plain synchronous code for the git thread. Each step reads the branch anew and moves it by compare-and-swap,
so it does not matter who else (the human's own git, another step) moved it meanwhile.
"""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vaultloop.aio.clock import Clock
from vaultloop.aio.failpoint import Failpoint, reached
from vaultloop.model.errors import Paused
from vaultloop.vault.folder.checkout import DirtyError
from vaultloop.vault.folder.folder import Folder
from vaultloop.vault.git.repository import HeadMovedError, Identity, Repository
from vaultloop.vault.git.revision import RevisionFiles
from vaultloop.vault.git.signing import AuthorClass
from vaultloop.vault.git.trees import shown
from vaultloop.vault.merge.audit import AuditError
from vaultloop.vault.notes.protected import SETTINGS, protected_in
from vaultloop.vault.plain_folder import FolderFiles
from vaultloop.vault.sync.folder_edits import ATTEMPTS, FolderEdits, UnsettledError, listed, moves_too_fast
from vaultloop.vault.sync.held import Held
from vaultloop.vault.sync.target import Target, Targets
from vaultloop.vault.sync.trust import Trust

__all__ = ["Branch", "Gate", "Integrated", "UnsettledError", "closed", "listed"]

log = logging.getLogger(__name__)

# Given the vault before and after a merge, and the protected paths that differ: those of them that nobody
# allowed to differ.
Gate = Callable[[RevisionFiles, RevisionFiles, Collection[str]], Collection[str]]


def closed(before: RevisionFiles, after: RevisionFiles, paths: Collection[str]) -> Collection[str]:
    """The gate through which no change of a protected path comes."""
    del before, after
    return paths


def everybody_is_human(commit: str) -> AuthorClass:
    """Who made a commit, where no key of an engine is known."""
    del commit
    return AuthorClass.HUMAN


@dataclass(frozen=True, slots=True)
class Integrated:
    """What became of a commit that was to be brought onto the branch.

    Attributes:
        revision: where the branch is now.
        parked: files in the folder that are in its way; then nothing of the commit is on the branch, and it
            is kept under `refs/vaultloop/parked/<commit>`.
        protected: protected paths that it would have changed and may not; then too nothing of it is there.
        contested: protected paths that somebody else has changed, too, so that what was shown of it is not
            what would come; as with `protected`.
        notes: how it was joined with what others wrote, where that was not plain, in sentences.
    """

    revision: str
    parked: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
    contested: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Brought:
    """How a commit came in, or the paths that are in its way."""

    notes: tuple[str, ...] = ()
    in_the_way: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
    contested: tuple[str, ...] = ()


class Branch:
    """The branch and, if there is one, the watched folder that follows it.

    Attributes:
        merges, mended: how many joins, and notes rid of conflict markers, since the start.
    """

    def __init__(
        self,
        repository: Repository,
        *,
        clock: Clock,
        engine: Identity,
        human: Identity,
        folder: Folder | None = None,
        state: Path | None = None,
        class_of: Callable[[str], AuthorClass | None] = everybody_is_human,
        trust: Trust | None = None,
    ) -> None:
        """`engine` signs for joins; `human` for edits in the folder, unless its git knows a name.

        `class_of` tells who made a commit (None for a merge); `trust` is as for `Sync`.
        """
        self.repository = repository
        self.merges = self.mended = 0
        self._targets = Targets(repository, class_of, clock=clock, engine=engine)
        self._held = Held(repository)
        # Up to this commit the notes were looked at for conflict markers.
        self._looked_at = repository.head
        self._edits: FolderEdits | None = None
        if folder is not None:
            assert state is not None
            self._edits = FolderEdits(repository, folder, state, clock=clock, human=human, trust=trust)

    @property
    def is_there(self) -> bool:
        """False while the folder, which may hold the repository, is out of reach."""
        return self._edits is None or self._edits.folder.is_there

    def may_meet(self, other: str) -> bool:
        """Whether `other` may come onto the branch though it has no commit in common with it.

        Only where two lines meet that are one vault's: a folder that knew no git, and the remote set for it.
        """
        head = self.repository.head
        if head is None or self.repository.merge_base(head, other):
            return True
        fresh = self._edits is not None and not self._edits.folder.own_git
        return fresh and not self.repository.keeps("remote/")

    def recover(self) -> None:
        """Put right what a crash left half-way, once; whoever works on the branch sees to it first.

        Raises:
            Retry: git is at work in the folder.
            Stalled: its index cannot be used.
        """
        if self._edits:
            self._edits.recover()

    def take_edits(self, named: Collection[str] | None) -> None:
        """Commit what humans edited in the folder: the settled ones of those named, or of all for None.

        Raises:
            Paused: the folder is gone or suddenly empty; nothing was committed.
            Retry: git is at work there. In both cases the next call looks at what this one should have.
        """
        if self._edits is None:
            return
        self._edits.take(named)
        self._mend()

    def lying(self) -> FolderFiles:
        """What lies in the folder now, committed or not, settled or not.

        Raises:
            Paused: the folder is gone.
        """
        assert self._edits is not None
        return self._edits.lying()

    def review(self) -> Mapping[str, str | None]:
        """What waits for a human and stops nothing, a sentence for each cause; None where nothing does."""
        return {
            "held": self._held.review(),
            "size": self._edits.too_large if self._edits else None,
            "index": self._edits.undecided if self._edits else None,
            "staged": self._edits.checkout.remark if self._edits else None,
            "signature": self._edits.withheld if self._edits else None,
        }

    @property
    def held(self) -> int:
        """How many declarations wait for their owner, as of the last review."""
        return self._held.count

    def integrate(
        self, commit: str, message: str = "Join two lines of work\n", gate: Gate = closed
    ) -> Integrated:
        """Bring a session's commit onto the branch; doing it again changes nothing.

        The protected paths stay as they are on the branch, but for what `gate` lets through.

        Raises:
            Retry: git is at work in the folder.
        """
        # What a human has saved by now counts, committed or not; which folders hold templates, also for
        # commits that change nothing of what governs the agent.
        self.take_edits(SETTINGS if gate is closed else None)
        return self._integrated(commit, self._session_brought(commit, message, gate))

    def approve(self, commit: str, message: str) -> Integrated:
        """Bring in a commit that an owner approved, by a commit with `message`, which names the owner's act.

        Raises:
            Retry: git is at work in the folder.
        """
        return self._integrated(commit, self._session_brought(commit, message, None, approved=True))

    def unite(self, other: str, message: str) -> tuple[str, ...]:
        """Fast-forward to `other`, or join it; returns the files in the folder that are in its way, if any.

        Then nothing moves. Human edits of the same files that are not committed yet are committed first,
        settled or not; only declarations must have settled.

        Raises:
            UnsettledError: one has not.
            Retry: git is at work in the folder, or others kept moving the branch.
            Paused: the two cannot be joined without a loss, which is a fault of ours.
        """

        def decided(head: str | None) -> Target | _Brought:
            if head is not None and self.repository.is_ancestor(other, head):
                return _Brought()
            return self._targets.of(head, other, message)

        with _told_as_fault(other):
            return self._moved(decided).in_the_way

    def accept(
        self, truth: str, since: str | None, message: str, on_target: Callable[[str], None]
    ) -> tuple[str, ...]:
        """Follow `truth`, a history that does not go on from ours; what is only here comes on top.

        Args:
            since: the newest commit that the remote had; what was changed here after that is only here.
            on_target: hears of the commit that the branch is about to move to.

        Returns and raises as `unite`.
        """

        def decided(head: str | None) -> Target:
            if head is None or (since is not None and self.repository.is_ancestor(head, since)):
                target = Target(truth)
            else:
                target = self._targets.upon(truth, since, head, message)
            on_target(target.commit)
            return target

        with _told_as_fault(truth):
            return self._moved(decided).in_the_way

    def _integrated(self, commit: str, brought: _Brought) -> Integrated:
        if brought.in_the_way:
            self.repository.keep(f"parked/{commit}", commit)
            reached(Failpoint.PARKED_KEPT)
        head = self.repository.head
        assert head is not None
        return Integrated(head, brought.in_the_way, brought.protected, brought.contested, brought.notes)

    def _session_brought(
        self, commit: str, message: str, gate: Gate | None, *, approved: bool = False
    ) -> _Brought:
        """Bring in a session's commit: through `gate`, or `approved` and then by a commit of its own."""

        def decided(head: str | None) -> Target | _Brought:
            if head is not None and self.repository.is_ancestor(commit, head):
                return _Brought()
            since = self._rewritten_since(head, commit)
            target = self._targets.of(head, commit, message, since=since, always=approved)
            contested = self._contested(head, since, commit)
            protected = self._stopped(head, target.commit, gate) if gate else ()
            if contested or protected:
                return _Brought(protected=protected, contested=contested)
            return target

        try:
            return self._moved(decided)
        except AuditError as error:
            log.exception("%s was not joined", commit[:12], exc_info=error)
            base = self.repository.merge_base(commit, self.repository.head or commit)
            return _Brought(in_the_way=tuple(map(shown, self.repository.changed_leaves(base, commit))))

    def _moved(self, decide: Callable[[str | None], "Target | _Brought"]) -> _Brought:
        """Move the branch to what is decided, if it is; anew whenever somebody else moves it meanwhile."""
        unwritable: tuple[str, ...] = ()
        for _ in range(ATTEMPTS):
            head = self._made_ready()
            try:
                with self.repository.at_work():
                    decided = decide(head)
                    if isinstance(decided, _Brought):
                        return decided
                    if self._made_way(head, decided.commit):
                        continue
                    self._advance(head, decided)
                    return _Brought(decided.notes)
            except HeadMovedError:
                continue
            except DirtyError as error:
                # A human wrote in between: theirs is committed in the next round, if it is ours to commit.
                if error.paths == unwritable:
                    return _Brought(in_the_way=unwritable)
                unwritable = error.paths
        raise moves_too_fast()

    def _made_ready(self) -> str | None:
        """Where the branch is, once the folder may be written to."""
        if self._edits is not None:
            self._edits.folder.insist_on_presence()
            self.recover()
        return self.repository.head

    def _made_way(self, head: str | None, target: str) -> bool:
        """Commit what lies uncommitted in files that are about to be written; whether there was any."""
        if self._edits is None:
            return False
        return self._edits.make_way(head, self.repository.changed_leaves(head, target).keys())

    def _rewritten_since(self, head: str | None, commit: str) -> str | None:
        """What a session's commit was made upon, if that is no part of the branch any more."""
        parents = self.repository.read_commit(commit).parents
        if head is None or not parents or self.repository.is_ancestor(parents[0], head):
            return None
        return parents[0]

    def _contested(self, head: str | None, since: str | None, commit: str) -> tuple[str, ...]:
        """The protected paths that a session's commit and the branch have changed in different ways."""
        if head is None:
            return ()
        base = since or self.repository.merge_base(head, commit)
        theirs = self.repository.changed_leaves(base, commit)
        ours = self.repository.changed_leaves(base, head)
        both = [path for path, (_, now) in theirs.items() if path in ours and ours[path][1] != now]
        if not both:
            return ()
        protected = protected_in(self.repository.files(head)) | protected_in(self.repository.files(commit))
        return tuple(sorted(path for path in both if path in protected))

    def _stopped(self, head: str | None, target: str, gate: Gate) -> tuple[str, ...]:
        """The protected paths that differ between the branch and what it would become, and may not."""
        after = self.repository.files(target)
        before = self.repository.files(head) if head else self.repository.files_of_tree(None)
        protected = protected_in(before) | protected_in(after)
        differing = [path for path in self.repository.changed_leaves(head, target) if path in protected]
        return tuple(sorted(gate(before, after, differing))) if differing else ()

    def _advance(self, head: str | None, target: Target) -> None:
        if target.merge is not None:
            self._held.keep(target.merge, target.held)
        self._held.keep_brought(head, target.commit, but=target.merge)
        if self._edits is None:
            self.repository.move(head, target.commit)
        else:
            self._edits.note_meeting(target.commit)
            self._edits.checkout.advance(head, target.commit)
        self._looked_at = target.commit
        self._tell(target)

    def _tell(self, target: Target) -> None:
        self.merges += target.merge is not None
        self.mended += len(target.mended)
        for note in target.notes:
            log.info("joined: %s", note, extra={"commit": target.merge})
        if target.mended:
            log.warning(
                "took conflict markers out of %s; both versions are kept",
                listed(target.mended),
                extra={"commit": target.commit},
            )

    def _mend(self) -> None:
        """Take markers out of what humans committed, in the folder or there with their own git."""
        for _ in range(ATTEMPTS):
            before, head = self._looked_at, self.repository.head
            self._looked_at = head
            if before is None or head is None or before == head:
                return
            try:
                with self.repository.at_work():
                    self._held.keep_brought(before, head)
                    if (target := self._targets.mend(before, head)) is not None:
                        self._advance(head, target)
                return
            except HeadMovedError:
                self._looked_at = before
            except DirtyError:
                # They go on editing: it is looked at again with the next edit.
                return


@contextmanager
def _told_as_fault(other: str) -> Iterator[None]:
    """A join that would lose something does not happen, and its human is told."""
    try:
        yield
    except AuditError as error:
        log.exception("%s was not joined", other[:12], exc_info=error)
        raise Paused(
            f"{other[:12]} cannot be joined with what is here: {error} This is a fault of vaultloop; please"
            " report it. Nothing was changed on either side. Merge the two by hand and push that."
        ) from error
