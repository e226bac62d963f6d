"""Hands the `defaults` note to the sessions."""

from collections.abc import Iterable, Mapping
from typing import Self

from vaultloop.components.defaults.kind import DefaultsSpec
from vaultloop.model.change import Change
from vaultloop.model.component import Configurable
from vaultloop.model.conversation import AgentDefaults
from vaultloop.model.resource import Ref, Resource


class DefaultsComponent:
    """The one owner of `defaults`: without a note, or with a paused one, what is built in holds."""

    def __init__(self, sessions: Configurable) -> None:
        self._sessions = sessions
        self._applied: dict[Ref, Resource[DefaultsSpec]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._applied.clear()

    def inputs(self, spec: DefaultsSpec) -> Iterable[str]:
        """Nothing but the note itself."""
        del spec
        return ()

    def observe(self) -> Mapping[Ref, Resource[DefaultsSpec]]:
        """The note in force."""
        return dict(self._applied)

    async def apply(self, change: Change[DefaultsSpec]) -> None:
        """Put the note, or what is built in, in force."""
        new = change.new
        # There is one such note at most, so the newest is the only one.
        self._applied = {} if new is None else {new.ref: new}
        in_force = new is not None and not new.spec.paused
        self._sessions.configure(new.spec.agent() if new and in_force else AgentDefaults())
