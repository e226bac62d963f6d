"""People with ssh keys of their own, who sign their commits with the real git."""

import subprocess
from pathlib import Path

from support.vault_clone import VaultClone
from vaultloop.vault.git.repository import Repository
from vaultloop.vault.git.signing import NAMESPACE


class SshKey:
    """A key pair without a passphrase."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        keygen("-q", "-t", "ed25519", "-N", "", "-C", path.name, "-f", str(path))

    @property
    def public(self) -> str:
        return " ".join(self.path.with_suffix(".pub").read_text().split()[:2])

    def line(self, options: str = f'namespaces="{NAMESPACE}"', name: str = "ada@example.org") -> str:
        """A line of `allowed_signers` for this key."""
        return " ".join(filter(None, (name, options, self.public))) + "\n"

    def certified_by(self, authority: "SshKey", name: str) -> Path:
        """The key's certificate."""
        public = self.path.with_suffix(".pub")
        keygen("-q", "-s", str(authority.path), "-I", "test", "-n", name, str(public))
        return self.path.with_name(f"{self.path.name}-cert.pub")


class Seal:
    """Signs commits that the test writes itself, in a namespace of its choice."""

    def __init__(self, key: SshKey, namespace: str = NAMESPACE) -> None:
        self._key, self._namespace = key, namespace

    def sign(self, payload: bytes) -> str:
        done = subprocess.run(
            ["ssh-keygen", "-Y", "sign", "-q", "-n", self._namespace, "-f", str(self._key.path)],
            input=payload,
            capture_output=True,
            check=True,
        )
        return done.stdout.decode()


def signs_with(clone: VaultClone, key: SshKey | Path | None) -> None:
    """From now on git signs what is committed in `clone`; with None no more."""
    path = key.path if isinstance(key, SshKey) else key
    clone.git("config", "gpg.format", "ssh")
    clone.git("config", "commit.gpgsign", "true" if path else "false")
    if path:
        clone.git("config", "user.signingkey", str(path))


def repository_of(clone: VaultClone) -> Repository:
    """The clone's repository, as the engine opens a folder's."""
    return Repository.in_folder(clone.path)


def keygen(*arguments: str) -> None:
    subprocess.run(["ssh-keygen", *arguments], check=True, capture_output=True)
