"""Whose signatures count: ssh's `allowed_signers`, asked of `ssh-keygen`, which knows every option in it.

A line may name several principals, namespaces, a time from which and until which a key counts, or an
authority whose certificates count. None of that is read here.
"""

import base64
import binascii
import hashlib
import os
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from vaultloop.model.errors import Stalled
from vaultloop.vault.git.signing import NAMESPACE

_BEGIN, _END = b"-----BEGIN SSH SIGNATURE-----", b"-----END SSH SIGNATURE-----"
_MAGIC = b"SSHSIG"
# Seconds; it reads two small files. A file on a dead network disk must not stop the engine for ever.
_PATIENCE = 20.0


@dataclass(frozen=True, slots=True)
class SshSignature:
    """What a signature says of itself; whether it is true only `ssh-keygen` can tell.

    Attributes:
        key: the public key as `ssh-ed25519 AAAA...`; of a certificate, the certificate.
        namespace: what it was made for; `git` for commits.
    """

    key: str
    namespace: str

    @property
    def fingerprint(self) -> str:
        """The key as `ssh-keygen -l` names it."""
        digest = hashlib.sha256(base64.b64decode(self.key.split()[1])).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    @classmethod
    def read(cls, armoured: bytes) -> "SshSignature | None":
        """The signature in its armour; None if it is none of ssh's (PROTOCOL.sshsig)."""
        text = armoured.strip()
        if not (text.startswith(_BEGIN) and text.endswith(_END)):
            return None
        try:
            data = base64.b64decode(text.removeprefix(_BEGIN).removesuffix(_END))
            if not data.startswith(_MAGIC):
                return None
            key, rest = _string(data[len(_MAGIC) + 4 :])
            namespace, _ = _string(rest)
            kind, _ = _string(key)
            return cls(f"{kind.decode()} {base64.b64encode(key).decode()}", namespace.decode())
        except (binascii.Error, struct.error, UnicodeDecodeError):
            return None


class AllowedSigners:
    """A file in the form of ssh's `allowed_signers`, read anew for each signature."""

    def __init__(self, file: Path) -> None:
        self.file = file

    @property
    def stamp(self) -> str:
        """Names the file's content: what was found once holds for as long as this stays.

        Raises:
            Stalled: the file cannot be read.
        """
        try:
            return hashlib.sha256(self.file.read_bytes()).hexdigest()
        except OSError as error:
            raise Stalled(
                f"allowed-signers: {self.file} cannot be read ({error.strerror}), so nobody's commits count.",
                cure="Put the file there, with a line such as: ada@example.org ssh-ed25519 AAAA...",
            ) from error

    def signer(self, signature: bytes, payload: bytes, at: datetime) -> str | None:
        """Who signed `payload` for git, by the name in the file, if that key counted `at` that time.

        Raises:
            Stalled: `ssh-keygen` cannot be asked.
        """
        with tempfile.TemporaryDirectory() as folder:
            signed = Path(folder, "signature")
            signed.write_bytes(signature)
            shared = (
                "-f",
                str(self.file),
                "-s",
                str(signed),
                f"-Overify-time={at.astimezone(UTC):%Y%m%d%H%M%S}",
            )
            found = _asked("find-principals", *shared)
            for name in filter(None, found.stdout.decode(errors="replace").splitlines()):
                verified = _asked("verify", "-n", NAMESPACE, "-I", name, *shared, payload=payload)
                if verified.returncode == 0:
                    return name
        return None


def _asked(question: str, *arguments: str, payload: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    # ssh-keygen takes the time as that of its zone.
    environment = {**os.environ, "TZ": "UTC", "LC_ALL": "C"}
    command: Sequence[str] = ("ssh-keygen", "-Y", question, *arguments)
    try:
        return subprocess.run(
            command, input=payload, capture_output=True, check=False, env=environment, timeout=_PATIENCE,
            start_new_session=True,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise Stalled("ssh-keygen is not installed.", cure="Install OpenSSH's client tools.") from error
    except subprocess.TimeoutExpired as error:
        raise Stalled(
            f"ssh-keygen did not answer within {_PATIENCE:.0f} seconds.",
            cure="Look whether the file of allowed signers lies on a disk that answers.",
        ) from error


def _string(data: bytes) -> tuple[bytes, bytes]:
    """The first string of ssh's wire form, and what follows it."""
    (length,) = struct.unpack(">I", data[:4])
    if len(data) < 4 + length:
        raise struct.error("cut off")
    return data[4 : 4 + length], data[4 + length :]
