"""A process that is killed with -9 at a named point of the engine's work."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from vaultloop.aio import failpoint
from vaultloop.aio.failpoint import Failpoint


def killed_at(point: Failpoint, work: Callable[[], Coroutine[Any, Any, None]], passage: int = 1) -> None:
    """Do `work` in a child of this process, which must die at the `passage`-th time that it reaches `point`.

    The child shares what is loaded and nothing that is open, so nothing may be open here.
    """
    child = os.fork()
    if child == 0:
        _die(point, work, passage)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
        pytest.fail(f"{point} was not reached: {os.waitstatus_to_exitcode(status)}")


def _die(point: Failpoint, work: Callable[[], Coroutine[Any, Any, None]], passage: int) -> None:
    try:
        failpoint._name, failpoint._passages_left = point, passage
        asyncio.run(work())
    finally:
        os._exit(1)
