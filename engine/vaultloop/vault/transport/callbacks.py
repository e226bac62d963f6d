"""What libgit2 asks while it talks to a remote: host keys, certificates, credentials, and whether to go on.

One class answers for every operation, so that these are handled the same way everywhere. libgit2's own
default would accept any ssh host key and wait for ever.
"""

import os
import re
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pygit2
from pygit2.enums import CredentialType
from pygit2.remotes import PushUpdate

from vaultloop.model.errors import Retry, Stalled
from vaultloop.model.visible import visible
from vaultloop.vault.transport.remote_address import Address

# Seconds until a transfer that never falls silent, and never ends either, is given up.
TRANSFER_TIMEOUT = 600.0

# Forges take a token as the password of any user name.
TOKEN_USER = "git"  # noqa: S105 - a user name

# So much of what a remote says is kept (characters): the end, where the reason is.
MOST_SAID = 4000
_PROGRESS = re.compile(r"\d+% \(\d+/\d+\)")

# What stands for a branch that is not there.
NO_COMMIT = "0" * 40


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
        self._said = ""
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
        """Called with what the remote says meanwhile: its progress, and what its hooks write."""
        self._go_on()
        self._said = (self._said + string)[-MOST_SAID:]

    @property
    def said(self) -> str:
        """What the remote's hooks wrote, on one line; its progress left out."""
        lines = (line.strip() for line in self._said.splitlines())
        return visible(" ".join(line for line in lines if line and not _PROGRESS.search(line)))

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
