"""Who made a commit: the engine signs what it commits for a session, and only that signature tells.

The key is the engine's own, made once in the state directory. It means *agent* for ever, also in another
clone; what a commit says about its author means nothing.
"""

import subprocess
import tempfile
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

from vaultloop.model.errors import Stalled
from vaultloop.vault.git.repository import Repository

KEY_NAME = "engine_key"
# OpenSSH's word for what a signature is good for; git looks for this one.
NAMESPACE = "git"
# Under this name the engine's key stands in its own list of allowed signers.
PRINCIPAL = "vaultloop"


class AuthorClass(StrEnum):
    """Decided by how a change arrived, never by what it says."""

    HUMAN = "human"
    AGENT = "agent"


class Signer:
    """The engine's key."""

    def __init__(self, key: Path) -> None:
        self._key = key
        self.public_key = " ".join(key.with_suffix(".pub").read_text().split()[:2])

    @classmethod
    def make(cls, state: Path) -> "Signer":
        """The key in `state`, made if it is not there yet."""
        key = state / KEY_NAME
        if not (key.exists() and key.with_suffix(".pub").exists()):
            with tempfile.TemporaryDirectory(dir=state) as folder:
                fresh = Path(folder) / KEY_NAME
                _keygen("-q", "-t", "ed25519", "-N", "", "-C", "vaultloop engine", "-f", str(fresh))
                fresh.chmod(0o600)
                # The private half last: with it in place the pair is whole.
                fresh.with_suffix(".pub").replace(key.with_suffix(".pub"))
                fresh.replace(key)
        return cls(key)

    @classmethod
    def load(cls, state: Path) -> "Signer":
        """The key in `state`.

        Raises:
            Stalled: there is none.
        """
        key = state / KEY_NAME
        if not (key.exists() and key.with_suffix(".pub").exists()):
            raise Stalled(f"The engine's signing key {key} is missing.", cure="Run `vaultloop init`.")
        return cls(key)

    @property
    def allowed_signers(self) -> str:
        """The line for git's `gpg.ssh.allowedSignersFile` that makes the engine's commits verify."""
        return _allowed(self.public_key)

    def sign(self, payload: bytes) -> str:
        """An armoured SSH signature of `payload`."""
        signed = _keygen("-Y", "sign", "-q", "-n", NAMESPACE, "-f", str(self._key), data=payload)
        return signed.stdout.decode()

    def made(self, signature: bytes, payload: bytes) -> bool:
        """Whether `signature` is this key's, of exactly `payload`."""
        return made_by([self.public_key], signature, payload)


def made_by(keys: Iterable[str], signature: bytes, payload: bytes) -> bool:
    """Whether `signature` is one of these public keys', of exactly `payload`."""
    with tempfile.TemporaryDirectory() as folder:
        signers, signed = Path(folder, "signers"), Path(folder, "signature")
        signers.write_text("".join(map(_allowed, keys)))
        signed.write_bytes(signature)
        # fmt: off
        answer = subprocess.run(
            ["ssh-keygen", "-Y", "verify", "-q", "-n", NAMESPACE, "-I", PRINCIPAL,
             "-f", signers, "-s", signed],
            input=payload, capture_output=True, check=False,
        )
        # fmt: on
    return answer.returncode == 0


def author_class(repository: Repository, commit: str, signer: Signer) -> AuthorClass | None:
    """Agent if and only if the engine's own key signed it; None for a merge, whose parents have one."""
    if len(repository.read_commit(commit).parents) > 1:
        return None
    signed = repository.signature(commit)
    return AuthorClass.AGENT if signed and signer.made(*signed) else AuthorClass.HUMAN


def _allowed(public_key: str) -> str:
    return f'{PRINCIPAL} namespaces="{NAMESPACE}" {public_key}\n'


def _keygen(*arguments: str, data: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    try:
        # In a session of its own: the ctrl-C that stops the engine must not fail a commit half-way.
        done = subprocess.run(
            ["ssh-keygen", *arguments], input=data, capture_output=True, check=False, start_new_session=True
        )
    except FileNotFoundError as error:
        raise Stalled("ssh-keygen is not installed.", cure="Install OpenSSH's client tools.") from error
    if done.returncode:
        raise Stalled(
            f"ssh-keygen could not do its work: {done.stderr.decode(errors='replace').strip()}.",
            cure="Check the engine's key in the state directory, or make a new one with `vaultloop init`.",
        )
    return done
