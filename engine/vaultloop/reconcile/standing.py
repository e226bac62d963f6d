"""How each resource stands after a look: from facts to the six conditions, each with a sentence."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from vaultloop.model.problem import Problem
from vaultloop.model.resource import AnyResource, Kind, Ref
from vaultloop.model.snapshot import Snapshot
from vaultloop.model.status import Condition, Status
from vaultloop.reconcile.applier import Failed, HeldBack, Setback, Waiting
from vaultloop.reconcile.planner import Desired

# Condition, reason, sentence.
Verdict = tuple[Condition, str, str]

READY: Verdict = (Condition.READY, "Applied", "In force as declared.")
PAUSED: Verdict = (Condition.SUSPENDED, "Paused", "Paused by its note; remove `paused: true` to resume it.")


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known after a plan was applied.

    Attributes:
        desired: with what is held among its resources.
        applied: the revision at which the last good version of each was applied first.
        observed: what really runs now.
        hold: the sentence for what waits for the owner; empty if nothing does.
        held: what waits.
    """

    snapshot: Snapshot
    desired: Desired
    setbacks: Mapping[Ref, Setback]
    applied: Mapping[Ref, str]
    observed: Collection[Ref]
    kinds: Sequence[Kind[Any]]
    held: frozenset[Ref] = frozenset()
    hold: str = ""

    def statuses(self, now: datetime) -> Iterable[Status]:
        """One for each resource that is declared, runs, or failed to end."""
        names = {*self.snapshot.resources, *self.snapshot.broken, *self.desired.resources, *self.setbacks}
        return [self._status(ref, now) for ref in sorted(names)]

    def _status(self, ref: Ref, now: datetime) -> Status:
        condition, reason, message = self._verdict(ref)
        applied = self.applied.get(ref)
        if ref in self.setbacks and ref not in self.observed:
            applied = None
        settled = condition in (Condition.READY, Condition.SUSPENDED)
        attempted = applied if settled or not self._has_component(ref) else self.snapshot.revision
        if applied is not None and self._runs_older(ref):
            message = f"{message} The version of {applied[:12]} runs on."
        return Status(ref, condition, reason, message, now, attempted, applied)

    def _verdict(self, ref: Ref) -> Verdict:
        if ref in self.held:
            return Condition.HELD, "MassDeletion", self.hold
        if ref in self.setbacks:
            return _of_setback(self.setbacks[ref])
        if ref in self.snapshot.broken:
            return self._of_invalid(ref, self.snapshot.broken[ref])
        resource = self.snapshot.resources[ref]
        if not self._has_component(ref):
            return PAUSED if resource.spec.paused else _unsupported(ref)
        problem = _first_error(self.snapshot.problems_of(resource.source.path))
        if problem is not None:
            return Condition.STALLED, _camel(problem.code), _sentence(problem)
        return PAUSED if resource.spec.paused else _in_force(resource)

    def _of_invalid(self, ref: Ref, path: str) -> Verdict:
        problem = _first_error(self.snapshot.problems_of(path))
        message = _sentence(problem) if problem else f"{path} is not valid."
        if ref in self.desired.closed:
            which = "its chats are" if self.desired.resources[ref].spec.paused else "all chats but yours are"
            return Condition.STALLED, "InvalidNote", f"{message} Until then {which} closed."
        if ref in self.desired.outdated:
            return Condition.OUTDATED, "InvalidNote", message
        return Condition.STALLED, "InvalidNote", message

    def _runs_older(self, ref: Ref) -> bool:
        return ref in self.desired.outdated or (ref in self.setbacks and ref in self.desired.resources)

    def _has_component(self, ref: Ref) -> bool:
        return any(kind.name == ref.kind and kind.has_component for kind in self.kinds)


def _of_setback(setback: Setback) -> Verdict:
    match setback:
        case Waiting(message, again, attempts):
            times = "once" if attempts == 1 else f"{attempts} times"
            message = f"{message} Tried {times}; next try at {again:%Y-%m-%d %H:%M:%S} UTC."
            return Condition.RECONCILING, "Retry", message
        case Failed(reason, message):
            return Condition.STALLED, reason, message
        case HeldBack(dependency):
            message = f"It waits for {dependency}, which could not be applied."
            return Condition.RECONCILING, "DependencyFailed", message


def _in_force(resource: AnyResource) -> Verdict:
    """What is declared and not done must not pass for done."""
    *others, last = resource.spec.not_enforced() or [""]
    if not last:
        return READY
    names, them = (f"{', '.join(others)} and {last}", "them") if others else (last, "it")
    message = f"In force, but for {names}: this version does not enforce {them} yet."
    return Condition.READY, "AppliedInPart", message


def _unsupported(ref: Ref) -> Verdict:
    message = (
        f"No component yet runs {ref.kind} notes in this version of vaultloop; `paused: true` quiets this."
    )
    return Condition.STALLED, "NoComponent", message


def _first_error(problems: Iterable[Problem]) -> Problem | None:
    return next((problem for problem in problems if problem.is_error), None)


def _sentence(problem: Problem) -> str:
    return f"{problem.file}:{problem.line}: {problem.message} {problem.cure}"


def _camel(code: str) -> str:
    return "".join(word.capitalize() for word in code.split("-"))


def has_unfinished(setbacks: Mapping[Ref, Setback]) -> bool:
    """Whether something will be tried again by itself."""
    return any(not isinstance(setback, Failed) for setback in setbacks.values())


def running(desired: Desired, setbacks: Mapping[Ref, Setback]) -> Iterable[AnyResource]:
    """What runs in the version that the revision declares."""
    older = desired.outdated | desired.closed
    return [r for ref, r in desired.resources.items() if ref not in older and ref not in setbacks]
