"""The rules in force, and the text that they add to a session."""

from collections.abc import Iterable, Mapping
from typing import Self

from vaultloop.components.rule.kind import RuleSpec
from vaultloop.model.change import Change
from vaultloop.model.policy import Policy
from vaultloop.model.resource import Ref, Resource


class RuleComponent:
    """The one owner of rules; contributes them to the sessions of their scopes."""

    def __init__(self) -> None:
        self._applied: dict[Ref, Resource[RuleSpec]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._applied.clear()

    def inputs(self, spec: RuleSpec) -> Iterable[str]:
        """Nothing but the note itself."""
        del spec
        return ()

    def observe(self) -> Mapping[Ref, Resource[RuleSpec]]:
        """The rules in force, paused ones included."""
        return dict(self._applied)

    async def apply(self, change: Change[RuleSpec]) -> None:
        """Take a rule in, replace it or drop it."""
        if change.old is not None:
            self._applied.pop(change.old.ref, None)
        if change.new is not None:
            self._applied[change.new.ref] = change.new

    def contribute(self, policy: Policy) -> str:
        """The rules for a scope, in their order, one paragraph apart."""
        rules = [rule for rule in self._applied.values() if _holds(rule.spec, policy)]
        rules.sort(key=lambda rule: (rule.spec.order, rule.ref.name))
        return "\n\n".join(rule.spec.body for rule in rules if rule.spec.body)


def _holds(rule: RuleSpec, policy: Policy) -> bool:
    return not rule.paused and (not rule.scopes or policy.scope in rule.scopes)
