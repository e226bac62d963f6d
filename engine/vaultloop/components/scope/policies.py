"""From a scope note to a policy."""

from collections.abc import Collection

from vaultloop.components.scope.kind import ScopeSpec
from vaultloop.model.policy import Policy
from vaultloop.model.resource import Resource


def policy_of(scope: Resource[ScopeSpec], owners: Collection[str]) -> Policy:
    """The policy that the note declares; `owners` are the ids of the vault's owners."""
    return scope.spec.policy(scope.ref.name, owners)
