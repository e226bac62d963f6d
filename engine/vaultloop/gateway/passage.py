"""One request on its way to the vendor, and the answer on its way back."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

import aiohttp

from vaultloop.gateway.booking import Booking
from vaultloop.gateway.face import Exchange
from vaultloop.gateway.refusal import Refusal
from vaultloop.gateway.upstreams import Upstream, listed
from vaultloop.gateway.usage import Meter

log = logging.getLogger(__name__)

# A connection to the vendor may take so long, and the next bytes of an answer (seconds); a model that thinks
# sends a ping every few seconds.
CONNECTING = 10.0
SILENCE = 600.0

# How long a stream is read on (seconds) once nobody takes it any more.
LONGEST_REST = 600.0

# The largest answer that comes in one piece, and not as a stream (bytes).
LARGEST_ANSWER = 32 * 1024 * 1024


def client(connector: aiohttp.BaseConnector) -> aiohttp.ClientSession:
    """The HTTP client for upstreams: it keeps no cookies, and takes no proxy from the environment."""
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECTING, sock_read=SILENCE),
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
    )


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request as it goes out.

    Attributes:
        target: path and query.
        headers: with the real credential.
        secret: that credential, so that no answer repeats it.
    """

    session: str
    target: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    secret: str = field(repr=False)


class Passage:
    """Forwards one request, and reads its answer to the end whatever becomes of who asked."""

    def __init__(
        self, upstream: Upstream, http: aiohttp.ClientSession, outgoing: Outgoing, exchange: Exchange
    ) -> None:
        self._upstream = upstream
        self._http = http
        self._outgoing = outgoing
        self._exchange = exchange
        self._booking: Booking | None = None
        self._meter: Meter | None = None
        # Whether it certainly costs nothing: it did not leave, or the vendor refused it.
        self._free = True

    async def run(self, booking: Booking | None) -> None:
        """Forward it, pass the answer on, complete its row in the ledger; raises nothing."""
        self._booking = booking
        try:
            await self._forward()
        except Exception:
            log.exception("session %s: a model request failed", self._outgoing.session)
            await self._exchange.refuse(failed("The gateway failed."))
        finally:
            if booking is not None:
                booking.close(self._meter, free=self._free)

    async def _forward(self) -> None:
        outgoing, self._free = self._outgoing, False
        try:
            async with self._http.post(
                self._upstream.base_url + outgoing.target,
                data=outgoing.body,
                headers=outgoing.headers,
                allow_redirects=False,
            ) as response:
                await self._pass_on(response)
        except aiohttp.ClientConnectorError as error:
            self._free = True
            await self._give_up(f"The model's API cannot be reached ({_kind(error)}).")
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            # It was sent, and may be charged for.
            await self._give_up(f"The model's API broke off ({_kind(error)}).")

    async def _give_up(self, message: str) -> None:
        log.warning("session %s: %s", self._outgoing.session, message)
        await self._exchange.refuse(failed(message))

    async def _pass_on(self, response: aiohttp.ClientResponse) -> None:
        if response.status != 200:
            await self._pass_error(response)
            return
        events = response.content_type == "text/event-stream"
        encoded = response.headers.get("content-encoding", "identity") != "identity"
        if encoded or not (events or response.content_type == "application/json"):
            raise aiohttp.ClientPayloadError("neither JSON nor an event stream")
        self._meter = Meter(len(self._outgoing.body), events=events)
        if events:
            await self._pass_stream(response, self._meter)
        else:
            await self._pass_object(response, self._meter)

    async def _pass_stream(self, response: aiohttp.ClientResponse, meter: Meter) -> None:
        """An event stream, piece by piece: counted, written down as served, and only then served."""
        await self._exchange.begin(200, self._returned(response))
        async with asyncio.timeout(None) as patience:
            async for data in response.content.iter_any():
                meter.feed(data)
                self._foresee(meter)
                await self._exchange.send(data)
                if self._exchange.gone and patience.when() is None:
                    patience.reschedule(asyncio.get_running_loop().time() + LONGEST_REST)
        meter.end()
        await self._exchange.end()

    async def _pass_object(self, response: aiohttp.ClientResponse, meter: Meter) -> None:
        """An answer in one piece."""
        body = await _read(response)
        meter.feed(body)
        meter.end()
        self._foresee(meter)
        await self._answer(200, self._returned(response), body)

    async def _pass_error(self, response: aiohttp.ClientResponse) -> None:
        """The vendor's error, which costs nothing. A redirect leads away from what may be asked."""
        self._free = True
        if response.status < 400:
            await self._give_up(f"The model's API answered with status {response.status}.")
            return
        body = (await _read(response)).replace(self._outgoing.secret.encode(), b"(key)")
        await self._answer(response.status, self._returned(response), body)

    async def _answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        await self._exchange.begin(status, headers, length=len(body))
        await self._exchange.send(body)
        await self._exchange.end()

    def _foresee(self, meter: Meter) -> None:
        if self._booking is not None:
            self._booking.foresee(meter)

    def _returned(self, response: aiohttp.ClientResponse) -> dict[str, str]:
        """The headers of an answer that a session gets to see."""
        given = ((name.lower(), value) for name, value in response.headers.items())
        return {name: value for name, value in given if listed(name, self._upstream.answers)}


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for data in response.content.iter_any():
        body += data
        if len(body) > LARGEST_ANSWER:
            raise aiohttp.ClientPayloadError("the answer is too long")
    return bytes(body)


def failed(message: str) -> Refusal:
    """The vendor, or the gateway itself, has failed; agents try again."""
    return Refusal(502, "api_error", message)


def _kind(error: Exception) -> str:
    """What went wrong, by its class alone: the text of an error may repeat an address or a header."""
    return type(error).__name__
