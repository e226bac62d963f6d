"""The row in the ledger of one request: written before it leaves, kept above what is served, completed."""

import logging
import sqlite3
from dataclasses import dataclass, replace

from vaultloop.aio.clock import Clock
from vaultloop.gateway.prices import Price
from vaultloop.gateway.terms import Terms
from vaultloop.gateway.usage import Meter, of_request
from vaultloop.state.ledger import Entry, Ledger, Usage

log = logging.getLogger(__name__)

# A row says in advance what may be served until it is written again (tokens): few writes, and never too
# little after a kill.
_IN_ADVANCE = 4096


@dataclass(frozen=True, slots=True)
class Books:
    """Where requests are booked.

    Attributes:
        gateway: the name of this process in the ledger.
    """

    ledger: Ledger
    clock: Clock
    gateway: str

    def begun(self, terms: Terms, model: str, size: int, price: Price | None) -> "Booking":
        """The booking of a request of `size` bytes that is about to be forwarded.

        Raises:
            sqlite3.Error: it cannot be written; then the request must not leave.
        """
        entry = Entry(
            session=terms.session,
            scope=terms.scope,
            trigger=terms.trigger,
            model=model,
            started_at=self.clock.now(),
            priced=price is not None,
        )
        usage = of_request(size)
        cost = price.of(usage) if price else 0
        return Booking(self, self.ledger.begin(entry, usage, cost, gateway=self.gateway), price, size)


class Booking:
    """One open row."""

    def __init__(self, books: Books, number: int, price: Price | None, size: int) -> None:
        self._books = books
        self._number = number
        self._price = price
        self._size = size
        self._ahead = 0

    def foresee(self, meter: Meter) -> None:
        """Before something is served: let the row count at least what has been served then."""
        usage = meter.usage
        if usage.output_tokens < self._ahead:
            return
        self._ahead = usage.output_tokens + _IN_ADVANCE
        usage = replace(usage, output_tokens=self._ahead)
        self._books.ledger.note(self._number, usage, self._cost(usage, meter))

    def close(self, meter: Meter | None, *, free: bool) -> None:
        """Complete the row; raises nothing.

        Args:
            meter: what has read the answer, if there was one.
            free: it certainly costs nothing.
        """
        usage = Usage() if free else meter.usage if meter else of_request(self._size)
        estimated = not free and not (meter and meter.complete)
        at = self._books.clock.now()
        try:
            self._books.ledger.end(self._number, usage, self._cost(usage, meter), at=at, estimated=estimated)
        except sqlite3.Error:
            # It stays open, and is closed as an estimate when the next gateway starts. Until the ledger can
            # be written again no request begins.
            log.exception("request %d cannot be completed in the ledger", self._number)

    def _cost(self, usage: Usage, meter: Meter | None) -> int:
        """In billionths of a dollar."""
        return self._price.of(usage, inference_us=bool(meter and meter.inference_us)) if self._price else 0
