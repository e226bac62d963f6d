"""Requests to the model's API: checked, paid for, forwarded under the real credential, and metered.

An answer is passed on as it comes. It is read to its end whatever becomes of the session that asked: what the
vendor charges for is known only then.
"""

import asyncio
import hmac
import logging
import sqlite3
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import aiohttp

from vaultloop.gateway import shape
from vaultloop.gateway.account import Account
from vaultloop.gateway.booking import Books
from vaultloop.gateway.budgets import Budgets, Gone, Seat
from vaultloop.gateway.face import Exchange
from vaultloop.gateway.keys import Keys
from vaultloop.gateway.passage import Outgoing, Passage, failed
from vaultloop.gateway.prices import price
from vaultloop.gateway.refusal import Refusal, forbidden
from vaultloop.gateway.shape import ModelRequest
from vaultloop.gateway.upstreams import Credential, Upstream, listed
from vaultloop.model.policy import Audience

log = logging.getLogger(__name__)

# The largest body (bytes). The vendor takes 32 MiB, and nobody needs it: a context of a million tokens is
# about 4 MiB of text, and agents make the pictures smaller that they send along. While a body is understood,
# little else happens in this process: strangers get half of what the owner gets.
LARGEST_BODY = {
    Audience.OWNER: 16 * 1024 * 1024,
    Audience.CRON: 16 * 1024 * 1024,
    Audience.GROUP: 8 * 1024 * 1024,
    Audience.PUBLIC: 8 * 1024 * 1024,
}

# Bodies beyond this (bytes) are read one at a time from a session, and understood one at a time in all, off
# the event loop. A smaller one takes a millisecond or two.
_LARGE = 16 * 1024


class ModelApi:
    """Forwards to one upstream."""

    def __init__(
        self,
        upstream: Upstream,
        keys: Callable[[], Keys],
        http: aiohttp.ClientSession,
        *,
        books: Books,
        budgets: Budgets,
        tasks: asyncio.TaskGroup,
    ) -> None:
        """Forward to `upstream`.

        Args:
            keys: the real credentials, asked for with each request.
            tasks: owns the requests that are under way; they outlive the connections that asked.
        """
        self._upstream = upstream
        self._keys = keys
        self._http = http
        self._books = books
        self._budgets = budgets
        self._tasks = tasks
        self._understanding = asyncio.Lock()

    async def answer(self, exchange: Exchange, account: Account) -> None:
        """Answer one request.

        Raises:
            Refusal: it is not forwarded; why.
        """
        _authenticate(exchange.head.headers, account.token)
        self._check_target(exchange)
        secret, credential = self._credential()
        headers = self._headers(exchange, account, secret, credential)
        length = exchange.head.headers.get("content-length")
        small = None
        if length is not None and int(length) <= _LARGE:
            small = await self._small(exchange, account)
        async with account.turns:
            request = small or await self._large(exchange, account)
            target = exchange.head.target
            outgoing = Outgoing(account.terms.session, target, headers, request.body, secret)
            passage = Passage(self._upstream, self._http, outgoing, exchange)
            if exchange.head.path in self._upstream.requests.metered:
                await self._under_budgets(passage, request, exchange, account)
            else:
                await self._under_way(passage.run(None), account)

    async def _small(self, exchange: Exchange, account: Account) -> ModelRequest:
        body = await exchange.body(_LARGE)
        async with account.small:
            # All others have their turn before the next one of this session, which may have many at once.
            await asyncio.sleep(0)
            return shape.understood(body, self._upstream, account.terms)

    async def _large(self, exchange: Exchange, account: Account) -> ModelRequest:
        """A request whose body is large, or may become so."""
        async with account.large:
            body = await exchange.body(LARGEST_BODY[account.terms.audience])
            # Only now: a body that is slow to come holds up its own session, and nobody else.
            async with self._understanding:
                return await asyncio.to_thread(shape.understood, body, self._upstream, account.terms)

    def _check_target(self, exchange: Exchange) -> None:
        head = exchange.head
        if head.path not in self._upstream.requests.paths:
            raise Refusal(404, "not_found_error", "This address is not forwarded by the gateway.")
        if head.method != "POST":
            raise Refusal(405, "invalid_request_error", "Only POST is forwarded by the gateway.")
        if not shape.query_allowed(head.query, self._upstream):
            raise forbidden("This query is not forwarded by the gateway.")
        kind = head.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise Refusal(415, "invalid_request_error", "Only application/json is forwarded by the gateway.")

    def _credential(self) -> tuple[str, Credential]:
        keys = self._keys()
        if keys.api_key:
            return keys.api_key, self._upstream.api_key
        if keys.oauth_token:
            return keys.oauth_token, self._upstream.oauth_token
        raise Refusal(401, "authentication_error", "The gateway has no key for the model's API.")

    def _headers(
        self, exchange: Exchange, account: Account, secret: str, credential: Credential
    ) -> dict[str, str]:
        """The headers that go out: those on the list, and the real credential."""
        given = exchange.head.headers
        names = self._upstream.requests.headers
        headers = {name: value for name, value in given.items() if listed(name, names)}
        asked = given.get("anthropic-beta", "")
        if betas := shape.betas(asked, self._upstream, account.terms, credential.beta):
            headers["anthropic-beta"] = betas
        headers["content-type"] = "application/json"
        headers["accept-encoding"] = "identity"
        headers[credential.header] = credential.prefix + secret
        return headers

    async def _under_budgets(
        self, passage: Passage, request: ModelRequest, exchange: Exchange, account: Account
    ) -> None:
        """Forward once the budgets admit it; returns when it is over, or nobody waits for it any more."""
        if price(request.model) is None and account.terms.is_limited:
            raise forbidden(
                f"What model {request.model} costs is not known, and this session has a budget: it cannot be "
                "kept. Name a model whose price vaultloop knows, or remove the budgets."
            )
        try:
            seat = await self._budgets.admitted(
                account.terms, account.after, lambda: exchange.gone or account.closed
            )
        except Refusal as refusal:
            account.refused = str(refusal)
            raise
        except Gone:
            exchange.break_off()
            return
        except sqlite3.Error:
            log.exception("session %s: the ledger cannot be read", account.terms.session)
            raise failed("The gateway cannot tell what was spent so far.") from None
        # Between the seat and the task that gives it back nothing may be awaited.
        await self._under_way(self._booked(passage, request, seat, exchange, account), account)

    async def _booked(
        self, passage: Passage, request: ModelRequest, seat: Seat, exchange: Exchange, account: Account
    ) -> None:
        with seat.taken():
            try:
                size = len(request.body)
                booking = self._books.begun(account.terms, request.model, size, price(request.model))
            except sqlite3.Error:
                log.exception("session %s: the ledger cannot be written", account.terms.session)
                await exchange.refuse(failed("The gateway cannot write down what this would cost."))
                return
            await passage.run(booking)

    async def _under_way(self, work: Coroutine[Any, Any, None], account: Account) -> None:
        """Let `work` run to its end, also when this is cancelled because who asked is gone."""
        task = self._tasks.create_task(work, name=f"model request of {account.terms.session}")
        account.under_way.add(task)
        task.add_done_callback(account.under_way.discard)
        await asyncio.shield(task)


def _authenticate(headers: Mapping[str, str], token: str) -> None:
    """Who knows the token of the door is the session.

    Raises:
        Refusal: this is somebody else.
    """
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    given = headers.get("x-api-key") or (bearer.strip() if scheme.lower() == "bearer" else "")
    if not hmac.compare_digest(given.encode(errors="replace"), token.encode()):
        raise Refusal(401, "authentication_error", "This is not the token of this session's door.")
