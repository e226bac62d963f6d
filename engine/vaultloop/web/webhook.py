"""`POST /hooks/git`: a forge says that something was pushed.

What it sends only means "look": it is run through the signature, chunk by chunk, and never parsed, so that
one that is sent again, late or twice does no harm.
"""

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from vaultloop.web.doorbell import Doorbell
from vaultloop.web.proof import Claim
from vaultloop.web.refusals import Refusals

PATH = "/hooks/git"

# Bytes of a body: GitHub sends none that is larger.
LARGEST_BODY = 25 * 1024 * 1024

HEADERS = {"Cache-Control": "no-store"}

# Sent when a webhook is set up, to see whether anybody listens; it tells of no push.
_PING = "ping"
_EVENTS = ("x-github-event", "x-gitea-event", "x-forgejo-event")


class Outcome(StrEnum):
    """What became of a request."""

    TAKEN = "taken"
    PING = "ping"
    REFUSED = "refused"
    LIMITED = "limited"
    TOO_LARGE = "too-large"
    UNFINISHED = "unfinished"
    UNHEARD = "unheard"


_STATUS = {
    Outcome.TAKEN: 202,
    Outcome.PING: 200,
    Outcome.REFUSED: 401,
    Outcome.LIMITED: 429,
    Outcome.TOO_LARGE: 413,
    Outcome.UNFINISHED: 400,
    # The forge shows it, and many forges send it again.
    Outcome.UNHEARD: 503,
}


class TooLargeError(Exception):
    """A body beyond the bound."""


class Webhook:
    """The address that forges call.

    Attributes:
        counts: what became of the requests so far.
    """

    def __init__(self, secret: str, doorbell: Doorbell, refusals: Refusals | None = None) -> None:
        self._secret = secret
        self._doorbell = doorbell
        self._refusals = refusals or Refusals()
        self.counts: Counter[Outcome] = Counter()

    async def answer(self, request: Request) -> Response:
        """Answer one request, and say no more than how it ended."""
        outcome = await self._outcome(request)
        self.counts[outcome] += 1
        return Response(status_code=_STATUS[outcome], headers=HEADERS)

    async def _outcome(self, request: Request) -> Outcome:
        address = request.client.host if request.client else ""
        if self._refusals.is_tired_of(address):
            return Outcome.LIMITED
        claim = Claim(self._secret, request.headers)
        try:
            if not claim.is_made or not await _is_proven(claim, request):
                self._refusals.note(address)
                return Outcome.REFUSED
        except TooLargeError:
            return Outcome.TOO_LARGE
        except ClientDisconnect:
            return Outcome.UNFINISHED
        if _is_ping(request.headers):
            return Outcome.PING
        return Outcome.TAKEN if await self._doorbell.ring() else Outcome.UNHEARD


async def _is_proven(claim: Claim, request: Request) -> bool:
    """Whether the claim holds for the whole body.

    Raises:
        TooLargeError: the body is larger than any that a forge sends.
        ClientDisconnect: it did not arrive in time, or its sender went away.
    """
    if int(request.headers.get("content-length", "0")) > LARGEST_BODY:
        raise TooLargeError
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > LARGEST_BODY:
            raise TooLargeError
        claim.feed(chunk)
    return claim.holds()


def _is_ping(headers: Mapping[str, str]) -> bool:
    return any(headers.get(name) == _PING for name in _EVENTS)
