"""From a snapshot to a plan: what shall run at a revision, and the steps from what runs now.

Pure: the same snapshot, last good versions and observation always give the same plan.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vaultloop.model.change import Action, AnyChange, Change, Plan, field_changes
from vaultloop.model.resource import NOTHING_KNOWN, AnyResource, Kind, Known, Ref
from vaultloop.model.snapshot import Snapshot
from vaultloop.reconcile.renames import renames
from vaultloop.state.status_book import LastGood

# Stop before start.
_ORDER = (Action.DELETE, Action.UPDATE, Action.CREATE)


@dataclass(frozen=True, slots=True)
class Desired:
    """What shall run at a revision.

    Attributes:
        resources: every one with its uid; also last good versions of notes that are invalid now.
        renamed: old names by new ones.
        outdated: those that run in an older version, as their note is invalid.
        closed: those among the invalid that must not run on as they were: what is desired of them is less.
        vanished: what ran and whose note is gone.
        known: names of what ran before, in whatever version.
    """

    revision: str
    resources: Mapping[Ref, AnyResource]
    renamed: Mapping[Ref, Ref] = field(default_factory=dict)
    outdated: frozenset[Ref] = frozenset()
    closed: frozenset[Ref] = frozenset()
    vanished: Mapping[Ref, AnyResource] = field(default_factory=dict)
    known: frozenset[Ref] = frozenset()

    def keeping(self, held: Collection[Ref]) -> "Desired":
        """The same, but what is `held` of the vanished runs on."""
        kept = {ref: resource for ref, resource in self.vanished.items() if ref in held}
        return replace(
            self,
            resources={**self.resources, **kept},
            vanished={ref: resource for ref, resource in self.vanished.items() if ref not in held},
        )


def desire(snapshot: Snapshot, last_good: Iterable[LastGood], kinds: Sequence[Kind[Any]]) -> Desired:
    """What shall run, given what the vault declares and what ran before."""
    runnable = {kind.name: kind for kind in kinds if kind.has_component}
    known = {good.ref: good for good in last_good if good.ref.kind in runnable}
    declared = {ref: resource for ref, resource in snapshot.resources.items() if ref.kind in runnable}
    gone = [known[ref] for ref in known if ref not in declared and ref not in snapshot.broken]
    renamed = renames(gone, [resource for ref, resource in declared.items() if ref not in known])
    invalid = _revived((known[ref] for ref in snapshot.broken if ref in known), runnable)
    closed = _closed(invalid)
    return Desired(
        revision=snapshot.revision,
        resources={
            **_identified(declared, known, renamed, snapshot.revision),
            **invalid,
            **closed,
        },
        renamed=renamed,
        outdated=frozenset(invalid.keys() - closed.keys()),
        closed=frozenset(closed),
        vanished=_revived((good for good in gone if good.ref not in renamed.values()), runnable),
        known=frozenset(known),
    )


def plan(
    desired: Desired,
    observed: Mapping[Ref, AnyResource],
    snapshot: Snapshot,
    kinds: Sequence[Kind[Any]],
    known: Known = NOTHING_KNOWN,
) -> Plan:
    """The steps from `observed` to `desired`, in the order of applying; what is `known` is told with them."""
    changes = [change for change in _steps(desired, observed) if not is_quiet(change)]
    by_name = {kind.name: (number, kind) for number, kind in enumerate(kinds)}

    def position(change: AnyChange) -> tuple[int, int, int, bool, str]:
        number, kind = by_name[change.ref.kind]
        # After a restart all is created: what ran before takes its place before what would contest it.
        is_new = change.ref not in desired.known
        return kind.stage, _ORDER.index(change.action), number, is_new, change.ref.name

    described = [_described(change, by_name[change.ref.kind][1], known) for change in changes]
    return Plan(desired.revision, tuple(sorted(described, key=position)), snapshot.problems)


def quiet_steps(desired: Desired, observed: Mapping[Ref, AnyResource]) -> tuple[AnyChange, ...]:
    """Steps that change nothing that runs, only where it is written: a comment, another folder."""
    return tuple(change for change in _steps(desired, observed) if is_quiet(change))


def is_quiet(change: AnyChange) -> bool:
    """Whether nothing that runs differs: not the fields, not the name, not the identity."""
    old, new = change.old, change.new
    return (
        old is not None and new is not None and (old.ref, old.spec, old.uid) == (new.ref, new.spec, new.uid)
    )


def as_applied(
    last_good: Iterable[LastGood], desired: Desired, kinds: Sequence[Kind[Any]]
) -> dict[Ref, AnyResource]:
    """What an engine that is not running would say it runs: the last good versions, closed ones closed."""
    runnable = {kind.name: kind for kind in kinds if kind.has_component}
    found = _revived(last_good, runnable)
    return {ref: desired.resources[ref] if ref in desired.closed else found[ref] for ref in found}


def _steps(desired: Desired, observed: Mapping[Ref, AnyResource]) -> Iterable[AnyChange]:
    renamed_away = {old for new, old in desired.renamed.items() if new not in observed}
    for ref in sorted(observed.keys() - desired.resources.keys() - renamed_away):
        yield Change(Action.DELETE, observed[ref], None)
    for ref, new in sorted(desired.resources.items()):
        old = observed.get(ref) or observed.get(desired.renamed.get(ref, ref))
        if old is None:
            yield Change(Action.CREATE, None, new)
        elif old != new:
            yield Change(Action.UPDATE, old, new)


def _described(change: AnyChange, kind: Kind[Any], known: Known) -> AnyChange:
    return replace(
        change,
        fields=field_changes(change.old, change.new),
        permissions=kind.spec.permission_changes(change.old, change.new, known),
    )


def _revived(versions: Iterable[LastGood], kinds: Mapping[str, Kind[Any]]) -> dict[Ref, AnyResource]:
    found = {good.ref: good.resource(kinds) for good in versions}
    return {ref: resource for ref, resource in found.items() if resource is not None}


def _closed(invalid: Mapping[Ref, AnyResource]) -> dict[Ref, AnyResource]:
    """Those that must not run on as they were, in the version that may."""
    versions = {ref: resource.spec.closed() for ref, resource in invalid.items()}
    return {ref: replace(invalid[ref], spec=spec) for ref, spec in versions.items() if spec is not None}


def _identified(
    declared: Mapping[Ref, AnyResource],
    known: Mapping[Ref, LastGood],
    renamed: Mapping[Ref, Ref],
    revision: str,
) -> dict[Ref, AnyResource]:
    """The declared resources with their uids: what they had, what they say, or a new one, in this order."""
    inherited = {ref: known[renamed.get(ref, ref)].uid for ref in declared if renamed.get(ref, ref) in known}
    taken = {(ref.kind, uid) for ref, uid in inherited.items()}
    found = {}
    for ref, resource in declared.items():
        said = resource.spec.id
        if ref in inherited:
            uid = inherited[ref]
        elif said and (ref.kind, said) not in taken:
            uid = said
        else:
            uid = _new_uid(ref, revision)
        taken.add((ref.kind, uid))
        found[ref] = replace(resource, uid=uid)
    return found


def _new_uid(ref: Ref, revision: str) -> str:
    # Not random, so that two plans of one revision are the same; and not of the name alone: a note that is
    # deleted and written anew later is another resource.
    return hashlib.sha256(f"{ref}@{revision}".encode()).hexdigest()[:12]
