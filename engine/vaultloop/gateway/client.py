"""The gateway process as the engine has it: started when first needed, kept running, asked for doors.

Imported by the engine, so it loads neither an HTTP client nor a server.
"""

import asyncio
import importlib.util
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from vaultloop.aio import rpc
from vaultloop.aio.clock import Clock
from vaultloop.aio.process import Patience
from vaultloop.aio.rpc import Peer, RpcError
from vaultloop.aio.service import keep_serving
from vaultloop.aio.supervise import background, to_the_end
from vaultloop.gateway.keys import Keys
from vaultloop.gateway.terms import Terms
from vaultloop.model.errors import Retry, Stalled
from vaultloop.model.gateway import BILL_PATIENCE, SOCKET, Bill, Door, Grant, OpenDoor
from vaultloop.state.ledger import charged

log = logging.getLogger(__name__)

# How long a door may take (seconds), the start of the process included, which needs three on a busy machine.
START_PATIENCE = 20.0

# How often its socket is tried meanwhile (seconds).
_KNOCK = 0.05

# How long an answer may take beyond what the gateway itself waits for (seconds).
_ANSWER_PATIENCE = 5.0

# How long it may take to take leave of one that did not answer (seconds).
_PARTING = 0.5

# At an orderly stop the first signal asks it to read what streams there are to their end, the second to end
# at once (seconds until the next one).
PATIENCE = Patience(interrupt=5.0, terminate=2.0)

