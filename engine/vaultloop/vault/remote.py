"""The remote repository: which heads it has, what is fetched from it, what is pushed to it.

Every operation goes through one class of callbacks, so that host keys, certificates and credentials are
handled the same way everywhere. libgit2's own default would accept any ssh host key and wait for ever.
"""

import os
import re
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit, urlunsplit

import pygit2
from pygit2.enums import CredentialType
from pygit2.remotes import PushUpdate

from vaultloop.model.errors import Retry, Stalled
from vaultloop.vault.effort import Effort
from vaultloop.vault.lock import Content, Word, lock_of

# Seconds until a host that does not answer is given up, when connecting and when waiting for data.
CONNECT_TIMEOUT = 10.0
SERVER_TIMEOUT = 30.0

# Seconds until a transfer that never falls silent, and never ends either, is given up.
TRANSFER_TIMEOUT = 600.0

# Forges take a token as the password of any user name.
TOKEN_USER = "git"  # noqa: S105 - a user name

# What stands for a branch that is not there.
NO_COMMIT = "0" * 40

# Word of what is under way, in the state directory.
PUSH_NAME = "push-under-way.json"
FETCH_NAME = "fetch-under-way.json"

_CREDENTIALS_IN_URL = re.compile(r"(?<=://)[^/@\s]+@")
_SCP_LIKE = re.compile(r"(?:(?P<user>[^@/\s]+)@)?(?P<host>\[[^\]]+\]|[^:/\s]+):(?P<path>(?!//).+)\Z")


def scrubbed(text: str) -> str:
    """`text` without user names and passwords in its URLs."""
    return _CREDENTIALS_IN_URL.sub("", text)


class RefusedError(Exception):
    """The remote would not take a reference; the text is its reason."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the engine shows to the remote.

    Attributes:
        username, password: for http and https; a token goes into `password`. Also the ssh user name.
        ssh_key: private key file; without one the ssh agent is asked.
        passphrase: of the key file.
    """

    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ssh_key: Path | None = None
    passphrase: str | None = field(default=None, repr=False)


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


@dataclass(frozen=True, slots=True)
class Address:
    """A remote's URL, apart from the secrets that were written into it."""

    url: str
    host: str | None
    port: int | None
    ssh: bool
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> "Address":
        """Read https, http, ssh and file URLs, `user@host:path`, and local paths."""
        if "://" not in url:
            scp = _SCP_LIKE.match(url)
            if scp is None or Path(url).exists():
                return cls(url, None, None, ssh=False)
            return cls(url, scp["host"].strip("[]"), None, ssh=True, username=scp["user"])
        parts = urlsplit(url)
        ssh = parts.scheme in ("ssh", "git+ssh", "ssh+git")
        host = parts.netloc.rpartition("@")[2]
        user = unquote(parts.username) if parts.username else None
        # A user name is part of an ssh address; in an http one it is half of a secret.
        netloc = f"{parts.username}@{host}" if ssh and user else host
        clean = urlunsplit((parts.scheme, netloc, parts.path, parts.query, ""))
        password = unquote(parts.password) if parts.password else None
        return cls(clean, parts.hostname, parts.port, ssh, user, password)

    @property
    def git_dir(self) -> Path | None:
        """The repository's own directory, where it is on this machine."""
        scheme, _, path = self.url.rpartition("://")
        if self.ssh or scheme not in ("", "file"):
            return None
        place = Path(unquote(path) if scheme else path)
        return place if (place / "HEAD").is_file() else place / ".git"

    @property
    def known_as(self) -> str:
        """How a known_hosts file names the host."""
        return f"[{self.host}]:{self.port}" if self.port not in (None, 22) else str(self.host)


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
            raise RefusedError(scrubbed("; ".join(callbacks.refusals)))

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


