"""The gateway process's body: doors that are opened and closed for the engine, and what they share.

The engine calls on `<state>/gateway.sock`, JSON-RPC 2.0 as in `aio.rpc`:

    open  {"terms": Terms.to_json()}  -> {"host": "127.0.0.1", "port": 40123, "token": "..."}
    bill  {"session": ID}             -> a bill, as below
    close {"session": ID}             -> a bill; the door is closed before it is written
    keys  Keys.to_json()              -> nothing; the credentials that count from now on

    bill: {"usd": 0.01, "requests": 3, "usage": {"input_tokens": 12, ...}, "estimated": false, "refused": ""}

All may be repeated: `open` with the same terms answers with the same door, and `close` of a door that is
closed answers with the same bill. `bill` and `close` wait for streams that are under way, though not for
ever (`BILL_PATIENCE`): what is not over by then is in the bill as an estimate, and in the ledger as what it
was once it is over. A refusal is an RPC error (REFUSED) whose text is meant for a person.
"""

import asyncio
import logging
import os
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp

from vaultloop.aio import rpc
from vaultloop.aio.clock import Clock
from vaultloop.aio.rpc import REFUSED, JsonObject, Peer, RpcError
from vaultloop.gateway import face, passage
from vaultloop.gateway.account import Account
from vaultloop.gateway.booking import Books
from vaultloop.gateway.budgets import Budgets
from vaultloop.gateway.face import Exchange
from vaultloop.gateway.head import Head
from vaultloop.gateway.keys import Keys, NoKeys
from vaultloop.gateway.model_api import ModelApi
from vaultloop.gateway.refusal import Refusal
from vaultloop.gateway.terms import Terms
from vaultloop.gateway.told import Told
from vaultloop.gateway.tunnel import Tunnel
from vaultloop.gateway.upstreams import Upstream
from vaultloop.model.gateway import BILL_PATIENCE, SOCKET, Bill
from vaultloop.state.ledger import FILE_NAME, Ledger
from vaultloop.state.writer import is_alive, name_of_process

log = logging.getLogger(__name__)

HOST = "127.0.0.1"

# Open connections of one session, tunnels included.
MOST_CONNECTIONS = 64

# How long the end of the process waits for streams that are under way (seconds).
LAST_PATIENCE = 600.0

# Of how many doors that are closed the bill is kept.
_KEPT = 1000

_TOKEN_BYTES = 32


async def serve(
    state: Path,
    keys: Keys,
    upstream: Upstream,
    *,
    tunnel: Tunnel,
    connector: Callable[[], aiohttp.BaseConnector],
    clock: Clock,
    orphaned: Awaitable[None],
    times: face.Times = face.PATIENCE,
) -> None:
    """Serve until `orphaned` is done, then read the streams under way to their end (at most 10 minutes).

    Args:
        state: the state directory; the socket and the ledger lie in it.
        upstream: the vendor's API, `upstreams.claude(base_url)`.
        tunnel: what CONNECT does, `egress.Egress(...)`.
        connector: makes the connector of the HTTP client that asks the upstream; tests give a loopback one.
        orphaned: done once the engine is gone.

    Raises:
        Stalled: the ledger cannot be used; with the cure.
    """
    if upstream.is_open:
        log.warning("the model's API is asked without encryption, at %s", upstream.base_url)
    gateway = name_of_process(os.getpid())
    with Ledger(state / FILE_NAME) as ledger:
        _close_abandoned(ledger, clock)
        async with passage.client(connector()) as http, asyncio.TaskGroup() as tasks:
            holder = _Holder(keys)
            api = ModelApi(
                upstream,
                lambda: holder.keys,
                http,
                books=Books(ledger, clock, gateway),
                budgets=Budgets(ledger, clock),
                tasks=tasks,
            )
            hall = _Hall(api, ledger, tunnel, holder, times)
            try:
                async with rpc.serving(state / SOCKET, hall.handlers):
                    await orphaned
            finally:
                await hall.close_all()
            await hall.drained(LAST_PATIENCE)


@dataclass(slots=True)
class _Holder:
    keys: Keys


class _Door:
    """One session's port, while it is open."""

    def __init__(self, account: Account, stack: AsyncExitStack) -> None:
        self.account = account
        self.port = 0
        self.stack = stack

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    async def close(self) -> None:
        """Let nobody in any more; what is under way goes on without listeners."""
        self.account.closed = True
        await self.stack.aclose()


