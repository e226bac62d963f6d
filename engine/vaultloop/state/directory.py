"""The state directory: one engine, one directory, entered by its owner only."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vaultloop.model.errors import VaultloopError


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
            yield
        finally:
            os.close(descriptor)
