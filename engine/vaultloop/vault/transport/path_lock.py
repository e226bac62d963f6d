"""A remote that is a path on this machine: git sets a reference there without looking once more."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from vaultloop.model.errors import Retry

# How long another engine may take to set its reference there (seconds), and how often it is looked at.
PATIENCE = 5.0
PAUSE = 0.02


@asynccontextmanager
async def alone_at(git_dir: Path | None) -> AsyncIterator[None]:
    """Be the only engine that sets a reference in `git_dir`; None, for a remote elsewhere, is no lock.

    The lock lies on the directory itself and leaves nothing in it.

    Raises:
        Retry: another engine has held it for too long, or the directory cannot be opened.
    """
    if git_dir is None:
        yield
        return
    try:
        descriptor = os.open(git_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise Retry(f"{git_dir} cannot be opened ({error.strerror}).") from error
    try:
        await _locked(descriptor, git_dir)
        yield
    finally:
        os.close(descriptor)


async def _locked(descriptor: int, git_dir: Path) -> None:
    for _ in range(round(PATIENCE / PAUSE)):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            await asyncio.sleep(PAUSE)
        else:
            return
    raise Retry(f"Another engine is at work in {git_dir}.")