# Where programs, modules, certificates and texts are found. Proxy variables are the way to the model's API on
# some networks; everything else of the engine's environment may be a secret.
_PASSED = frozenset(
    {"PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "SSL_CERT_FILE", "SSL_CERT_DIR"}
    | {"HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"}
)

# What was charged to a session (its id) since an instant, as the ledger in a state directory has it.
Ledger = Callable[[Path, str, datetime], Bill]


def command(state: Path) -> list[str]:
    """The command line of the gateway process for the engine on `state`."""
    return [sys.executable, "-P", "-m", "vaultloop", "gateway", "--state", str(state)]


def environment(engine: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The little of the engine's environment that the gateway gets; its keys come another way."""
    return {name: value for name, value in engine.items() if name in _PASSED or name.startswith("PYTHON")}


def require_parts() -> None:
    """Say so before anything starts, where a library of the gateway is missing.

    Raises:
        Stalled: with the cure.
    """
    missing = [name for name in ("aiohttp", "h11") if importlib.util.find_spec(name) is None]
    if missing:
        raise Stalled(
            f"The gateway needs {' and '.join(missing)}, and sessions that talk to a model need the gateway.",
            cure=f"Install what vaultloop needs: pip install {' '.join(missing)}.",
        )


class Gateway:
    """The port to the gateway process.

    Where nothing ever opens a door there is no process. One that ends is started again, after a pause that
    grows; sessions whose door was in it are charged what its ledger says.
    """

    def __init__(
        self,
        state: Path,
        keys: Callable[[], Keys],
        clock: Clock,
        *,
        ledger: Ledger = charged,
        program: Sequence[str] | None = None,
    ) -> None:
        """Keep a gateway on `state`.

        Args:
            keys: what it is to hold, asked for whenever a door is opened: a key that was changed counts from
                the next session on.
            ledger: reads what a gateway that is gone had charged.
            program: the command line of the process, where it is another one.
        """
        self._state = state
        self._keys = keys
        self._clock = clock
        self._ledger = ledger
        self._program = program or command(state)
        self._wanted = asyncio.Event()
        self._handed: Keys | None = None

    @classmethod
    @asynccontextmanager
    async def kept(
        cls,
        state: Path,
        keys: Callable[[], Keys],
        clock: Clock,
        *,
        ledger: Ledger = charged,
        program: Sequence[str] | None = None,
    ) -> AsyncIterator["Gateway"]:
        """A port whose process, if there ever is one, ends with the block."""
        gateway = cls(state, keys, clock, ledger=ledger, program=program)
        async with background("gateway", gateway.run()):
            yield gateway

    async def run(self) -> None:
        """Keep the process running from the first door on, until cancelled."""
        await self._wanted.wait()
        await keep_serving(
            "gateway",
            self._program,
            cwd=self._state,
            environment=environment(),
            clock=self._clock,
            greeting=self._greeting,
            patience=PATIENCE,
        )

    @asynccontextmanager
    async def opened(self, grant: Grant) -> AsyncIterator[OpenDoor]:
        """A door that is open for as long as the block lasts.

        Raises:
            Stalled: a library is missing, or the gateway does not serve what the grant names.
            Retry: it does not answer.
        """
        require_parts()
        self._wanted.set()
        started = self._clock.now()
        async with AsyncExitStack() as stack:
            yield await self._answered(
                stack, grant, lambda: self._ledger(self._state, grant.session, started)
            )

    async def _answered(self, stack: AsyncExitStack, grant: Grant, ledger: Callable[[], Bill]) -> "_Opened":
        """A door of the process, which may just be starting, or starting again."""
        try:
            async with asyncio.timeout(START_PATIENCE):
                while True:
                    with suppress(OSError):
                        return await stack.enter_async_context(self._through(grant, ledger))
                    await asyncio.sleep(_KNOCK)
        except TimeoutError:
            raise Retry(
                "The gateway does not answer; it is started again by itself. The engine's log says why."
            ) from None

    @asynccontextmanager
    async def _through(self, grant: Grant, ledger: Callable[[], Bill]) -> AsyncIterator["_Opened"]:
        """A door of the process that runs now.

        Raises:
            OSError: none runs, or it ends just now.
            Stalled: it refuses.
        """
        async with rpc.connected(self._state / SOCKET) as peer:
            await self._hand_over(peer)
            opened = _Opened(peer, grant.session, ledger)
            try:
                await opened.open(grant)
                yield opened
            finally:
                # Also where nobody waits for its answer any more: a door that nobody knows is closed again.
                await to_the_end(opened.close())

    def _greeting(self) -> bytes:
        self._handed = self._keys()
        return self._handed.to_line()

    async def _hand_over(self, peer: Peer) -> None:
        """Tell it of keys that have changed since it was told."""
        if (keys := self._keys()) != self._handed:
            await _asked(peer, "keys", **keys.to_json())
            self._handed = keys
            log.info("the gateway was given keys that have changed")


class _Opened:
    """A door, and the connection over which it is opened, charged and closed."""

    def __init__(self, peer: Peer, session: str, ledger: Callable[[], Bill]) -> None:
        self._peer = peer
        self._session = session
        self._ledger = ledger
        self._door: Door | None = None
        self._answers = False
        self._rest = BILL_PATIENCE

    @property
    def door(self) -> Door:
        assert self._door is not None, "it is handed out only once it is open"
        return self._door

    async def open(self, grant: Grant) -> None:
        said = await _asked(self._peer, "open", terms=Terms.of(grant).to_json())
        self._door = Door(said["host"], said["port"], said["token"])
        self._answers = True

    async def bill(self, patience: float = BILL_PATIENCE) -> Bill:
        """The gateway's bill; the ledger's, with a mark, where the gateway is gone."""
        # Its word is the last: closing the door has nothing more to wait for.
        self._rest = 0.0
        try:
            async with asyncio.timeout(patience + _ANSWER_PATIENCE):
                return Bill(**await self._peer.call("bill", session=self._session, patience=patience))
        except (ConnectionError, TimeoutError, RpcError):
            self._answers = False
            return await self._as_written_down()

    async def close(self) -> None:
        with suppress(ConnectionError, TimeoutError, RpcError):
            async with asyncio.timeout(self._rest + _ANSWER_PATIENCE if self._answers else _PARTING):
                await self._peer.call("close", session=self._session, patience=self._rest)

    async def _as_written_down(self) -> Bill:
        try:
            bill = await asyncio.to_thread(self._ledger)
        except Exception:
            log.exception("session %s: what it was charged cannot be read", self._session)
            bill = Bill()
        log.warning(
            "session %s: the gateway ended before it wrote the bill; %.4f USD are in its ledger",
            self._session,
            bill.usd,
            extra={"session": self._session},
        )
        return replace(bill, estimated=True)


async def _asked(peer: Peer, method: str, **params: Any) -> Any:
    """The gateway's answer.

    Raises:
        Stalled: it refused.
        OSError: it went away.
    """
    try:
        return await peer.call(method, **params)
    except RpcError as error:
        raise Stalled(str(error), cure="") from error
