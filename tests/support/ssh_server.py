"""A real sshd on loopback that lets one key in, so that git over ssh is tested against what people run."""

import getpass
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import socket

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@dataclass(frozen=True, slots=True)
class SshServer:
    """A running server.

    Attributes:
        key: private key file that is let in.
        known_hosts: file with the server's host key.
    """

    port: int
    user: str
    key: Path
    known_hosts: Path

    def url(self, repository: Path) -> str:
        return f"ssh://{self.user}@127.0.0.1:{self.port}{repository}"

    @property
    def git_environment(self) -> dict[str, str]:
        """What makes the git command use this key and these host keys."""
        return {
            "GIT_SSH_COMMAND": f"ssh -i {self.key} -o UserKnownHostsFile={self.known_hosts}"
            " -o IdentitiesOnly=yes -o StrictHostKeyChecking=yes -F none"
        }


def ssh_key(path: Path) -> Path:
    """Make a key pair without a passphrase."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


def known_host(port: int, public_key: Path) -> str:
    """The known_hosts line that makes `public_key` the host key of loopback at `port`."""
    return f"[127.0.0.1]:{port} {' '.join(public_key.read_text().split()[:2])}\n"


@contextmanager
def ssh_server(folder: Path) -> Iterator[SshServer]:
    """Run sshd with fresh keys in `folder` for as long as the block lasts."""
    if SSHD is None:
        raise AssertionError("sshd is not installed: git over ssh cannot be tested. Install openssh-server.")
    folder.mkdir(parents=True, exist_ok=True)
    host_key, user_key = ssh_key(folder / "host_key"), ssh_key(folder / "user_key")
    shutil.copy(user_key.with_suffix(".pub"), folder / "authorized_keys")
    port = _free_port()
    known_hosts = folder / "known_hosts"
    known_hosts.write_text(known_host(port, host_key.with_suffix(".pub")))
    config = folder / "sshd_config"
    config.write_text(_config(folder, port, host_key))
    if os.getuid() == 0:
        # sshd insists on this directory; a machine that never started its own sshd does not have it.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    command = [SSHD, "-D", "-e", "-f", str(config)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as daemon:
        try:
            _wait_until_listening(daemon)
            yield SshServer(port, getpass.getuser(), user_key, known_hosts)
        finally:
            daemon.terminate()


def _config(folder: Path, port: int, host_key: Path) -> str:
    return f"""
Port {port}
ListenAddress 127.0.0.1
HostKey {host_key}
AuthorizedKeysFile {folder / "authorized_keys"}
PidFile {folder / "sshd.pid"}
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
LogLevel INFO
"""


def _wait_until_listening(daemon: "subprocess.Popen[str]") -> None:
    assert daemon.stderr is not None
    said = []
    for line in daemon.stderr:
        said.append(line)
        if line.startswith("Server listening"):
            return
    raise AssertionError(f"sshd did not start: {''.join(said)}")


def _free_port() -> int:
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
