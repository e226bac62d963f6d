"""The vault kept equal on three sides: branch, watched folder and remote.

Two threads do the work: one owns the repository, one talks to the network through a handle of its own, so
that a slow remote never holds up a session's commit. Trouble with the remote is a state, not an exception:
the engine goes on with what it has, and everybody can see since when.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import ParamSpec, Self, TypeVar

from vaultloop.aio.clock import Clock
from vaultloop.aio.worker import Worker
from vaultloop.model.errors import VaultloopError
from vaultloop.model.status import Push
from vaultloop.vault.branch import Branch, Integrated
from vaultloop.vault.effort import Effort
from vaultloop.vault.folder import Folder
from vaultloop.vault.index import LockedError
from vaultloop.vault.remote import CONNECT_TIMEOUT, SERVER_TIMEOUT, Credentials, Remote
from vaultloop.vault.repository import Identity, Repository
from vaultloop.vault.settling import PROMPT, QUIET, SETTLE, Settling
from vaultloop.vault.standing import Standing
from vaultloop.vault.upstream import Upstream

__all__ = ["BARE_NAME", "ENGINE", "HUMAN", "Integrated", "Sync"]

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

ENGINE = Identity("Vaultloop", "vaultloop@localhost")
HUMAN = Identity("Vault owner", "owner@localhost")

# The repository in the state directory, where the folder has none of its own.
BARE_NAME = "vault.git"

# The word for what makes sync stand still here.
CAUSE = "folder"


class Sync:
    """Entering it opens the vault, leaving it finishes what is under way.

    Attributes:
        repository: to be used through `git` only.
        settling: which edits in the folder wait; a watcher feeds it.
        folder: the watched folder, if there is one.
    """

    repository: Repository

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
    ) -> None:
        """At least one of `remote` (a URL or path) and `folder` is where the vault is.

        Args:
            state: the engine's directory; holds the repository unless the folder has its own.
            branch: without it, the remote's default or what the folder has checked out.
            known_hosts, timeout, connect_timeout: as for `Remote`.
            engine: author of joins; `human`: author of edits in a folder whose git knows no name.
            settle, quiet, prompt: as for `Settling`.
        """
        self.effort = effort or Effort()
        self.settling = Settling(clock, settle, quiet, prompt)
        self.folder = folder.absolute() if folder else None
        self._state, self._clock = state, clock
        self._branch_name, self._engine, self._human = branch, engine, human
        self._url, self._credentials, self._known_hosts = remote, credentials, known_hosts
        self._timeouts = (timeout, connect_timeout)
        self._git, self._net = Worker("git"), Worker("network")
        self._one_look = asyncio.Lock()
        self._standing = Standing(clock)
        self._upstream: Upstream | None = None
        self._head: str | None = None

    async def __aenter__(self) -> Self:
        """Open the vault and put right what a crash left.

        Raises:
            Stalled: the repository cannot be opened, or has another branch checked out.
        """
        try:
            await self.git(self._open)
            if self._url is not None:
                self._upstream = await self._open_upstream(self._url)
            await self._note_head()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._net.__aexit__()
        await self._git.__aexit__()

    async def git(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of `work`, run in the thread that owns the repository."""
        return await self._git.run(work, *args, **kwargs)

    @property
    def paused(self) -> str | None:
        """Why sync stands still, with the cure, in sentences for people; None while it does not."""
        return self._standing.paused

    @property
    def remote_trouble(self) -> str | None:
        """Why the remote cannot be talked to, in a sentence; None while it can, or when there is none."""
        return self._standing.trouble

    @property
    def remote_trouble_since(self) -> datetime | None:
        return self._standing.trouble_since

    @property
    def push_state(self) -> Push:
        """Where the newest commit is."""
        return self._standing.push

    async def look(self, named: Collection[str] | None = None, *, poll: bool = True) -> str | None:
        """Take what the folder and the remote have; returns the branch's commit, None while there is none.

        Args:
            named: the files in the folder that may have changed; None for a walk through all of them.
            poll: ask the remote, too.
        """
        async with self._one_look:
            if self.folder:
                await self._take_edits(named)
            if self._upstream and poll and await self._is_there():
                await self._upstream.take()
            return await self._note_head()

    async def integrate(self, commit: str, message: str = "Join two lines of work\n") -> Integrated:
        """Bring a session's commit onto the branch; doing it again, after a crash say, changes nothing.

        In folder mode its files are written, too; human edits of the same files are committed before.

        Raises:
            Retry: git is at work in the folder.
            Paused: the folder is gone.
        """
        done = await self.git(self._branch.integrate, commit, message)
        await self._note_head()
        return done

    async def push(self) -> Push:
        """Bring the branch to the remote, joining what others pushed meanwhile; no-op if it is there.

        Trouble never raises: the state becomes `stranded`, with the reason.
        """
        async with self._one_look:
            if self._upstream and await self._is_there():
                await self._upstream.push()
                await self._note_head()
            return self.push_state

    def _open(self) -> None:
        self._state.mkdir(parents=True, exist_ok=True, mode=0o700)
        own_git = self.folder is not None and (self.folder / ".git").exists()
        folder = None
        if self.folder is not None and own_git:
            self.repository = Repository.in_folder(self.folder, self._branch_name, self.effort)
        else:
            self.repository = Repository.bare(self._state / BARE_NAME, self._branch_name, self.effort)
        if self.folder is not None:
            folder = Folder(self.folder, self.repository, self.settling, own_git=own_git, effort=self.effort)
        self._follow_default = self._branch_name is None and not own_git
        self._branch = Branch(
            self.repository,
            clock=self._clock,
            engine=self._engine,
            human=self._human,
            folder=folder,
            state=self._state,
        )
        self._branch.recover()

    async def _open_upstream(self, url: str) -> Upstream:
        timeout, connect_timeout = self._timeouts
        remote = await self._net.run(
            Remote,
            self.repository.path,
            url,
            self._credentials,
            known_hosts=self._known_hosts,
            state=self._state,
            timeout=timeout,
            connect_timeout=connect_timeout,
            effort=self.effort,
        )
        upstream = Upstream(
            remote,
            self._branch,
            self._standing,
            git=self._git,
            net=self._net,
            clock=self._clock,
            follow_default=self._follow_default,
        )
        await upstream.recall()
        return upstream

    async def _take_edits(self, named: Collection[str] | None) -> None:
        try:
            await self.git(self._branch.take_edits, named)
        except LockedError as error:
            # A git command takes moments; the names are remembered for the next look.
            log.debug("%s", error)
        except VaultloopError as error:
            self._standing.pause(CAUSE, str(error))
        else:
            self._standing.resume(CAUSE)

    async def _is_there(self) -> bool:
        return await self.git(lambda: self._branch.is_there)

    async def _note_head(self) -> str | None:
        """The branch's commit; brings the push state up to date with it."""
        if not await self._is_there():
            # An unmounted folder takes its git along; that is no empty vault.
            return self._head
        self._head = head = await self.git(lambda: self.repository.head)
        if self._upstream and head:
            self._standing.compare(head, self._upstream.seen)
        return head
