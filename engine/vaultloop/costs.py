"""What sessions have cost, in the shape that `vaultloop cost` promises.

Reads only, so it answers whether the engine runs or not. Later keys may be added, none changed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from vaultloop.components import KINDS
from vaultloop.components.defaults.kind import DefaultsSpec
from vaultloop.components.scope.kind import ScopeSpec
from vaultloop.model.resource import Ref, Spec
from vaultloop.state.database import Database
from vaultloop.state.ledger import By, Cost, Ledger, reading
from vaultloop.state.period import Period
from vaultloop.state.status_book import StatusBook


def costs(state: Path, database: Database, now: datetime, periods: Sequence[Period]) -> dict[str, Any]:
    """`vaultloop cost`: each of these periods that `now` falls into, with the limits of the notes in force.

    Raises:
        Stalled: the ledger cannot be read.
    """
    specs = _in_force(database)
    defaults = next((spec for spec in specs.values() if isinstance(spec, DefaultsSpec)), DefaultsSpec())
    scopes = {ref.name: spec for ref, spec in specs.items() if isinstance(spec, ScopeSpec)}
    with reading(state) as ledger:
        told = {str(period): _of(period, ledger, defaults, scopes, now) for period in periods}
    return {"timezone": defaults.timezone, **told}


def _in_force(database: Database) -> dict[Ref, Spec]:
    """What was applied last."""
    kinds = {kind.name: kind for kind in KINDS}
    found = (good.resource(kinds) for good in StatusBook(database).last_good())
    return {resource.ref: resource.spec for resource in found if resource and not resource.spec.paused}


def _of(
    period: Period,
    ledger: Ledger | None,
    defaults: DefaultsSpec,
    scopes: Mapping[str, ScopeSpec],
    now: datetime,
) -> dict[str, Any]:
    zone = defaults.timezone
    begins, ends = period.around(now, zone)
    found = {by: ledger.costs(by, period, now, zone) if ledger else [] for by in By}
    by_scope = found[By.SCOPE]
    limits = {name: _limit(spec, period) for name, spec in scopes.items()}
    return {
        "begins": begins.isoformat(timespec="seconds"),
        "ends": ends.isoformat(timespec="seconds"),
        **_money(sum(cost.usd for cost in by_scope), _limit(defaults, period)),
        "requests": sum(cost.requests for cost in by_scope),
        "estimated": any(cost.estimated for cost in by_scope),
        "unpriced": sum(cost.unpriced for cost in by_scope),
        "by_scope": [{**_line(cost), **_money(cost.usd, limits.get(cost.name))} for cost in by_scope],
        "by_trigger": [_line(cost) for cost in found[By.TRIGGER]],
        "by_model": [_line(cost) for cost in found[By.MODEL]],
    }


def _limit(spec: Spec, period: Period) -> float | None:
    limit: float | None = getattr(spec, f"budget_usd_per_{period}")
    return limit


def _money(usd: float, limit: float | None) -> dict[str, Any]:
    left = None if limit is None else max(limit - usd, 0.0)
    return {"usd": usd, "limit_usd": limit, "left_usd": left}


def _line(cost: Cost) -> dict[str, Any]:
    return asdict(cost)
