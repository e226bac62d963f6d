"""The one branch that is the vault: human edits, sessions' commits and the remote's come together here.

Plain synchronous code for the git thread. Each step reads the branch anew and moves it by compare-and-swap,
so it does not matter who else (the human's own git, another step) moved it meanwhile.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from pygit2.enums import RepositoryState

from vaultloop.aio.clock import Clock
from vaultloop.model.errors import Paused, Retry
from vaultloop.vault.checkout import Checkout, DirtyError
from vaultloop.vault.folder import Edit, Folder
from vaultloop.vault.plain_folder import FolderFiles
from vaultloop.vault.protected import SETTINGS, protected_in
from vaultloop.vault.repository import HeadMovedError, Identity, Repository
from vaultloop.vault.revision import RevisionFiles
from vaultloop.vault.trees import shown

# Others move the branch or edit files while we work; more rounds than this mean that something is wrong.
ATTEMPTS = 10


class UnsettledError(Retry):
    """Somebody is writing a declaration just now: half of one must not count."""


# Given the vault before and after a merge, and the protected paths that differ: those of them that nobody
# allowed to differ.
Gate = Callable[[RevisionFiles, RevisionFiles, Collection[str]], Collection[str]]


def closed(before: RevisionFiles, after: RevisionFiles, paths: Collection[str]) -> Collection[str]:
    """The gate through which no change of a protected path comes."""
    del before, after
    return paths


@dataclass(frozen=True, slots=True)
class Integrated:
    """What became of a commit that was to be brought onto the branch.

    Attributes:
        revision: where the branch is now.
        parked: paths that both sides changed; then nothing of the commit is on the branch, and it is kept
            under `refs/vaultloop/parked/<commit>`.
        protected: protected paths that it would have changed and may not; then too nothing of it is there.
    """

    revision: str
    parked: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Obstacle:
    """Why a commit is not on the branch: the paths that are in its way; none of them if it is there."""

    conflicts: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.conflicts or self.protected)


class Branch:
    """The branch and, if there is one, the watched folder that follows it."""

    def __init__(
        self,
        repository: Repository,
        *,
        clock: Clock,
        engine: Identity,
        human: Identity,
        folder: Folder | None = None,
        state: Path | None = None,
    ) -> None:
        """`engine` signs for joins; `human` for edits in the folder, unless its git knows a name."""
        self.repository = repository
        self._clock = clock
        self._engine = engine
        self._human = (folder and folder.own_git and repository.configured_identity()) or human
        self._folder = folder
        self._checkout: Checkout | None = None
        # What could not be looked at yet; None for everything.
        self._waiting: set[str] | None = set()
        self._recovered = False
        # Whether the folder is known to have held this vault; one with its own git always does.
        self._met = folder is None or folder.own_git
        if folder is not None:
            assert state is not None
            self._checkout = Checkout(repository, folder, state)

    @property
    def is_there(self) -> bool:
        """False while the folder, which may hold the repository, is out of reach."""
        return self._folder is None or self._folder.is_there

    def may_meet(self, other: str) -> bool:
        """Whether `other` may come onto the branch though it has no commit in common with it.

        Only where two lines meet that are one vault's: a folder that knew no git, and the remote set for it.
        """
        head = self.repository.head
        if head is None or self.repository.merge_base(head, other):
            return True
        return self._folder is not None and not self._folder.own_git and not self.repository.keeps("remote/")

    def recover(self) -> None:
        """Put right what a crash left half-way, once; whoever works on the branch sees to it first.

        Raises:
            Retry: git is at work in the folder.
            Stalled: its index cannot be used.
        """
        if self._checkout and not self._recovered:
            with self.repository.at_work():
                self._checkout.recover()
        self._recovered = True

    def take_edits(self, named: Collection[str] | None) -> None:
        """Commit what humans edited in the folder: the settled ones of those named, or of all for None.

        Raises:
            Paused: the folder is gone or suddenly empty; nothing was committed.
            Retry: git is at work there. In both cases the next call looks at what this one should have.
        """
        if self._folder is None:
            return
        wanted = None if named is None or self._waiting is None else {*named, *self._waiting}
        self._waiting = wanted
        if not self._folder.is_there:
            raise self._folder.gone()
        self.recover()
        if wanted == set():
            self._folder.follow(self.repository.head)
            return
        self._meet()
        for _ in range(ATTEMPTS):
            self._folder.follow(self.repository.head)
            try:
                with self.repository.at_work():
                    self._commit_edits(self._folder.edits(wanted))
            except HeadMovedError:
                continue
            self._waiting = set()
            return
        raise _moves_too_fast()

    def lying(self) -> FolderFiles:
        """What lies in the folder now, committed or not, settled or not.

        Raises:
            Paused: the folder is gone.
        """
        assert self._folder is not None
        if not self._folder.is_there:
            raise self._folder.gone()
        head = self.repository.head
        self._folder.follow(head)
        return FolderFiles(self._folder.path, head or "", self._folder.is_of_vault)

    def integrate(
        self, commit: str, message: str = "Join two lines of work", gate: Gate = closed
    ) -> Integrated:
        """Bring a session's commit onto the branch; doing it again changes nothing.

        The protected paths stay as they are on the branch, but for what `gate` lets through.

        Raises:
            Retry: git is at work in the folder.
        """
        # What a human has saved by now counts, committed or not; which folders hold templates, also for
        # commits that change nothing of what governs the agent.
        self.take_edits(SETTINGS if gate is closed else None)
        obstacle = self._bring(commit, message, gate)
        if obstacle.conflicts:
            self.repository.keep(f"parked/{commit}", commit)
        return self._integrated(obstacle)

    def approve(self, commit: str, message: str) -> Integrated:
        """Bring in a commit that an owner approved, by a commit with `message`, which names the owner's act.

        Raises:
            Retry: git is at work in the folder.
        """
        return self._integrated(self._bring(commit, message, None, joined=True))

    def unite(self, other: str, message: str) -> tuple[str, ...]:
        """Fast-forward to `other`, or join it; returns the paths that both sides changed: then nothing moves.

        Human edits of the same files that are not committed yet are committed first, settled or not; only
        declarations must have settled.

        Raises:
            UnsettledError: one has not.
            Retry: git is at work in the folder, or others kept moving the branch.
        """
        return self._bring(other, message, None).conflicts

    def _integrated(self, obstacle: _Obstacle) -> Integrated:
        head = self.repository.head
        assert head is not None
        return Integrated(head, obstacle.conflicts, obstacle.protected)

    def _bring(self, other: str, message: str, gate: Gate | None, *, joined: bool = False) -> _Obstacle:
        """Bring in `other`, by a commit of its own if `joined`; what is in its way, if it does not come in.

        Without a `gate` it is a human's, and may change everything.
        """
        unwritable: tuple[str, ...] = ()
        for _ in range(ATTEMPTS):
            if self._folder is not None:
                self._folder.insist_on_presence()
                self.recover()
            head = self.repository.head
            if head is not None and self.repository.is_ancestor(other, head):
                return _Obstacle()
            try:
                with self.repository.at_work():
                    if self._commit_pending(head, other):
                        continue
                    target, conflicts = self._target(head, other, message, joined=joined)
                    if conflicts:
                        return _Obstacle(conflicts)
                    if protected := self._stopped(head, target, gate):
                        return _Obstacle(protected=protected)
                    self._advance(head, target)
            except HeadMovedError:
                continue
            except DirtyError as error:
                # A human wrote in between: theirs is committed in the next round, if it is ours to commit.
                if error.paths == unwritable:
                    return _Obstacle(unwritable)
                unwritable = error.paths
        raise _moves_too_fast()

    def _stopped(self, head: str | None, target: str, gate: Gate | None) -> tuple[str, ...]:
        """The protected paths that differ between the branch and what it would become, and may not."""
        if gate is None:
            return ()
        after = self.repository.files(target)
        before = self.repository.files(head) if head else self.repository.files_of_tree(None)
        protected = protected_in(before) | protected_in(after)
        differing = [path for path in self.repository.changed_leaves(head, target) if path in protected]
        return tuple(sorted(gate(before, after, differing))) if differing else ()

    def conflicts(self, other: str) -> tuple[str, ...]:
        """The paths that the branch and `other` have both changed since they parted."""
        head = self.repository.head
        return self.repository.join(head, other)[1] if head else ()

    def _target(
        self, head: str | None, other: str, message: str, *, joined: bool = False
    ) -> tuple[str, tuple[str, ...]]:
        if head is None or (not joined and self.repository.is_ancestor(head, other)):
            return other, ()
        tree, conflicts = self.repository.join(head, other)
        if conflicts:
            return head, conflicts
        return self._write(tree, [head, other], message, self._engine), ()

    def _advance(self, head: str | None, target: str) -> None:
        if self._checkout is None:
            self.repository.move(head, target)
        else:
            self._note_meeting(target)
            self._checkout.advance(head, target)

    def _commit_pending(self, head: str | None, other: str) -> bool:
        """Commit what lies uncommitted in files that `other` changes; whether there was any."""
        if self._folder is None:
            return False
        self._stand_back()
        self._meet()
        self._folder.follow(head)
        base = self.repository.merge_base(head, other) if head else None
        paths = self.repository.changed_leaves(base, other).keys()
        edits = self._folder.edits(paths, settled=False)
        self._wait_for_declarations(
            [edit.path for edit in edits if self._folder.settling.is_prompt(edit.path)]
        )
        return self._commit_edits(edits)

    def _wait_for_declarations(self, paths: Sequence[str]) -> None:
        assert self._folder is not None
        settled = {edit.path for edit in self._folder.edits(paths)} if paths else set()
        if unsettled := [path for path in paths if path not in settled]:
            raise UnsettledError(f"{listed(unsettled)} is being edited in the folder just now.", after=1)

    def _commit_edits(self, edits: Sequence[Edit]) -> bool:
        """Commit exactly these edits; whether anything was committed. HeadMovedError passes through."""
        for _ in range(ATTEMPTS):
            if not edits:
                return False
            self._stand_back()
            head = self.repository.head
            with self.repository.in_bulk(len(edits)):
                tree = self.repository.edit_leaves(head, {edit.path: edit.leaf for edit in edits})
            commit = self._write(tree, [head] if head else [], _subject(edits), self._human)
            assert self._checkout is not None
            self._note_meeting(commit)
            try:
                self._checkout.record(head, commit)
            except DirtyError as error:
                # The human has staged something else there and is about to commit it themselves.
                edits = [edit for edit in edits if edit.path not in error.paths]
            else:
                return True
        return False

    def _meet(self) -> None:
        """Fill a folder without git that has not met this vault yet: else it looks like an emptied one.

        Raises:
            Paused: files there differ from the vault's.
        """
        assert self._folder is not None
        assert self._checkout is not None
        head = self.repository.head
        self._met = self._met or self.repository.kept(self._folder.mark) is not None
        if self._met or head is None:
            return
        try:
            self._checkout.populate(head)
        except DirtyError as error:
            raise Paused(
                f"The folder {self._folder.path} and the vault have different content in"
                f" {listed(error.paths)}. Nothing was changed on either side."
                " Make the files in the folder the same as in the vault, or move them away."
            ) from error
        self._note_meeting(head)

    def _note_meeting(self, commit: str) -> None:
        # Before the first commit is on the branch: afterwards a crash would make the folder a stranger.
        if self._folder is not None and not self._met:
            self.repository.keep(self._folder.mark, commit)
            self._met = True

    def _stand_back(self) -> None:
        """Leave the folder alone while its human is in the middle of something with git."""
        if self._folder is None or not self._folder.own_git:
            return
        current, state = self.repository.checked_out, self.repository.handle.state()
        if state != RepositoryState.NONE:
            name = RepositoryState(state).name.replace("_", " ").lower()
            raise Retry(
                f"A git {name} is going on in the folder {self._folder.path}. Finish it, or abort it; until"
                " then the vault is not touched there."
            )
        if current != self.repository.branch:
            raise Retry(
                f"The folder {self._folder.path} has {current or 'no branch'} checked out. The vault is the"
                f" branch {self.repository.branch}: git switch {self.repository.branch}."
            )

    def _write(self, tree: str, parents: list[str], message: str, author: Identity) -> str:
        return self.repository.commit(tree, parents, message, author=author, at=self._clock.now())


def _moves_too_fast() -> Retry:
    return Retry("The branch moves faster than commits can be joined to it.", after=2)


def _subject(edits: Sequence[Edit]) -> str:
    if len(edits) == 1:
        verb = "Delete" if edits[0].leaf is None else "Edit"
        return f"{verb} {edits[0].path}\n"
    lines = "\n".join(edit.path for edit in edits[:50])
    more = f"\nand {len(edits) - 50} more" if len(edits) > 50 else ""
    return f"Edit {len(edits)} files in the folder\n\n{lines}{more}\n"


def listed(paths: Sequence[str]) -> str:
    """Paths for a sentence."""
    more = f" and {len(paths) - 5} more" if len(paths) > 5 else ""
    return ", ".join(map(shown, paths[:5])) + more
