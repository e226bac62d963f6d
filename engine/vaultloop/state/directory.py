"""The state directory: one engine, one directory, entered by its owner only."""

import fcntl
import hashlib
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vaultloop.model.errors import VaultloopError

# How the sockets of those who wait begin.
STANDBY = "standby-"


class Busy(VaultloopError):
    """Another process acts on this state directory."""


@contextmanager
def alone_on(folder: Path) -> Iterator[None]:
    """Be the only engine that follows a watched folder, whatever state directory others use.

    The lock lies on the folder itself and leaves nothing in it. A file system that knows no locks is no
    reason not to start.

    Raises:
        Busy: another engine follows it.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        # A folder that is not there yet is the watcher's affair.
        yield
        return
    try:
        with suppress(OSError):
            _take(
                descriptor,
                f"Another vaultloop follows {folder}. One folder takes one engine: stop the other.",
            )
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, refusal: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise Busy(refusal) from error


class StateDirectory:
    """Where everything that is neither in git nor in a note lives, by name."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def database(self) -> Path:
        return self.path / "engine.db"

    @property
    def socket(self) -> Path:
        return self.path / "engine.sock"

    @property
    def log(self) -> Path:
        return self.path / "engine.log"

    @property
    def repository(self) -> Path:
        """The bare repository of remote mode, and of a folder without its own .git."""
        return self.path / "vault.git"

    def make(self) -> None:
        """Create the directory, closed to others.

        Raises:
            VaultloopError: it cannot be made, or belongs to somebody else.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.chmod(0o700)
        except OSError as error:
            raise VaultloopError(
                f"The state directory {self.path} cannot be used ({error.strerror}). "
                "Name one that you own: --state DIR or VAULTLOOP_STATE."
            ) from error

    @property
    def is_held(self) -> bool:
        """Whether a process acts on it now."""
        try:
            descriptor = os.open(self.path / "lock", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    @property
    def holder(self) -> str:
        """Who acts on it, or did last, for people: a process, and its machine if that is another one."""
        pid, host = self._marked
        here = host == socket.gethostname()
        return (f"process {pid}" if here else f"process {pid} on {host}") if pid else "another process"

    @property
    def is_held_here(self) -> bool:
        """Whether who acts on it, or did last, is a process of this machine or container."""
        return self._marked[1] in ("", socket.gethostname())

    @property
    def _marked(self) -> tuple[str, str]:
        """Process and machine, as they are written into the lock."""
        try:
            pid, _, host = (self.path / "lock").read_text().strip().partition(" ")
        except OSError:
            return "", ""
        return pid, host

    def standby_socket(self) -> Path:
        """A name for the socket of a process that waits for its turn here."""
        return self.path / f"{STANDBY}{secrets.token_hex(4)}.sock"

    @property
    def standby_sockets(self) -> list[Path]:
        """The sockets of those who wait; of a killed one there may be a file still."""
        return sorted(self.path.glob(f"{STANDBY}*.sock"))

    @property
    def engine_id(self) -> str:
        """Who the engine of this directory is at its remote; made once."""
        file = self.path / "engine-id"
        if not file.exists():
            fresh = file.with_suffix(".new")
            fresh.write_text(secrets.token_hex(8))
            fresh.replace(file)
        return file.read_text().strip()

    @property
    def boot(self) -> str:
        """This directory on this machine since it was booted; a copy has another one, on any machine."""
        try:
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        except OSError:
            # Every start counts as a new place then: it waits for a word that nobody gives.
            boot = secrets.token_hex(8)
        lock = (self.path / "lock").stat()
        return hashlib.sha256(f"{boot} {lock.st_dev} {lock.st_ino}".encode()).hexdigest()[:16]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Act alone on this directory; the kernel lets go of the lock when the process dies.

        Raises:
            Busy: another process holds it.
        """
        self.make()
        descriptor = os.open(self.path / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            _take(
                descriptor, f"Another vaultloop acts on {self.path}. Stop it first, or name another --state."
            )
            # For those who wait, and for whoever looks: whose it is.
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()} {socket.gethostname()}\n".encode(), 0)
            yield
        finally:
            os.close(descriptor)
