"""What humans edited in the watched folder becomes commits; what must not be committed stays out and is told.

Nothing is written into the folder here, but for a folder without git that meets its vault for the first time.
"""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from pygit2.enums import RepositoryState

from vaultloop.aio.clock import Clock
from vaultloop.aio.failpoint import Failpoint, reached
from vaultloop.model.errors import Paused, Retry
from vaultloop.vault.folder.checkout import Checkout, DirtyError
from vaultloop.vault.folder.folder import Edit, Folder
from vaultloop.vault.git.repository import HeadMovedError, Identity, Repository
from vaultloop.vault.git.trees import shown
from vaultloop.vault.plain_folder import FolderFiles
from vaultloop.vault.sync.trust import Trust
from vaultloop.vault.transport.oversize import left_out

# Others move the branch or edit files while we work; more rounds than this mean that something is wrong.
ATTEMPTS = 10

# So many paths are named in a commit's message; the rest is counted.
NAMED = 50


class UnsettledError(Retry):
    """Somebody is writing a declaration just now: half of one must not count."""


class FolderEdits:
    """The edits of one watched folder; for the git thread.

    Attributes:
        folder: that folder.
        checkout: brings commits into it.
    """

    def __init__(
        self,
        repository: Repository,
        folder: Folder,
        state: Path,
        *,
        clock: Clock,
        human: Identity,
        trust: Trust | None = None,
    ) -> None:
        """`human` is the author of edits, unless the folder's git knows a name; the rest is as for `Sync`."""
        self.folder = folder
        self.checkout = Checkout(repository, folder, state)
        self._repository, self._clock = repository, clock
        self._human = (folder.own_git and repository.configured_identity()) or human
        self._trust = trust
        # What could not be looked at yet; None for everything.
        self._waiting: set[str] | None = set()
        self._recovered = False
        # Whether the folder is known to have held this vault; one with its own git always does.
        self._met = folder.own_git
        # What stays uncommitted: not signed by anybody trusted.
        self._withheld: tuple[str, ...] = ()
        # Files that the folder's index holds the sides of a conflict of.
        self._undecided: tuple[str, ...] = ()

    @property
    def too_large(self) -> str | None:
        """What to say of files that stay out because of their size."""
        there = {
            path: size for path, size in self.folder.too_large.items() if (self.folder.path / path).is_file()
        }
        return left_out(there, self.folder.largest_file)

    @property
    def withheld(self) -> str | None:
        """What to say of edits that do not count without a signature."""
        if not self._withheld:
            return None
        return (
            "Edited in the folder and not taken, because nobody trusted has signed it:"
            f" {listed(self._withheld)}. Commit it with your signature (git commit -S), or set trust-folder"
            " if whoever writes there is trusted."
        )

    @property
    def undecided(self) -> str | None:
        """What to say of edits that wait for a conflict to be resolved."""
        if not self._undecided:
            return None
        return (
            f"The git index of the folder holds an unresolved conflict in {listed(self._undecided)}. What"
            " lies there is not taken yet: put it right, then git add it (or git restore --staged it)."
        )

    def recover(self) -> None:
        """Put right what a crash left half-way, once; whoever works on the branch sees to it first.

        Raises:
            Retry: git is at work in the folder.
            Stalled: its index cannot be used.
        """
        if not self._recovered or self.checkout.is_under_way:
            with self._repository.at_work():
                self.checkout.recover()
        self._recovered = True

    def take(self, named: Collection[str] | None) -> None:
        """Commit the settled edits of the files named, or of all for None.

        Raises:
            Paused: the folder is gone or suddenly empty; nothing was committed.
            Retry: git is at work there. In both cases the next call looks at what this one should have.
        """
        wanted = None if named is None or self._waiting is None else {*named, *self._waiting}
        # Who has signed what may have changed without a sign in the folder.
        self._waiting = wanted = None if wanted is None else {*wanted, *self._withheld, *self._undecided}
        if not self.folder.is_there:
            raise self.folder.gone()
        self.recover()
        if wanted == set():
            self.folder.follow(self._repository.head)
            return
        if wanted is None:
            self.folder.too_large.clear()
        self.meet()
        for _ in range(ATTEMPTS):
            self.folder.follow(self._repository.head)
            try:
                with self._repository.at_work():
                    self._withheld = self._undecided = ()
                    self._commit(self.folder.edits(wanted))
            except HeadMovedError:
                continue
            except Retry:
                # The index may have been damaged meanwhile: the next look sees to it first.
                self._recovered = False
                raise
            self._waiting = set()
            return
        raise moves_too_fast()

    def lying(self) -> FolderFiles:
        """What lies in the folder now, committed or not, settled or not.

        Raises:
            Paused: the folder is gone.
        """
        if not self.folder.is_there:
            raise self.folder.gone()
        head = self._repository.head
        self.folder.follow(head)
        return FolderFiles(self.folder.path, head or "", self.folder.is_of_vault)

    def make_way(self, head: str | None, paths: Collection[str]) -> bool:
        """Commit what lies uncommitted in files that are about to be written; whether there was any.

        `paths` are those files. Settled or not; only declarations must have settled.

        Raises:
            UnsettledError: one has not.
            Retry, Paused: as `stand_back` and `meet`.
        """
        self.stand_back()
        self.meet()
        self.folder.follow(head)
        edits = self.folder.edits(paths, settled=False)
        self._wait_for_declarations(
            [edit.path for edit in edits if self.folder.settling.is_prompt(edit.path)]
        )
        return self._commit(edits)

    def note_meeting(self, commit: str) -> None:
        """Before the first commit is on the branch: afterwards a crash would make the folder a stranger."""
        if not self._met:
            self._repository.keep(self.folder.mark, commit)
            self._met = True

    def stand_back(self) -> None:
        """Leave the folder alone while its human is in the middle of something with git.

        Raises:
            Retry: they are.
        """
        if not self.folder.own_git:
            return
        current, state = self._repository.checked_out, self._repository.handle.state()
        if state != RepositoryState.NONE:
            name = RepositoryState(state).name.replace("_", " ").lower()
            raise Retry(
                f"A git {name} is going on in the folder {self.folder.path}. Finish it, or abort it; until"
                " then the vault is not touched there."
            )
        if current != self._repository.branch:
            raise Retry(
                f"The folder {self.folder.path} has {current or 'no branch'} checked out. The vault is the"
                f" branch {self._repository.branch}: git switch {self._repository.branch}."
            )

    def meet(self) -> None:
        """Fill a folder without git that has not met this vault yet: else it looks like an emptied one.

        Raises:
            Paused: files there differ from the vault's.
        """
        head = self._repository.head
        self._met = self._met or self._repository.kept(self.folder.mark) is not None
        if self._met or head is None:
            return
        try:
            self.checkout.populate(head)
        except DirtyError as error:
            raise Paused(
                f"The folder {self.folder.path} and the vault have different content in"
                f" {listed(error.paths)}. Nothing was changed on either side."
                " Make the files in the folder the same as in the vault, or move them away."
            ) from error
        self.note_meeting(head)

    def _wait_for_declarations(self, paths: Sequence[str]) -> None:
        settled = {edit.path for edit in self.folder.edits(paths)} if paths else set()
        if unsettled := [path for path in paths if path not in settled]:
            raise UnsettledError(f"{listed(unsettled)} is being edited in the folder just now.", after=1)

    def _commit(self, found: Iterable[Edit]) -> bool:
        """Commit exactly these edits, but for what must stay out; whether anything was committed.

        HeadMovedError passes through.
        """
        edits = self._fit(found)
        for _ in range(ATTEMPTS):
            if not edits:
                return False
            self.stand_back()
            head = self._repository.head
            with self._repository.in_bulk(len(edits)):
                tree = self._repository.edit_leaves(head, {edit.path: edit.leaf for edit in edits})
            parents = [head] if head else []
            commit = self._repository.commit(
                tree, parents, _subject(edits), author=self._human, at=self._clock.now()
            )
            self.note_meeting(commit)
            try:
                self.checkout.record(head, commit)
            except DirtyError as error:
                # The index holds the sides of a conflict there, and the human has not decided yet.
                self._undecided = error.paths
                edits = [edit for edit in edits if edit.path not in error.paths]
            else:
                reached(Failpoint.EDITS_COMMITTED)
                return True
        return False

    def _fit(self, found: Iterable[Edit]) -> list[Edit]:
        """The edits without those that must stay out, which are remembered."""
        edits = list(found)
        if self._trust is None or not edits:
            return edits
        withheld = self._trust.withheld(
            self._repository, self._repository.head, [edit.path for edit in edits]
        )
        self._withheld = tuple(sorted({*self._withheld, *withheld}))
        return [edit for edit in edits if edit.path not in withheld]


def moves_too_fast() -> Retry:
    """What to say when others keep moving the branch."""
    return Retry("The branch moves faster than commits can be joined to it.", after=2)


def listed(paths: Sequence[str]) -> str:
    """Paths for a sentence."""
    more = f" and {len(paths) - 5} more" if len(paths) > 5 else ""
    return ", ".join(map(shown, paths[:5])) + more


def _subject(edits: Sequence[Edit]) -> str:
    if len(edits) == 1:
        verb = "Delete" if edits[0].leaf is None else "Edit"
        return f"{verb} {edits[0].path}\n"
    lines = "\n".join(edit.path for edit in edits[:NAMED])
    more = f"\nand {len(edits) - NAMED} more" if len(edits) > NAMED else ""
    return f"Edit {len(edits)} files in the folder\n\n{lines}{more}\n"
