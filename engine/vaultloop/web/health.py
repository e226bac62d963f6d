"""How the engine is, asked over its socket within a bounded time."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from socket import gethostname
from typing import Any, Self

from vaultloop.aio import rpc
from vaultloop.state.directory import StateDirectory

# An engine that cannot say this within so many seconds does not answer messages either.
PATIENCE = 2.0

# What was heard so recently (seconds) is told again: strangers must not decide how often the engine is asked.
FRESH = 1.0


@dataclass(frozen=True, slots=True)
class Health:
    """What the engine says of itself.

    Attributes:
        status: `ok`; `starting` until a revision has been applied; `standby` while another engine acts, and
            this one waits, which is as it should be; `unreachable` if nobody answered in time.
        reason: why it is not `ok`, a sentence; empty if it is.
        detail: the engine's whole answer: revision, applied, push, and resources by condition.
    """

    status: str
    reason: str = ""
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def is_ok(self) -> bool:
        return self.status in ("ok", "standby")

    @classmethod
    def of(cls, answer: dict[str, Any]) -> Self:
        if reason := answer.get("standby"):
            return cls("standby", str(reason), detail=answer)
        if answer.get("ready"):
            return cls("ok", detail=answer)
        return cls("starting", "No revision of the vault has been applied since the engine started.", answer)


async def ask(socket: Path, *, patience: float = PATIENCE) -> Health:
    """The health of the engine that serves `socket`; within `patience` seconds, and without an error."""
    try:
        async with asyncio.timeout(patience), rpc.connected(socket) as peer:
            return Health.of(await peer.call("health"))
    except TimeoutError:
        return Health("unreachable", f"The engine did not answer within {patience:g} s.")
    except (OSError, rpc.RpcError):
        return Health("unreachable", "No engine answers. It is stopped, or still starting.")


async def of_this_machine(state: StateDirectory) -> Health:
    """The health of who acts on `state`; where that is no process of this machine, of one that waits here.

    Containers may share a state directory: each asks after its own.
    """
    acting = await ask(state.socket)
    if acting.status != "unreachable" and state.is_held_here:
        return acting
    waiting = [await ask(socket) for socket in state.standby_sockets]
    here = [found for found in waiting if found.is_ok and found.detail.get("host") == gethostname()]
    return here[0] if here else acting


async def figures(socket: Path, *, patience: float = PATIENCE) -> dict[str, Any] | None:
    """What the engine counts of itself; None if it does not answer within `patience` seconds."""
    try:
        async with asyncio.timeout(patience), rpc.connected(socket) as peer:
            answer = await peer.call("metrics")
    except (OSError, rpc.RpcError):  # a timeout is an OSError, too
        return None
    return answer if isinstance(answer, dict) else None


class Pulse:
    """The engine's health for many who ask at once: one question is under way at a time."""

    def __init__(self, socket: Path, *, fresh: float = FRESH) -> None:
        self._socket = socket
        self._fresh = fresh
        self._asking: asyncio.Task[Health] | None = None
        self._asked_at = 0.0

    async def health(self) -> Health:
        """What was heard within the last moment, or is being heard now."""
        loop = asyncio.get_running_loop()
        stale = loop.time() - self._asked_at >= self._fresh
        if self._asking is None or (self._asking.done() and stale):
            self._asked_at = loop.time()
            self._asking = asyncio.create_task(ask(self._socket), name="question after health")
        # One visitor who leaves must not take the answer from the others.
        return await asyncio.shield(self._asking)