class Callbacks(pygit2.RemoteCallbacks):
    """What libgit2 asks while it talks to a remote; a new one for each operation.

    Attributes:
        refusals: references that the remote did not take, with its reasons.
        over: the commit that a push may replace; None for a branch that must not be there.
    """

    def __init__(
        self, address: Address, given: Credentials, known_hosts: Path, is_over: threading.Event
    ) -> None:
        """Once `is_over` is set, no transfer goes on."""
        super().__init__()
        self._address = address
        self._given = given
        self._known_hosts = known_hosts
        self._shown = False
        self._is_over = is_over
        self._until = time.monotonic() + TRANSFER_TIMEOUT
        self.refusals: list[str] = []
        self.over: str | None = None

    def certificate_check(self, certificate: None, valid: bool, host: bytes) -> bool:
        """Accept what the ssh or TLS library found valid, and nothing else."""
        if not valid:
            raise self._stranger() if self._address.ssh else self._bad_certificate(host.decode())
        return True

    def credentials(
        self, url: str, username_from_url: str | None, allowed_types: CredentialType
    ) -> pygit2.Username | pygit2.UserPass | pygit2.Keypair:
        """Show what was given, once, and only to the host that it was given for."""
        user = username_from_url or self._given.username or self._address.username or TOKEN_USER
        if Address.parse(url).host != self._address.host:
            raise Stalled(
                f"{self._address.url} sends us on to another host, which gets no credentials.",
                cure="Set the remote to the address it really has.",
            )
        if allowed_types & CredentialType.USERNAME:
            return pygit2.Username(user)
        if self._shown:
            raise self._refused()
        self._shown = True
        if allowed_types & CredentialType.SSH_KEY:
            return self._ssh(user)
        password = self._given.password or self._address.password
        if password is None or not allowed_types & CredentialType.USERPASS_PLAINTEXT:
            raise self._refused()
        return pygit2.UserPass(self._given.username or self._address.username or TOKEN_USER, password)

    def transfer_progress(self, stats: object) -> None:
        """Called again and again while something is fetched."""
        self._go_on()

    def push_transfer_progress(self, objects_pushed: int, total_objects: int, bytes_pushed: int) -> None:
        """Called again and again while something is pushed."""
        self._go_on()

    def sideband_progress(self, string: str) -> None:
        """Called with what the remote says of its progress."""
        self._go_on()

    def push_negotiation(self, updates: "list[PushUpdate]") -> None:
        """Called with what the remote has, before anything is sent to it."""
        for update in updates:
            there = None if str(update.src) == NO_COMMIT else str(update.src)
            if there != self.over:
                raise RefusedError(
                    f"its branch is at {there or 'no commit'}, not at {self.over or 'none'} any more"
                )

    def _go_on(self) -> None:
        if self._is_over.is_set() or time.monotonic() > self._until:
            raise Retry(f"The transfer from or to {self._address.url} did not end and was given up.")

    def push_update_reference(self, refname: str, message: str | None) -> None:
        """Called once for each reference of a push; None is a yes."""
        if message is not None:
            self.refusals.append(f"{refname}: {message}")

    def _ssh(self, user: str) -> pygit2.Keypair:
        key = self._given.ssh_key
        if key is None:
            if "SSH_AUTH_SOCK" not in os.environ:
                raise Stalled(
                    f"{self._address.url} wants an ssh key; there is neither a key file nor an ssh agent.",
                    cure="Set the ssh key file, or start the engine where SSH_AUTH_SOCK is set.",
                )
            return pygit2.KeypairFromAgent(user)
        if not key.is_file():
            raise Stalled(f"The ssh key file {key} is not there.", cure="Correct the ssh key setting.")
        public = key.with_name(key.name + ".pub")
        return pygit2.Keypair(
            user, str(public) if public.is_file() else None, str(key), self._given.passphrase or ""
        )

    def _refused(self) -> Stalled:
        shown = "the credentials it was shown" if self._shown else "access without credentials"
        return Stalled(
            f"{self._address.url} refuses {shown}.",
            cure="Check the token or ssh key that is set for the remote, and what it may do there.",
        )

    def _bad_certificate(self, host: str) -> Stalled:
        return Stalled(
            f"The TLS certificate of {host} is not valid; nothing was sent.",
            cure="Mend the certificate, or set SSL_CERT_FILE to the authority that signed it.",
        )

    def _stranger(self) -> Stalled:
        name, file = self._address.known_as, self._known_hosts
        scan = f"ssh-keyscan {f'-p {self._address.port} ' if self._address.port else ''}{self._address.host}"
        if _knows(file, name):
            return Stalled(
                f"The ssh host key of {name} is not the one in {file}: somebody may be posing as that host.",
                cure=f"If its operator changed the key: remove the old one (ssh-keygen -R '{name}' -f {file})"
                f" and add the new one after comparing its fingerprint ({scan} >> {file}).",
            )
        return Stalled(
            f"The ssh host key of {name} is unknown: {file} has no line for it.",
            cure="Add it after comparing its fingerprint with the one that its operator publishes:"
            f" {scan} >> {file}.",
        )


def _knows(file: Path, name: str) -> bool:
    # ssh-keygen also finds hashed names.
    found = subprocess.run(["ssh-keygen", "-F", name, "-f", file], capture_output=True, check=False)
    return found.returncode == 0 and bool(found.stdout)


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
