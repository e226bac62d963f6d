"""Requests to the model's API: checked, paid for, forwarded under the real credential, and metered.

An answer is passed on as it comes. It is read to its end whatever becomes of the session that asked: what the
vendor charges for is known only then.
"""

import asyncio
import hmac
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import aiohttp

from vaultloop.aio.clock import Clock
from vaultloop.gateway import shape
from vaultloop.gateway.account import Account
from vaultloop.gateway.budgets import Budgets, Gone, Seat
from vaultloop.gateway.face import Exchange
from vaultloop.gateway.keys import Keys
from vaultloop.gateway.prices import Price, price
from vaultloop.gateway.refusal import Refusal, forbidden
from vaultloop.gateway.shape import ModelRequest
from vaultloop.gateway.upstreams import Credential, Upstream, listed
from vaultloop.gateway.usage import Meter, of_request
from vaultloop.state.ledger import Entry, Ledger, Usage

log = logging.getLogger(__name__)

# A connection to the vendor may take so long, and the next bytes of an answer (seconds); a model that thinks
# sends a ping every few seconds.
CONNECTING = 10.0
SILENCE = 600.0

# How long a stream is read on (seconds) once nobody takes it any more.
LONGEST_REST = 600.0

# The largest answer that comes in one piece, and not as a stream (bytes).
LARGEST_ANSWER = 32 * 1024 * 1024

# A row in the ledger says in advance what may be served until it is written again (tokens): few writes, and
# never too little after a kill.
_IN_ADVANCE = 4096

# Bodies beyond this are taken one at a time from a session (bytes): what it can make us hold is bounded.
_LARGE = 1024 * 1024


def client(connector: aiohttp.BaseConnector) -> aiohttp.ClientSession:
    """The HTTP client for upstreams: it keeps no cookies, and takes no proxy from the environment."""
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECTING, sock_read=SILENCE),
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
    )


@dataclass(frozen=True, slots=True)
class _Outgoing:
    """A request as it goes out."""

    path: str
    query: str
    headers: Mapping[str, str]
    request: ModelRequest


