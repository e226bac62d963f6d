"""What may still be spent, by the ledger."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from vaultloop.model.gateway import Allowance, Exhausted
from vaultloop.model.policy import Policy
from vaultloop.state.ledger import NANO, Ledger, reading
from vaultloop.state.period import Period


class LedgerPurse:
    """Implements `model.gateway.Purse` over the ledger in a state directory."""

    def __init__(self, state: Path) -> None:
        self._state = state

    def exhausted(self, policy: Policy, allowance: Allowance, now: datetime) -> Exhausted | None:
        """The spent budget whose day or month lasts longest; None while there is something left of all.

        Raises:
            Stalled: the ledger cannot be read.
        """
        limits = tuple(_limits(policy, allowance))
        if not limits:
            return None
        with reading(self._state) as ledger:
            found = [_spent(ledger, limit, allowance.timezone, now) for limit in limits]
        return max(filter(None, found), key=lambda spent: spent.until, default=None)


# What a budget is for, its scope (None for all sessions), and US dollars.
_Limit = tuple[Period, str | None, float]


def _limits(policy: Policy, allowance: Allowance) -> Iterator[_Limit]:
    limits: tuple[tuple[Period, str | None, float | None], ...] = (
        (Period.DAY, policy.scope, policy.budget_usd_per_day),
        (Period.MONTH, policy.scope, policy.budget_usd_per_month),
        (Period.DAY, None, allowance.usd_per_day),
        (Period.MONTH, None, allowance.usd_per_month),
    )
    for period, scope, usd in limits:
        if usd is not None:
            yield period, scope, usd


def _spent(ledger: Ledger | None, limit: _Limit, timezone: str, now: datetime) -> Exhausted | None:
    period, scope, most = limit
    usd = ledger.spent(period, now, timezone, scope) / NANO if ledger else 0.0
    if usd < most:
        return None
    whose = f"the scope `{scope}`" if scope else "all sessions together"
    _, until = period.around(now, timezone)
    return Exhausted(f"The budget of {most:g} USD a {period} of {whose} is spent ({usd:.2f} USD).", until)