class _Hall:
    """All doors."""

    def __init__(
        self, api: ModelApi, ledger: Ledger, tunnel: Tunnel, holder: _Holder, times: face.Times
    ) -> None:
        self._api = api
        self._ledger = ledger
        self._tunnel = tunnel
        self._holder = holder
        self._times = times
        self._told = Told()
        self._doors: dict[str, _Door] = {}
        self._closed: OrderedDict[str, Account] = OrderedDict()
        # Whoever opens or closes a door does so alone: what is called twice at once must not happen twice.
        self._turn = asyncio.Lock()

    @property
    def handlers(self) -> dict[str, rpc.Handler]:
        return {"open": self._open, "bill": self._bill, "close": self._close, "keys": self._keys}

    async def _open(self, peer: Peer, params: JsonObject) -> Any:
        terms = _terms(params)
        async with self._turn:
            door = self._doors.get(terms.session) or await self._opened(terms)
        if door.account.terms != terms:
            raise RpcError(REFUSED, f"Session {terms.session} has a door already, under other terms.")
        return {"host": HOST, "port": door.port, "token": door.account.token}

    async def _opened(self, terms: Terms) -> _Door:
        account = Account(terms, secrets.token_urlsafe(_TOKEN_BYTES), self._ledger.last())
        door = _Door(account, AsyncExitStack())

        async def answer(exchange: Exchange) -> None:
            try:
                await self._api.answer(exchange, account)
            except Refusal as refusal:
                if self._told.is_news(terms.session, what := str(refusal)):
                    log.info("session %s was refused: %s", terms.session, what)
                raise

        async def tunnel(head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._tunnel.connect(head.target, head.headers, reader, writer, terms, account.token)

        async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await face.meet(
                    reader, writer, address=door.address, answer=answer, tunnel=tunnel, times=self._times
                )
            except Exception:
                log.exception("session %s: a connection failed", terms.session)

        door.port = await door.stack.enter_async_context(face.listening(meet, most=MOST_CONNECTIONS))
        self._doors[terms.session] = door
        return door

    async def _bill(self, peer: Peer, params: JsonObject) -> Any:
        return await self._written(self._account(str(params.get("session"))), _patience(params))

    async def _close(self, peer: Peer, params: JsonObject) -> Any:
        session = str(params.get("session"))
        async with self._turn:
            if session in self._doors:
                await self._shut(session)
        return await self._written(self._account(session), _patience(params))

    async def _keys(self, peer: Peer, params: JsonObject) -> None:
        try:
            self._holder.keys = Keys.from_json(params)
        except NoKeys as error:
            raise RpcError(REFUSED, str(error)) from None

    def _account(self, session: str) -> Account:
        if door := self._doors.get(session):
            return door.account
        if session in self._closed:
            return self._closed[session]
        raise RpcError(REFUSED, f"No door was opened for session {session}.")

    async def _written(self, account: Account, patience: float) -> JsonObject:
        """The bill, once the streams under way are over or took too long."""
        await account.settled(patience)
        bill: Bill = self._ledger.bill(account.terms.session, after=account.after)
        return asdict(replace(bill, refused=account.refused))

    async def _shut(self, session: str) -> None:
        door = self._doors.pop(session)
        self._closed[session] = door.account
        self._closed.move_to_end(session)
        while len(self._closed) > _KEPT:
            self._closed.popitem(last=False)
        await door.close()

    async def close_all(self) -> None:
        """Let nobody in any more."""
        async with self._turn:
            for session in list(self._doors):
                await self._shut(session)

    async def drained(self, patience: float) -> None:
        """Wait for the streams under way; those that take longer are cut off, as estimates."""
        under_way = [task for account in self._closed.values() for task in account.under_way]
        if not under_way:
            return
        log.info("%d answers are read to their end", len(under_way))
        _, left = await asyncio.wait(under_way, timeout=patience)
        for task in left:
            task.cancel()


def _patience(params: JsonObject) -> float:
    """How long the caller lets a bill wait (seconds)."""
    said = params.get("patience", BILL_PATIENCE)
    return min(max(float(said), 0.0), BILL_PATIENCE) if isinstance(said, int | float) else BILL_PATIENCE


def _terms(params: JsonObject) -> Terms:
    """The terms of a call.

    Raises:
        RpcError: they are none, or name a timezone that does not exist.
    """
    try:
        terms = Terms.from_json(params["terms"])
        ZoneInfo(terms.timezone)
    except (KeyError, TypeError, ValueError, OSError, AttributeError) as error:
        raise RpcError(REFUSED, f"These are no terms of a session: {error}.") from None
    return terms


def _close_abandoned(ledger: Ledger, clock: Clock) -> None:
    """Close the rows that gateways left open which are not alive any more."""
    for gateway in ledger.gateways():
        if not is_alive(gateway):
            count = ledger.close_rows_of(gateway, clock.now())
            log.warning("%d requests of a gateway that was killed are in the ledger as estimates", count)