class ModelApi:
    """Forwards to one upstream."""

    def __init__(
        self,
        upstream: Upstream,
        keys: Callable[[], Keys],
        http: aiohttp.ClientSession,
        *,
        ledger: Ledger,
        budgets: Budgets,
        clock: Clock,
        tasks: asyncio.TaskGroup,
        gateway: str,
    ) -> None:
        """Forward to `upstream`.

        Args:
            keys: the real credentials, asked for with each request.
            tasks: owns the requests that are under way; they outlive the connections that asked.
            gateway: the name of this process in the ledger.
        """
        self._upstream = upstream
        self._keys = keys
        self._http = http
        self._ledger = ledger
        self._budgets = budgets
        self._clock = clock
        self._tasks = tasks
        self._gateway = gateway

    async def answer(self, exchange: Exchange, account: Account, large: asyncio.Lock) -> None:
        """Answer one request.

        Args:
            large: held while a large body is; one for each door.

        Raises:
            Refusal: it is not forwarded; why.
        """
        _authenticate(exchange.head.headers, account.token)
        self._check_target(exchange)
        secret, credential = self._credential()
        headers = self._headers(exchange, account, secret, credential)
        length = exchange.head.headers.get("content-length")
        if length is None or int(length) > _LARGE:
            async with large:
                request = await self._request(exchange, account)
        else:
            request = await self._request(exchange, account)
        outgoing = _Outgoing(exchange.head.path, exchange.head.query, headers, request)
        await self._forwarded(outgoing, exchange, account, secret)

    async def _request(self, exchange: Exchange, account: Account) -> ModelRequest:
        return shape.understood(await exchange.body(), self._upstream, account.terms)

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

    async def _forwarded(
        self, outgoing: _Outgoing, exchange: Exchange, account: Account, secret: str
    ) -> None:
        """Forward once the budgets admit it; returns when it is over, or nobody waits for it any more."""
        terms, cost = account.terms, price(outgoing.request.model)
        metered = outgoing.path in self._upstream.requests.metered
        if metered and cost is None and terms.is_limited:
            raise forbidden(
                f"What model {outgoing.request.model} costs is not known, and this session has a budget: "
                "it cannot be kept. Name a model whose price vaultloop knows, or remove the budgets."
            )
        try:
            seat = await self._budgets.admitted(terms, account.after, lambda: exchange.gone or account.closed)
        except Refusal as refusal:
            account.refused = str(refusal)
            raise
        except Gone:
            exchange.break_off()
            return
        # Between the seat and the task that gives it back nothing may be awaited.
        passage = _Passage(self, outgoing, exchange, account, cost=cost, secret=secret)
        task = self._tasks.create_task(
            passage.run(seat, metered=metered), name=f"model request of {terms.session}"
        )
        account.under_way.add(task)
        task.add_done_callback(account.under_way.discard)
        await asyncio.shield(task)

    # What a passage needs of us.

    def begin(self, request: ModelRequest, account: Account, cost: Price | None) -> int:
        """Write the row of a request that is about to be forwarded; its number."""
        terms = account.terms
        entry = Entry(
            session=terms.session,
            scope=terms.scope,
            trigger=terms.trigger,
            model=request.model,
            started_at=self._clock.now(),
            priced=cost is not None,
        )
        usage = of_request(len(request.body))
        return self._ledger.begin(entry, usage, cost.of(usage) if cost else 0, gateway=self._gateway)

    def note(self, number: int, usage: Usage, nano_usd: int) -> None:
        """Raise what an open row counts."""
        self._ledger.note(number, usage, nano_usd)

    def end(self, number: int, usage: Usage, nano_usd: int, *, estimated: bool) -> None:
        """Complete a row."""
        self._ledger.end(number, usage, nano_usd, at=self._clock.now(), estimated=estimated)

    def asked(self, outgoing: _Outgoing) -> "aiohttp.client._RequestContextManager":
        """The upstream's answer; redirects are not followed."""
        query = f"?{outgoing.query}" if outgoing.query else ""
        return self._http.post(
            f"{self._upstream.base_url}{outgoing.path}{query}",
            data=outgoing.request.body,
            headers=outgoing.headers,
            allow_redirects=False,
        )

    def returned(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers of an answer that a session gets to see."""
        return {
            name.lower(): value
            for name, value in headers.items()
            if listed(name.lower(), self._upstream.answers)
        }


class _Passage:
    """One request on its way, from its row in the ledger to the end of the answer."""

    def __init__(
        self,
        api: ModelApi,
        outgoing: _Outgoing,
        exchange: Exchange,
        account: Account,
        *,
        cost: Price | None,
        secret: str,
    ) -> None:
        self._api = api
        self._outgoing = outgoing
        self._exchange = exchange
        self._account = account
        self._cost = cost
        self._secret = secret
        self._size = len(outgoing.request.body)
        self._meter: Meter | None = None
        self._number: int | None = None
        self._in_advance = 0
        # Whether it certainly costs nothing: nothing was sent, or it was refused.
        self._free = True

    async def run(self, seat: Seat, *, metered: bool) -> None:
        """Forward it, pass the answer on, and complete the row; raises nothing."""
        with seat.taken():
            try:
                if metered:
                    self._number = self._api.begin(self._outgoing.request, self._account, self._cost)
                await self._forward()
            except Exception:
                # Nothing of it is repeated: what is in it may hold a key.
                log.exception("session %s: a model request failed", self._account.terms.session)
                await self._exchange.refuse(_failed("The gateway failed."))
            finally:
                self._complete()

    async def _forward(self) -> None:
        self._free = False
        try:
            async with self._api.asked(self._outgoing) as response:
                await self._pass_on(response)
        except aiohttp.ClientConnectorError as error:
            self._free = True
            await self._give_up(f"The model's API cannot be reached ({_kind(error)}).")
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            # It was sent, and may be charged for.
            await self._give_up(f"The model's API broke off ({_kind(error)}).")

    async def _give_up(self, message: str) -> None:
        log.warning("session %s: %s", self._account.terms.session, message)
        await self._exchange.refuse(_failed(message))

    async def _pass_on(self, response: aiohttp.ClientResponse) -> None:
        if response.status != 200:
            await self._pass_error(response)
            return
        events = response.content_type == "text/event-stream"
        encoded = response.headers.get("content-encoding", "identity") != "identity"
        if encoded or not (events or response.content_type == "application/json"):
            raise aiohttp.ClientPayloadError("neither JSON nor an event stream")
        self._meter = Meter(self._size, events=events)
        headers = self._api.returned(response.headers)
        if not events:
            await self._pass_object(response, headers)
            return
        await self._exchange.begin(200, headers)
        async with asyncio.timeout(None) as patience:
            async for data in response.content.iter_any():
                await self._pass_piece(data)
                if self._exchange.gone and patience.when() is None:
                    patience.reschedule(asyncio.get_running_loop().time() + LONGEST_REST)
        self._meter.end()
        await self._exchange.end()

    async def _pass_piece(self, data: bytes) -> None:
        """Count it, write down that it is served, and only then serve it."""
        assert self._meter is not None
        self._meter.feed(data)
        usage = self._meter.usage
        if self._number is not None and usage.output_tokens >= self._in_advance:
            self._in_advance = usage.output_tokens + _IN_ADVANCE
            ahead = replace(usage, output_tokens=self._in_advance)
            self._api.note(self._number, ahead, self._nano(ahead))
        await self._exchange.send(data)

    async def _pass_object(self, response: aiohttp.ClientResponse, headers: Mapping[str, str]) -> None:
        """An answer in one piece: it is counted before it is served."""
        assert self._meter is not None
        body = await _read(response, LARGEST_ANSWER)
        self._meter.feed(body)
        self._meter.end()
        if self._number is not None:
            self._api.note(self._number, self._meter.usage, self._nano(self._meter.usage))
        await self._exchange.begin(200, headers, length=len(body))
        await self._exchange.send(body)
        await self._exchange.end()

    async def _pass_error(self, response: aiohttp.ClientResponse) -> None:
        """The vendor's error, which costs nothing. A redirect leads away from what may be asked."""
        self._free = True
        if response.status < 400:
            await self._give_up(f"The model's API answered with status {response.status}.")
            return
        body = (await _read(response, LARGEST_ANSWER)).replace(self._secret.encode(), b"(key)")
        headers = self._api.returned(response.headers)
        await self._exchange.begin(response.status, headers, length=len(body))
        await self._exchange.send(body)
        await self._exchange.end()

    def _complete(self) -> None:
        if self._number is None:
            return
        if self._free:
            self._api.end(self._number, Usage(), 0, estimated=False)
            return
        usage = self._meter.usage if self._meter else of_request(self._size)
        complete = self._meter is not None and self._meter.complete
        self._api.end(self._number, usage, self._nano(usage), estimated=not complete)

    def _nano(self, usage: Usage) -> int:
        inference_us = self._meter is not None and self._meter.inference_us
        return self._cost.of(usage, inference_us=inference_us) if self._cost else 0


async def _read(response: aiohttp.ClientResponse, most: int) -> bytes:
    body = bytearray()
    async for data in response.content.iter_any():
        body += data
        if len(body) > most:
            raise aiohttp.ClientPayloadError("the answer is too long")
    return bytes(body)


def _authenticate(headers: Mapping[str, str], token: str) -> None:
    """Who knows the token of the door is the session.

    Raises:
        Refusal: this is somebody else.
    """
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    given = headers.get("x-api-key") or (bearer.strip() if scheme.lower() == "bearer" else "")
    if not hmac.compare_digest(given.encode(errors="replace"), token.encode()):
        raise Refusal(401, "authentication_error", "This is not the token of this session's door.")


def _failed(message: str) -> Refusal:
    return Refusal(502, "api_error", message)


def _kind(error: Exception) -> str:
    """What went wrong, by its class alone: the text of an error may repeat an address or a header."""
    return type(error).__name__
