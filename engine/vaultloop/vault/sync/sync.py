"""The vault kept equal on three sides: branch, watched folder and remote.

Two threads do the work: one owns the repository, one talks to the network through a handle of its own, so
that a slow remote never holds up a session's commit or a saved note. Trouble with the remote is a state, not
an exception: the engine goes on with what it has, and everybody can see since when.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import ParamSpec, Self, TypeVar

from vaultloop.aio.clock import Clock
from vaultloop.aio.worker import Worker
from vaultloop.model.errors import Stalled, VaultloopError
from vaultloop.model.status import Push
from vaultloop.vault.folder.folder import Folder
from vaultloop.vault.folder.settling import PROMPT, QUIET, SETTLE, Settling
from vaultloop.vault.git import repair
from vaultloop.vault.git.authors import Authors
from vaultloop.vault.git.effort import Effort
from vaultloop.vault.git.index import LockedError
from vaultloop.vault.git.repository import Identity, Repository
from vaultloop.vault.plain_folder import FolderFiles
from vaultloop.vault.sync.branch import Branch, Gate, Integrated, closed
from vaultloop.vault.sync.lock_patience import LockPatience
from vaultloop.vault.sync.standing import Resumed, Standing
from vaultloop.vault.sync.survey import Survey
from vaultloop.vault.sync.trust import Trust
from vaultloop.vault.sync.upstream import Upstream
from vaultloop.vault.transport.access import Access
from vaultloop.vault.transport.oversize import LARGEST_FILE
from vaultloop.vault.transport.remote import CONNECT_TIMEOUT, SERVER_TIMEOUT, Credentials

__all__ = ["BARE_NAME", "ENGINE", "HUMAN", "Integrated", "Sync"]

P = ParamSpec("P")
T = TypeVar("T")

ENGINE = Identity("Vaultloop", "vaultloop@localhost")
HUMAN = Identity("Vault owner", "owner@localhost")

# The repository in the state directory, where the folder has none of its own.
BARE_NAME = "vault.git"

# Seconds that a network operation which is under way at the end has left.
LAST_WORDS = 3.0

# The word for what makes sync stand still here.
CAUSE = "folder"


class Sync:
    """Entering it opens the vault, leaving it finishes what is under way.

    Attributes:
        repository: to be used through `git` only.
        settling: which edits in the folder wait; a watcher feeds it.
        folder: the watched folder, if there is one.
        largest_file: bytes of the largest file that is committed.
        on_change: called when another look may find more; not to be awaited.
        on_heads: called with all references of the remote, by full name, whenever it has told them.
        may_push: whether the branch may be pushed now; an engine that stands by pushes nothing.
        trust: whose commits and edits count.
        runs: the revision whose declarations run, where that is not the branch's newest; None where it is.
    """

    repository: Repository
    on_change: Callable[[], None]
    on_heads: Callable[[Mapping[str, str]], None]
    may_push: Callable[[], bool]

    def __init__(
        self,
        state: Path,
        clock: Clock,
        *,
        remote: str | None = None,
        folder: Path | None = None,
        branch: str | None = None,
        credentials: Credentials | None = None,
        known_hosts: Path | None = None,
        timeout: float = SERVER_TIMEOUT,
        connect_timeout: float = CONNECT_TIMEOUT,
        engine: Identity = ENGINE,
        human: Identity = HUMAN,
        settle: timedelta = SETTLE,
        quiet: timedelta = QUIET,
        prompt: Sequence[str] = PROMPT,
        effort: Effort | None = None,
        trust: Trust | None = None,
        largest_file: int = LARGEST_FILE,
    ) -> None:
        """At least one of `remote` (a URL or path) and `folder` is where the vault is.

        Args:
            state: the engine's directory; holds the repository unless the folder has its own.
            branch: without it, the remote's default or what the folder has checked out.
            known_hosts, timeout, connect_timeout: as for `Remote`.
            engine: author of joins; `human`: author of edits in a folder whose git knows no name.
            settle, quiet, prompt: as for `Settling`.
            trust: whose commits and edits count; without it, everybody's.
            largest_file: bytes of the largest file that is committed.
        """
        self.effort = effort or Effort()
        self.settling = Settling(clock, settle, quiet, prompt)
        self.folder = folder.absolute() if folder else None
        self._state, self._clock = state, clock
        self._branch_name, self._engine, self._human = branch, engine, human
        self._access = (
            None
            if remote is None
            else Access(remote, credentials, known_hosts, timeout, connect_timeout, state, self.effort)
        )
        self.trust, self.largest_file = trust or Trust(), largest_file
        self.runs: str | None = None
        self._git, self._net = Worker("git"), Worker("network", patience=LAST_WORDS)
        self._one_look = asyncio.Lock()
        self._standing = Standing(clock, state)
        self._locked = LockPatience(clock, self._standing, self._changed)
        self.on_change = lambda: None
        self.on_heads = lambda _: None
        self.may_push = lambda: True
        self._upstream: Upstream | None = None

    async def __aenter__(self) -> Self:
        """Open the vault and put right what a crash left.

        Raises:
            Stalled: the repository cannot be opened, or has another branch checked out.
        """
        try:
            await self.git(self._open)
            if self._access:
                self._upstream = await self._open_upstream(self._access)
            await self._note_head()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self._locked.give_up()
        if self._upstream:
            self._upstream.give_up()
        await self._net.__aexit__()
        await self._git.__aexit__()

    async def git(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of `work`, run in the thread that owns the repository."""
        return await self._git.run(work, *args, **kwargs)

    def git_from_thread(self, work: Callable[[], T], /) -> T:
        """As `git`, for a caller in a thread of its own: it waits."""
        return self._git.run_from_thread(work)

    @property
    def own_repository(self) -> Path | None:
        """The git directory that is the engine's own; None where the folder has one."""
        return self.repository.path if self.repository.workdir is None else None

    @property
    def paused(self) -> str | None:
        """Why sync stands still, with the cure, in sentences for people; None while it does not."""
        return self._standing.paused

    @property
    def attention(self) -> str | None:
        """What a human has to look at: `paused`, and what stops nothing but waits for them."""
        return self._standing.attention

    def figures(self) -> Mapping[str, float]:
        """How sync stands, in numbers for `/metrics`, by name; as `Standing.figures`."""
        return self._standing.figures()

    @property
    def remote_trouble(self) -> str | None:
        """Why the remote cannot be talked to, in a sentence; None while it can, or when there is none."""
        return self._standing.trouble

    @property
    def remote_trouble_since(self) -> datetime | None:
        return self._standing.trouble_since

    @property
    def at_remote(self) -> str | None:
        """The newest commit of the branch that the remote is known to have."""
        return self._upstream.seen if self._upstream else None

    @property
    def asked(self) -> datetime | None:
        """When the remote was asked for its references last; None where there is none."""
        return self._upstream.asked if self._upstream else None

    @property
    def push_state(self) -> Push:
        """Where the newest commit is."""
        return self._standing.push

    async def look(self, named: Collection[str] | None = None, *, poll: bool = True) -> str | None:
        """Take what the folder has and the remote had; returns the branch's commit, None while there is none.

        Args:
            named: the files in the folder that may have changed; None for a walk through all of them.
            poll: ask the remote before that; without it the network is not waited for.
        """
        if poll:
            await self.poll()
        async with self._one_look:
            locked = await self._take_edits(named) if self.folder else None
            if self._upstream and await self.is_there():
                try:
                    await self._upstream.take()
                except LockedError as error:
                    locked = error
            self._locked.note(locked)
            return await self._note_head()

    async def poll(self) -> None:
        """Ask the remote what it has, and fetch that for the next look. Trouble never raises."""
        if self._upstream and await self.is_there():
            await self._upstream.poll()

    async def set_reference(self, name: str, commit: str, over: str | None) -> None:
        """Set the remote's reference `name` from `over` to `commit`, as `Upstream.set_reference`."""
        assert self._upstream
        await self._upstream.set_reference(name, commit, over)

    async def fetch_reference(self, name: str) -> str | None:
        """The commit that the remote's reference `name` names, brought here. Raises as `set_reference`."""
        assert self._upstream
        return await self._upstream.fetch_reference(name)

    async def lying(self) -> FolderFiles:
        """What lies in the folder now, committed or not, settled or not; to be read through `git` only.

        Raises:
            Paused: the folder is gone.
        """
        return await self.git(self._branch.lying)

    async def integrate(
        self, commit: str, message: str = "Join two lines of work\n", gate: Gate = closed
    ) -> Integrated:
        """Bring a session's commit onto the branch; doing it again, after a crash say, changes nothing.

        In folder mode its files are written, too; human edits of the same files are committed before.
        Protected paths stay as they are, but for what `gate` (it runs in the git thread) lets through.

        Raises:
            Retry: git is at work in the folder.
            Paused: the folder is gone.
        """
        done = await self.git(self._branch.integrate, commit, message, gate)
        await self._note_head()
        return done

    async def approve(self, commit: str, message: str) -> Integrated:
        """Bring in what an owner approved, by a commit with `message`. Raises as `integrate`."""
        done = await self.git(self._branch.approve, commit, message)
        await self._note_head()
        return done

    async def resume(self, accept: str | None = None) -> Resumed:
        """Look again, also at what stood still.

        Args:
            accept: follow the remote's rewritten history, at the commit that this names.

        Raises:
            Stalled: there is nothing to accept, it is another commit, or it cannot be done; with the cure.
            Retry, Paused: as `integrate`.
        """
        said, stood_still = [], bool(self.paused or self.remote_trouble)
        if self._upstream and await self.is_there():
            said = [await self._upstream.accept(accept)] if accept is not None else []
            self._upstream.look_anew()
        elif accept is not None:
            raise Stalled("There is no remote whose history could be accepted.", cure="Set one first.")
        await self.look()
        self._standing.wait()
        self.on_change()
        said.extend(filter(None, (self.paused, self.remote_trouble)))
        well = "Sync goes on." if stood_still else "Nothing stands still."
        return Resumed("\n".join(said) or well, self.paused is not None)

    async def push(self) -> Push:
        """Bring the branch to the remote, joining what others pushed meanwhile; no-op if it is there.

        Trouble never raises: the state becomes `stranded`, with the reason.
        """
        if self._upstream and await self.is_there():
            await self._upstream.push()
            await self._note_head()
        return self.push_state

    def _open(self) -> None:
        self._state.mkdir(parents=True, exist_ok=True, mode=0o700)
        own_git = self.folder is not None and (self.folder / ".git").exists()
        folder = None
        git_dir = self.folder / ".git" if self.folder is not None and own_git else self._state / BARE_NAME
        damage = repair.prepare(git_dir, self._branch_name)
        if self.folder is not None and own_git:
            self.repository = Repository.in_folder(self.folder, self._branch_name, self.effort)
        else:
            self.repository = Repository.bare(git_dir, self._branch_name, self.effort)
        handle, fetch = self.repository.handle, self._access.fetch_again if self._access else None
        repair.heal(handle, self.repository.branch, damage, folder=self.folder, fetch=fetch)
        self._standing.remark("damage", " ".join(damage.sentences) or None)
        if self.folder is not None:
            folder = Folder(
                self.folder,
                self.repository,
                self.settling,
                own_git=own_git,
                effort=self.effort,
                largest_file=self.largest_file,
            )
        self._follow_default = self._branch_name is None and not own_git
        self.repository.before_move = partial(self.trust.note, self.repository)
        self._branch = Branch(
            self.repository,
            clock=self._clock,
            engine=self._engine,
            human=self._human,
            folder=folder,
            state=self._state,
            class_of=Authors(self.repository, self._state).class_of,
            trust=self.trust,
        )
        self._survey = Survey(self._branch, self._standing)
        # Before anybody else reads or writes here. What is locked just now is put right by the next look.
        self.repository.unlock(alone=not own_git)
        with suppress(VaultloopError):
            self._branch.recover()

    async def _open_upstream(self, access: Access) -> Upstream:
        remote = await self._net.run(access.remote, self.repository.path)
        upstream = Upstream(
            remote,
            self._branch,
            self._standing,
            git=self._git,
            net=self._net,
            clock=self._clock,
            follow_default=self._follow_default,
            trust=self.trust,
        )
        upstream.on_heads, upstream.may_push = self._heard, self._pushes
        await upstream.recall()
        return upstream

    # Whoever sets these does so after the vault was opened.

    def _changed(self) -> None:
        self.on_change()

    def _heard(self, references: Mapping[str, str]) -> None:
        self.on_heads(references)

    def _pushes(self) -> bool:
        return self.may_push()

    async def _take_edits(self, named: Collection[str] | None) -> LockedError | None:
        try:
            await self.git(self._branch.take_edits, named)
        except LockedError as error:
            return error
        except VaultloopError as error:
            self._standing.pause(CAUSE, str(error))
        else:
            self._standing.resume(CAUSE)
        return None

    async def is_there(self) -> bool:
        """False while the folder, which may hold the repository, is out of reach."""
        return self.folder is None or await self.git(lambda: self._branch.is_there)

    async def _note_head(self) -> str | None:
        """The branch's commit; brings the push state up to date with it."""
        upstream = self._upstream
        head = await self.git(self._survey.taken, self.at_remote, has_remote=upstream is not None)
        if upstream and head:
            self._standing.compare(has_all=not self._standing.ahead)
        return head
