"""The terms of one session at the gateway, as they travel from the engine to it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import ROUND_FLOOR, Decimal
from typing import Any, Self

from vaultloop.model.gateway import Grant
from vaultloop.model.policy import Audience
from vaultloop.state.ledger import NANO


def nano(usd: float | None) -> int | None:
    """Dollars as billionths, never more than they are; None stays None."""
    return None if usd is None else int((Decimal(str(usd)) * NANO).to_integral_value(ROUND_FLOOR))


@dataclass(frozen=True, slots=True)
class Terms:
    """What the gateway does for one session: of a grant exactly what it has to know.

    Attributes:
        trigger: kind and name, for the ledger.
        models: the only ones that it may ask for, by their exact names.
        run, scope_day, scope_month: what the session, and all sessions of its scope together, may cost, in
            billionths of a dollar; None for no limit.
        total_day, total_month: what all sessions of the agent may cost together, likewise.
        timezone: in which a day and a month begin.
    """

    session: str
    scope: str
    audience: Audience
    trigger: tuple[str, str]
    models: tuple[str, ...] = ()
    abilities: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    run: int | None = None
    scope_day: int | None = None
    scope_month: int | None = None
    total_day: int | None = None
    total_month: int | None = None
    timezone: str = "UTC"

    @property
    def is_limited(self) -> bool:
        """Whether any budget binds the session."""
        limits = (self.run, self.scope_day, self.scope_month, self.total_day, self.total_month)
        return any(limit is not None for limit in limits)

    @classmethod
    def of(cls, grant: Grant) -> Self:
        """The terms that a grant comes to."""
        policy, allowance = grant.policy, grant.allowance
        return cls(
            session=grant.session,
            scope=policy.scope,
            audience=policy.audience,
            trigger=(grant.trigger.kind, grant.trigger.name),
            models=grant.models,
            abilities=policy.abilities,
            hosts=policy.hosts,
            run=nano(policy.budget_usd_per_run),
            scope_day=nano(policy.budget_usd_per_day),
            scope_month=nano(policy.budget_usd_per_month),
            total_day=nano(allowance.usd_per_day),
            total_month=nano(allowance.usd_per_month),
            timezone=allowance.timezone,
        )

    def to_json(self) -> dict[str, Any]:
        """For the call `open`."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """What `to_json` wrote.

        Raises:
            ValueError, TypeError: it is nothing that `to_json` writes.
        """
        lists = ("trigger", "models", "abilities", "hosts")
        given: dict[str, Any] = {
            name: tuple(value) if name in lists else value for name, value in content.items()
        }
        return cls(**{**given, "audience": Audience(given["audience"])})
