"""Budgets: a request is refused once what it counts against is spent.

What a request will cost is known only when it is over. So a budget can be overshot, but at most by what is
under way when it is spent; and where less than a tenth of it is left, one request at a time is let through.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from vaultloop.aio.clock import Clock
from vaultloop.gateway.refusal import Refusal
from vaultloop.gateway.terms import Terms
from vaultloop.state.ledger import NANO, Ledger
from vaultloop.state.period import Period

# Where this share of a budget is spent, requests go one after the other.
NEAR_PERCENT = 90


class Gone(Exception):
    """Who asked is not there any more; nothing is forwarded."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One budget that a request counts against.

    Attributes:
        key: what it is the budget of; requests with equal keys share it.
        most, spent: billionths of a dollar.
        refusal: what is said once it is spent, for people.
    """

    key: tuple[str, ...]
    most: int
    spent: int
    refusal: str

    @property
    def is_spent(self) -> bool:
        return self.spent >= self.most

    @property
    def is_near(self) -> bool:
        return self.spent * 100 >= self.most * NEAR_PERCENT


class Budgets:
    """All budgets of an agent."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._under_way: Counter[tuple[str, ...]] = Counter()
        self._released = asyncio.Event()

    async def admitted(self, terms: Terms, after: int, gone: Callable[[], bool]) -> "Seat":
        """A seat for one request, once there is one; whoever gets it has to release it.

        Args:
            after: the number of the newest row of the ledger when the session's door was opened.
            gone: whether nobody waits any more.

        Raises:
            Refusal: a budget is spent; says which, and when it begins anew.
            Gone: nobody waits any more.
        """
        while True:
            if gone():
                raise Gone
            limits = self.limits(terms, after)
            for limit in limits:
                if limit.is_spent:
                    raise Refusal(402, "billing_error", limit.refusal)
            if not any(limit.is_near and self._under_way[limit.key] for limit in limits):
                return Seat(self, [limit.key for limit in limits])
            await self._released.wait()

    def limits(self, terms: Terms, after: int) -> list[Limit]:
        """The budgets of a session, with what is spent of each now."""
        return [*self._of_run(terms, after), *self._of_periods(terms)]

    def _of_run(self, terms: Terms, after: int) -> Iterator[Limit]:
        if terms.run is None:
            return
        spent = self._ledger.spent_by(terms.session, after)
        words = (
            f"This run has spent {_usd(spent)} of the {_usd(terms.run)} USD that it may (budget-usd-per-run)."
        )
        yield Limit(("run", terms.session), terms.run, spent, words)

    def _of_periods(self, terms: Terms) -> Iterator[Limit]:
        now, zone = self._clock.now(), terms.timezone
        of_scope, of_all = f"Scope {terms.scope}", "All sessions together"
        for period, scope, most, who in (
            (Period.DAY, terms.scope, terms.scope_day, of_scope),
            (Period.MONTH, terms.scope, terms.scope_month, of_scope),
            (Period.DAY, None, terms.total_day, of_all),
            (Period.MONTH, None, terms.total_month, of_all),
        ):
            if most is None:
                continue
            spent = self._ledger.spent(period, now, zone, scope)
            _, ends = period.around(now, zone)
            have = "has" if scope else "have"
            anew = f"{ends.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} ({zone})"
            words = (
                f"{who} {have} spent {_usd(spent)} of {_usd(most)} USD for this {period} "
                f"(budget-usd-per-{period}). It begins anew at {anew}."
            )
            yield Limit((period, scope or "", "scope" if scope else "total"), most, spent, words)

    def take(self, keys: Sequence[tuple[str, ...]]) -> None:
        self._under_way.update(keys)

    def give_back(self, keys: Sequence[tuple[str, ...]]) -> None:
        self._under_way.subtract(keys)
        self._under_way += Counter()
        # Whoever waits looks again; the next ones wait for the next release.
        self._released.set()
        self._released = asyncio.Event()


class Seat:
    """The right to forward one request."""

    def __init__(self, budgets: Budgets, keys: Sequence[tuple[str, ...]]) -> None:
        self._budgets = budgets
        self._keys = keys
        budgets.take(keys)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """For as long as the request is under way, its row in the ledger included."""
        try:
            yield
        finally:
            self._budgets.give_back(self._keys)


def _usd(nano: int) -> str:
    return f"{nano / NANO:.4f}".rstrip("0").rstrip(".")
