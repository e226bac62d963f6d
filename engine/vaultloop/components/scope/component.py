"""The scopes in force: who is admitted where, and under which policy."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from vaultloop.components.scope.kind import ScopeSpec
from vaultloop.components.scope.policies import policy_of
from vaultloop.model.change import Change
from vaultloop.model.conversation import ANYONE, OWNER, Message
from vaultloop.model.errors import Denied, Stalled
from vaultloop.model.policy import Policy
from vaultloop.model.resource import Ref, Resource


@dataclass(frozen=True, slots=True)
class _Applied:
    resource: Resource[ScopeSpec]
    policy: Policy


class ScopeComponent:
    """The one owner of scopes, and the guard of every conversation.

    `owners` are the ids of the vault's owners, from the operator's settings.
    """

    def __init__(self, owners: Collection[str]) -> None:
        self._owners = frozenset(owners)
        self._applied: dict[Ref, _Applied] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._applied.clear()

    def inputs(self, spec: ScopeSpec) -> Iterable[str]:
        """Nothing but the note itself."""
        del spec
        return ()

    def observe(self) -> Mapping[Ref, Resource[ScopeSpec]]:
        """The scopes that are enforced, paused ones included: they close their chats."""
        return {ref: applied.resource for ref, applied in self._applied.items()}

    async def apply(self, change: Change[ScopeSpec]) -> None:
        """Enforce a scope, or stop to.

        Raises:
            Stalled: another scope has the owner's chat, which must not close because two claim it.
        """
        replaced = {ref for resource in (change.old, change.new) if resource for ref in (resource.ref,)}
        new = change.new
        if new is not None:
            self._leave_the_owner_in(new, replaced)
        for ref in replaced:
            self._applied.pop(ref, None)
        if new is not None:
            self._applied[new.ref] = _Applied(new, policy_of(new, self._owners))

    def _leave_the_owner_in(self, new: Resource[ScopeSpec], replaced: Collection[Ref]) -> None:
        if OWNER not in self._claims(new.spec):
            return
        for ref, other in self._applied.items():
            if ref not in replaced and OWNER in self._claims(other.resource.spec):
                raise Stalled(
                    f"The owner's chat already has the scope `{ref.name}`, which stays in force.",
                    cure=f"Delete `owner` from the chats of `{new.ref.name}` or of `{ref.name}`.",
                    holder=ref,
                )

    # The guard.

    def admit(self, message: Message) -> Policy:
        """The policy under which this person speaks in this chat.

        Raises:
            Denied: no scope claims the chat, two do, it is paused, or the person is not in its list.
        """
        policy = self._governing(self._chat(message.chat)).policy
        if not self._may_speak(message.person, policy):
            raise Denied(f"You are not among the people who may speak here (scope `{policy.scope}`).")
        return policy

    def policy(self, scope: str) -> Policy:
        """The policy of a scope by name.

        Raises:
            Denied: no such scope is in force, or it is paused.
        """
        applied = self._applied.get(Ref("scope", scope))
        if applied is None:
            raise Denied(f"There is no scope `{scope}` in force.")
        return self._unpaused(applied).policy

    def is_owners(self, chat: str) -> bool:
        """Whether a chat is the owner's private one."""
        return self._chat(chat) == OWNER

    def _governing(self, chat: str) -> _Applied:
        claiming = [scope for scope in self._applied.values() if chat in self._claims(scope.resource.spec)]
        if not claiming:
            raise Denied("This chat has no scope, so nobody is answered here.")
        if len(claiming) > 1:
            names = " and ".join(sorted(f"`{scope.policy.scope}`" for scope in claiming))
            raise Denied(
                f"This chat is claimed by the scopes {names} and closed until only one of them does."
            )
        return self._unpaused(claiming[0])

    @staticmethod
    def _unpaused(applied: _Applied) -> _Applied:
        if applied.resource.spec.paused:
            raise Denied(f"The scope `{applied.policy.scope}` is paused.")
        return applied

    def _claims(self, spec: ScopeSpec) -> frozenset[str]:
        return frozenset(self._chat(chat) for chat in spec.chats)

    def _chat(self, chat: str) -> str:
        # A private chat has the id of the person in it; the owner has one on each platform.
        return OWNER if chat in self._owners else chat

    def _may_speak(self, person: str, policy: Policy) -> bool:
        if ANYONE in policy.people or person in policy.people:
            return True
        if person == OWNER:
            # At the console the owner has no id, but is each of those that the operator named.
            return not self._owners.isdisjoint(policy.people)
        return OWNER in policy.people and person in self._owners
