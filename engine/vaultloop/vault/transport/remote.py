"""The remote repository: which heads it has, what is fetched from it, what is pushed to it."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pygit2

from vaultloop.model.errors import Retry
from vaultloop.vault.git.effort import Effort
from vaultloop.vault.git.lock import Content, Word, lock_of
from vaultloop.vault.transport.callbacks import Callbacks, Credentials, RefusedError
from vaultloop.vault.transport.remote_address import Address, scrubbed

__all__ = [
    "CONNECT_TIMEOUT",
    "SERVER_TIMEOUT",
    "Address",
    "Credentials",
    "Heads",
    "RefusedError",
    "Remote",
    "scrubbed",
]

# Seconds until a host that does not answer is given up, when connecting and when waiting for data.
CONNECT_TIMEOUT = 10.0
SERVER_TIMEOUT = 30.0

# Word of what is under way, in the state directory.
PUSH_NAME = "push-under-way.json"
FETCH_NAME = "fetch-under-way.json"


@dataclass(frozen=True, slots=True)
class Heads:
    """What a remote has.

    Attributes:
        branches: commit of each branch.
        default: the branch that its HEAD names, if any.
        references: everything that it tells, by full name, such as `refs/vaultloop/lease`.
    """

    branches: Mapping[str, str]
    default: str | None
    references: Mapping[str, str] = field(default_factory=dict)


class Remote:
    """One remote of one repository; to be used from one thread at a time, through a handle of its own."""

    def __init__(
        self,
        git_dir: Path,
        url: str,
        credentials: Credentials | None = None,
        *,
        known_hosts: Path | None = None,
        state: Path | None = None,
        timeout: float = SERVER_TIMEOUT,
        connect_timeout: float = CONNECT_TIMEOUT,
        effort: Effort | None = None,
    ) -> None:
        """Connects to nothing yet.

        Args:
            known_hosts: file of the ssh host keys to trust; `~/.ssh/known_hosts` if not given. One for the
                whole process, as are the time-outs (seconds).
            state: directory that may hold a link to `known_hosts`, needed if that is given, and word of a
                fetch, or of a push to a local path: without it a kill can lock them out for ever.
        """
        self.address = Address.parse(url)
        self._given = credentials or Credentials()
        self._handle = pygit2.Repository(str(git_dir))
        self._effort = effort or Effort()
        self._words = state
        self._is_over = threading.Event()
        self.known_hosts = known_hosts or Path.home() / ".ssh" / "known_hosts"
        pygit2.settings.server_timeout = int(timeout * 1000)
        pygit2.settings.server_connect_timeout = int(connect_timeout * 1000)
        home = Path.home()
        if known_hosts is not None:
            assert state is not None
            home = _home_with(known_hosts, state)
        pygit2.settings.homedir = str(home)

    @property
    def url(self) -> str:
        """Where it is, fit for messages: without secrets."""
        return self.address.url

    def heads(self) -> Heads:
        """Ask the remote for its branches.

        Raises:
            Retry: it could not be reached or does not answer as git does.
            Stalled: its host key, its certificate or our credentials are refused.
        """
        self._effort.polls += 1
        with self._talking("asked for its branches") as (remote, callbacks):
            listed = remote.list_heads(callbacks=callbacks, proxy=self._proxy)
        prefix = "refs/heads/"
        branches = {
            head.name.removeprefix(prefix): str(head.oid)
            for head in listed
            if head.name and head.name.startswith(prefix)
        }
        symbolic = next((head.symref_target for head in listed if head.name == "HEAD"), None)
        references = {head.name: str(head.oid) for head in listed if head.name}
        return Heads(branches, symbolic.removeprefix(prefix) if symbolic else None, references)

    def fetch(self, reference: str, into: str) -> None:
        """Bring `reference` (its full name) here, as `into`, wherever that pointed. Raises as `heads`."""
        with self._word_of_fetch(into), self._talking("fetched from") as (remote, callbacks):
            remote.fetch([f"+{reference}:{into}"], callbacks=callbacks, proxy=self._proxy)

    def push(self, commit: str, reference: str, *, over: str | None = None) -> None:
        """Set the remote's `reference` from `over` (None: it has none) to `commit`. Raises as `heads`.

        Raises:
            RefusedError: it is not at `over`, or the remote answered no for this reference.
        """
        with self._word_of_push(commit, reference), self._talking("pushed to") as (remote, callbacks):
            callbacks.over = over
            remote.push([f"{commit}:{reference}"], callbacks=callbacks, proxy=self._proxy)
        if callbacks.refusals:
            said = f". It says: {callbacks.said}" if callbacks.said else ""
            raise RefusedError(self._without_secrets("; ".join(callbacks.refusals) + said))

    def give_up(self) -> None:
        """From any thread: end a transfer that is under way at its next sign of life."""
        self._is_over.set()

    def _word_of_push(self, commit: str, reference: str) -> AbstractContextManager[None]:
        git_dir = self.address.git_dir
        if self._words is None or git_dir is None:
            return nullcontext()
        lock = lock_of(git_dir, reference)
        return Word(self._words / PUSH_NAME).left({lock: f"{commit}\n"})

    def _word_of_fetch(self, into: str) -> AbstractContextManager[None]:
        if self._words is None:
            return nullcontext()
        git_dir = Path(self._handle.path)
        contents: dict[str, Content] = {into: None, "FETCH_HEAD": None, "shallow": ""}
        locks = {lock_of(git_dir, name): content for name, content in contents.items()}
        return Word(self._words / FETCH_NAME).left(locks)

    def _without_secrets(self, reason: str) -> str:
        for secret in (self._given.password, self._given.passphrase, self.address.password):
            reason = reason.replace(secret, "***") if secret else reason
        return scrubbed(reason).strip("'\". ")

    def _no_repository(self) -> str | None:
        """Why a path on this machine does not work, where libgit2 only speaks of a protocol it lacks."""
        git_dir = self.address.git_dir
        if git_dir is None or (git_dir / "HEAD").is_file():
            return None
        return (
            "there is no git repository. Make one (git init --bare), or set the remote to the place of yours"
        )

    @property
    def _proxy(self) -> Literal[True] | None:
        # As git does: by configuration and environment, for http only.
        return True if self.address.url.startswith("http") else None

    @contextmanager
    def _talking(self, doing: str) -> "Iterator[tuple[pygit2.Remote, Callbacks]]":
        callbacks = Callbacks(self.address, self._given, self.known_hosts, self._is_over)
        try:
            yield self._handle.remotes.create_anonymous(self.address.url), callbacks
        except (pygit2.GitError, OSError, KeyError, ValueError) as error:
            reason = self._no_repository() or self._without_secrets(str(error))
            raise Retry(f"{self.url} could not be {doing}: {reason}.") from error


def _home_with(known_hosts: Path, state: Path) -> Path:
    # libgit2 reads `.ssh/known_hosts` in the home directory and no other: give it a home that has just that.
    home = state / "ssh-home"
    link = home / ".ssh" / "known_hosts"
    link.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = link.with_name("known_hosts.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(known_hosts.absolute())
    fresh.replace(link)
    return home
