"""From a scope note to a policy."""

from collections.abc import Collection

from vaultloop.components.scope.kind import ScopeSpec
from vaultloop.model.conversation import OWNER
from vaultloop.model.policy import Audience, Policy
from vaultloop.model.resource import Resource


def policy_of(resource: Resource[ScopeSpec], owners: Collection[str]) -> Policy:
    """The policy that the note declares."""
    scope = resource.spec
    who = scope.audience(owners)
    return Policy(
        scope=resource.ref.name,
        audience=who,
        chats=scope.chats,
        people=_people(scope, who),
        can_read=scope.can_read,
        can_write=scope.can_write,
        except_=scope.except_,
        abilities=tuple(scope.abilities),
        commands=scope.commands,
        self_edit=scope.self_edit or ("propose" if who is Audience.OWNER else "deny"),
        conversation=scope.conversation,
        model=scope.model,
        max_steps=scope.max_steps,
        stop_after=scope.stop_after,
        budget_usd_per_run=scope.budget_usd_per_run,
        files_to=scope.files_to,
        instructions=scope.body,
    )


def _people(scope: ScopeSpec, who: Audience) -> tuple[str, ...]:
    if scope.people is None:
        return (OWNER,) if who is Audience.OWNER else ()
    return scope.people
