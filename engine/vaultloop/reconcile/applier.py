"""Applying a plan: one change after the other, and what a failure of one means for the others.

A failure is a value here. It concerns its own resource and those that refer to it; everything else goes on.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from vaultloop.aio.clock import Clock
from vaultloop.aio.failpoint import Failpoint, reached
from vaultloop.model.change import AnyChange
from vaultloop.model.component import Component
from vaultloop.model.errors import Retry, Stalled
from vaultloop.model.resource import Kind, Ref, Reference, Spec, Stage

log = logging.getLogger(__name__)

LONGEST_PAUSE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Waiting:
    """It did not work now and is tried again at `again`, for the `attempts + 1`-st time."""

    message: str
    again: datetime
    attempts: int


@dataclass(frozen=True, slots=True)
class Failed:
    """It is not tried again before somebody changed a declaration, or `holder` let go of what it wants."""

    reason: str
    message: str
    holder: Ref | None = None


@dataclass(frozen=True, slots=True)
class HeldBack:
    """It was not tried, because what it depends on is not in force."""

    dependency: Ref


Setback = Waiting | Failed | HeldBack


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a plan: the names of what was made so, and the setbacks of the rest."""

    done: frozenset[Ref]
    setbacks: Mapping[Ref, Setback]

    @property
    def again(self) -> datetime | None:
        """When the next thing is to be tried again."""
        times = [setback.again for setback in self.setbacks.values() if isinstance(setback, Waiting)]
        return min(times, default=None)


class Applier:
    """Hands changes to components and remembers what failed, so that it is not tried at every look."""

    def __init__(
        self, components: Mapping[str, Component[Any]], kinds: Sequence[Kind[Any]], clock: Clock
    ) -> None:
        self._components = components
        self._stages = {kind.name: kind.stage for kind in kinds}
        self._clock = clock
        self._setbacks: dict[Ref, tuple[AnyChange, Setback]] = {}

    async def apply(self, changes: Iterable[AnyChange], *, afresh: bool) -> Applied:
        """Make `changes` so, in their order; `afresh` when declarations changed: then all is tried once."""
        before = {} if afresh else self._setbacks
        self._setbacks = {}
        done: set[Ref] = set()
        for change in changes:
            await self._take(change, before.get(change.ref), done)
        return Applied(frozenset(done), {ref: setback for ref, (_, setback) in self._setbacks.items()})

    async def _take(
        self, change: AnyChange, before: tuple[AnyChange, Setback] | None, done: set[Ref]
    ) -> None:
        """Make one change so, and then those that it stood in the way of."""
        setback = await self._step(change, before)
        if setback is not None:
            self._setbacks[change.ref] = change, setback
            return
        self._setbacks.pop(change.ref, None)
        done.add(change.ref)
        names = {resource.ref for resource in (change.old, change.new) if resource is not None}
        for stuck, why in list(self._setbacks.values()):
            if isinstance(why, Failed) and why.holder in names:
                await self._take(stuck, None, done)

    async def _step(self, change: AnyChange, before: tuple[AnyChange, Setback] | None) -> Setback | None:
        dependency = self._missing_dependency(change)
        if dependency is not None:
            return HeldBack(dependency)
        last = before[1] if before is not None and before[0] == change else None
        if isinstance(last, Failed) or (isinstance(last, Waiting) and last.again > self._clock.now()):
            return last
        return await self._try(change, last.attempts if isinstance(last, Waiting) else 0)

    async def _try(self, change: AnyChange, attempts: int) -> Setback | None:
        where = {"resource": str(change.ref)}
        try:
            await self._components[change.ref.kind].apply(change)
        except Retry as error:
            pause = min(timedelta(seconds=error.after) * 2**attempts, LONGEST_PAUSE)
            log.warning("%s %s: %s; next try in %s", change.action, change.ref, error, pause, extra=where)
            return Waiting(str(error), self._clock.now() + pause, attempts + 1)
        except Stalled as error:
            log.warning("%s %s: %s", change.action, change.ref, error, extra=where)
            return Failed("ApplyFailed", str(error), error.holder)
        except Exception as error:
            log.exception("%s %s failed", change.action, change.ref, extra=where)
            # The text of an unforeseen error may hold anything, a secret too: it stays in the log.
            return Failed("InternalError", f"This is a bug: {type(error).__name__}. The log has the details.")
        log.info("%s %s", change.action, change.ref, extra=where)
        reached(Failpoint.RESOURCE_APPLIED)
        return None

    def _missing_dependency(self, change: AnyChange) -> Ref | None:
        """Something that governs access, is referred to by `change`, and could not be made so."""
        if change.new is None:
            return None
        for ref in sorted(references(change.new.spec)):
            if ref in self._setbacks and self._stages[ref.kind] is Stage.ACCESS:
                return ref
        return None


def references(spec: Spec) -> frozenset[Ref]:
    """The resources that a spec names."""
    found: set[Ref] = set()
    for part in spec.parts():
        found |= references(part)
    for name, field in type(spec).model_fields.items():
        for mark in field.metadata:
            if isinstance(mark, Reference):
                value = getattr(spec, name) or ()
                names = value if isinstance(value, tuple) else (value,)
                found.update(Ref(mark.kind, str(text)) for text in names if text not in mark.words)
    return frozenset(found)
