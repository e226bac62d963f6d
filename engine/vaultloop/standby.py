"""Waiting for one's turn: what a process answers, and where, while another engine acts."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from socket import gethostname
from typing import Any

from vaultloop.aio import rpc
from vaultloop.aio.rpc import REFUSED, Handler, JsonObject, Peer, RpcError
from vaultloop.control import Control
from vaultloop.state.directory import Busy, StateDirectory

# How often a lock that somebody else holds is tried again (seconds). The kernel wakes nobody who can also be
# told to stop; five tries a second cost nothing, and a takeover begins within one.
PAUSE = 0.2

# Of one that waits for the lock. What anybody may know: an orchestrator asks the health page, and so may
# strangers.
WAITS = "Another engine acts. This one takes over when that one ends."


class Face:
    """What one process answers on its socket: as a standby at first, as the engine once that runs.

    Attributes:
        handlers: by method; the same object all along.
    """

    def __init__(self, ring: Callable[[], None]) -> None:
        """`ring` asks for a look at the remote."""
        self._ring = ring
        self.handlers: dict[str, Handler] = {}

    def stand_by(self, outlook: Callable[[], str] = lambda: WAITS) -> None:
        """Refuse what only an engine that acts can do; `outlook` says for what this one waits."""

        async def health(_: Peer, __: JsonObject) -> Any:
            return {"ready": False, "standby": outlook(), "host": gethostname()}

        self.handlers.clear()
        self.handlers.update(dict.fromkeys(Control.METHODS, _refused))
        self.handlers.update({"health": health, "metrics": _metrics, "ring": self._rung})

    def act(self, engine: Mapping[str, Handler]) -> None:
        self.handlers.clear()
        self.handlers.update(engine)

    async def _rung(self, _: Peer, __: JsonObject) -> Any:
        self._ring()
        return {"ok": True}


async def _metrics(_: Peer, __: JsonObject) -> Any:
    return {"ready": False, "acting": False}


async def _refused(_: Peer, __: JsonObject) -> Any:
    raise RpcError(REFUSED, "Another engine acts on this vault; ask that one. `vaultloop status` names it.")


@asynccontextmanager
async def own_socket(state: StateDirectory, face: Face) -> AsyncIterator[Path]:
    """A socket of this process alone, beside that of whoever acts on the state directory."""
    path = state.standby_socket()
    async with rpc.serving(path, face.handlers):
        yield path


async def lock(state: StateDirectory, held: ExitStack) -> None:
    """Take the state directory's lock as soon as nobody else has it; `held` gives it back."""
    while True:
        with suppress(Busy):
            held.enter_context(state.locked())
            return
        await asyncio.sleep(PAUSE)
