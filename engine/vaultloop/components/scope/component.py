"""The scopes in force: who is admitted where, and under which policy."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Self

from vaultloop.components.scope.kind import ScopeSpec
from vaultloop.components.scope.policies import policy_of
from vaultloop.model.change import Change
from vaultloop.model.conversation import ANYONE, OWNER, Message
from vaultloop.model.errors import Denied, NotYet, Stalled
from vaultloop.model.policy import Audience, Policy
from vaultloop.model.resource import Ref, Resource


@dataclass(frozen=True, slots=True)
class _Applied:
    """A scope in force.

    Attributes:
        resource: as it is in force.
        lacking: why less of it is in force than was declared; None where all of it is.
    """

    resource: Resource[ScopeSpec]
    policy: Policy
    lacking: Stalled | None = None

    @property
    def shown(self) -> Resource[ScopeSpec]:
        """What really runs: of one that waits, nothing."""
        if self.lacking is None:
            return self.resource
        return replace(self.resource, spec=self.resource.spec.model_copy(update={"paused": True}))


class ScopeComponent:
    """The one owner of scopes, and the guard of every conversation."""

    def __init__(
        self, owners: Collection[str], confinement: Callable[[Audience], object] = lambda _: None
    ) -> None:
        """Guard for the `owners`, ids from the operator's settings.

        `confinement` raises Stalled where sessions of a class may not run on this machine.
        """
        self._owners = frozenset(owners)
        self._confinement = confinement
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
        return {ref: applied.shown for ref, applied in self._applied.items()}

    def mounts(self) -> Mapping[str, Collection[str]]:
        """What each scope that runs names of the operator's folders."""
        running = (applied for applied in self._applied.values() if not applied.shown.spec.paused)
        return {applied.policy.scope: applied.policy.mounts for applied in running}

    async def apply(self, change: Change[ScopeSpec]) -> None:
        """Enforce a scope, or stop to.

        A scope that cannot have what it names waits: its chats are told so, and what it allowed before it
        allows no longer. The owner's own chat stays open, for commands at least.

        Raises:
            Stalled: another scope has the owner's chat, which must not close because two claim it; or the
                scope waits, for tool servers or for a fence that its class of sessions needs.
        """
        replaced = {ref for resource in (change.old, change.new) if resource for ref in (resource.ref,)}
        new = change.new
        if new is not None:
            self._leave_the_owner_in(new, replaced)
        for ref in replaced:
            self._applied.pop(ref, None)
        if new is None:
            return
        lacking = None if new.spec.paused else self._lacking(new)
        enforced = self._reduced(new) if lacking else new
        self._applied[new.ref] = _Applied(enforced, policy_of(enforced, self._owners), lacking)
        if lacking is not None:
            raise lacking

    def _reduced(self, scope: Resource[ScopeSpec]) -> Resource[ScopeSpec]:
        """What of a scope is in force while it waits: as of an invalid one, only the owner's own chat."""
        # The owner's chat may be written as an id.
        chats = tuple(dict.fromkeys(map(self._chat, scope.spec.chats)))
        spec = scope.spec.model_copy(update={"chats": chats, "mcp_servers": ()})
        return replace(scope, spec=spec.closed() or spec)

    def _lacking(self, scope: Resource[ScopeSpec]) -> Stalled | None:
        """Why a scope has to wait for a human."""
        if scope.spec.mcp_servers:
            servers = ", ".join(f"`{name}`" for name in scope.spec.mcp_servers)
            return Stalled(
                f"No component yet runs tool servers ({servers}) in this version of vaultloop.",
                cure=f"Delete `mcp-servers` from the scope `{scope.ref.name}` to use it without them.",
            )
        try:
            self._confinement(scope.spec.audience(self._owners))
        except Stalled as error:
            return error
        return None

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

        The names of scopes, and what is wrong with one, are for its owner alone.

        Raises:
            NotYet: the scope waits for something that it needs.
            Denied: no scope claims the chat, two do, it is paused, or the person is not in its list.
        """
        return self.admit_openly(message) if self.is_owners(message.person) else self._admit(message)

    def admit_openly(self, message: Message) -> Policy:
        """As `admit`, for eyes of the owner: a refusal names the scope and the reason.

        Raises:
            NotYet, Denied: as `admit` does.
        """
        chat = self._chat(message.chat)
        claiming = self._claiming(chat)
        if len(claiming) > 1:
            names = " and ".join(sorted(f"`{scope.policy.scope}`" for scope in claiming))
            raise Denied(
                f"This chat is claimed by the scopes {names} and closed until only one of them does."
            )
        try:
            return self._admit(message)
        except NotYet as error:
            name, lacking = claiming[0].policy.scope, claiming[0].lacking
            raise NotYet(f"The scope `{name}` cannot be used as yet. {lacking}", error.policy) from error
        except Denied as error:
            if not claiming:
                raise
            raise Denied(f"{error} Its scope is `{claiming[0].policy.scope}`.") from error

    def _admit(self, message: Message) -> Policy:
        claiming = self._claiming(self._chat(message.chat))
        if not claiming:
            raise Denied("This chat has no scope, so nobody is answered here.")
        if len(claiming) > 1:
            raise Denied("This chat is closed at present; the owner can see why.")
        (applied,) = claiming
        may_speak = self._may_speak(message.person, applied.policy)
        if applied.resource.spec.paused:
            if applied.lacking is None:
                raise Denied("This chat is paused.")
            if may_speak or self.is_owners(message.person):
                raise NotYet("This cannot be answered here as yet; the owner can see why.", applied.policy)
        if not may_speak:
            raise Denied("You are not among the people who may speak here.")
        return applied.policy

    def policy(self, scope: str) -> Policy:
        """The policy of a scope by name.

        Raises:
            Denied: no such scope is in force, or it is paused.
        """
        applied = self._applied.get(Ref("scope", scope))
        if applied is None:
            raise Denied(f"There is no scope `{scope}` in force.")
        if applied.resource.spec.paused:
            why = f"cannot be used as yet. {applied.lacking}" if applied.lacking else "is paused."
            raise Denied(f"The scope `{scope}` {why}")
        return applied.policy

    def claiming(self, chat: str) -> tuple[Resource[ScopeSpec], ...]:
        """The scopes that have this chat, as they are in force; more than one close it."""
        return tuple(scope.resource for scope in self._claiming(self._chat(chat)))

    def people(self, scope: str) -> tuple[str, ...]:
        """Who may speak in the chats of a scope that is there, in force or waiting."""
        return self._applied[Ref("scope", scope)].policy.people

    def is_owners(self, chat: str) -> bool:
        """Whether a chat is the owner's private one."""
        return self._chat(chat) == OWNER

    def _claiming(self, chat: str) -> list[_Applied]:
        return [scope for scope in self._applied.values() if chat in self._claims(scope.resource.spec)]

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
