"""A component that keeps the contract of one and runs nothing, for tests of what lies around components."""

from collections.abc import Iterable, Mapping
from typing import Any, Self

from vaultloop.model.change import Change
from vaultloop.model.resource import Ref, Resource


class PlainComponent:
    """Implements `Component`; `refusals` are raised, one at each attempt, for the resource of that name."""

    def __init__(self) -> None:
        self.running: dict[Ref, Resource[Any]] = {}
        self.log: list[str] = []
        self.refusals: dict[str, list[Exception]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.running.clear()

    def inputs(self, spec: Any) -> Iterable[str]:
        del spec
        return ()

    def observe(self) -> Mapping[Ref, Resource[Any]]:
        return dict(self.running)

    async def apply(self, change: Change[Any]) -> None:
        self.log.append(f"{change.action} {change.ref}")
        if self.refusals.get(change.ref.name):
            raise self.refusals[change.ref.name].pop(0)
        if change.old is not None:
            self.running.pop(change.old.ref, None)
        if change.new is not None:
            self.running[change.new.ref] = change.new
