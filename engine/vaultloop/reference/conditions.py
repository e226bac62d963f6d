"""Which conditions a kind can show, and what to do about each."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from vaultloop.model.resource import Kind, Reference, Spec, Stage
from vaultloop.model.status import Condition


@dataclass(frozen=True, slots=True)
class Standing:
    """One row of the table: what `status` shows, when, and the way on."""

    condition: Condition
    reason: str
    when: str
    cure: str


def conditions(kind: Kind[Any], stages: dict[str, Stage]) -> Iterable[Standing]:
    """What follows for a kind from how the reconciler treats it; `stages` are those of all kinds.

    What only its component knows (`ApplyFailed`) stands in the kind's guide.
    """
    if not kind.has_component:
        yield Standing(
            Condition.STALLED,
            "NoComponent",
            f"Nothing runs `{kind.name}` notes in this version.",
            "Nothing is wrong with the note. `paused: true` quiets it.",
        )
    else:
        yield from _in_force(kind)
        yield from _not_in_force(kind, stages)
    yield from _invalid(kind)
    yield Standing(
        Condition.SUSPENDED, "Paused", "The note says `paused: true`.", "Delete that line to resume it."
    )


def _in_force(kind: Kind[Any]) -> Iterable[Standing]:
    yield Standing(Condition.READY, "Applied", "It is in force as declared.", "Nothing.")
    if kind.spec.to_come or (kind.spec.entries_in and kind.spec.entry_spec().to_come):
        yield Standing(
            Condition.READY,
            "AppliedInPart",
            "It is in force, but for fields that this version does nothing about yet; "
            "`vaultloop status --json` names them.",
            "Do not count on those fields, or delete their lines.",
        )


def _not_in_force(kind: Kind[Any], stages: dict[str, Stage]) -> Iterable[Standing]:
    if any(stages[name] is Stage.ACCESS for name in _needed(kind.spec)):
        yield Standing(
            Condition.RECONCILING,
            "DependencyFailed",
            "A note that it names governs access and could not be applied.",
            "Mend that note; this one follows by itself.",
        )
    if kind.stage is not Stage.ACCESS:
        yield Standing(
            Condition.HELD,
            "MassDeletion",
            "The newest revision deletes more than half of all resources, this one among them; it runs on.",
            "`vaultloop confirm REVISION` deletes, bringing the notes back keeps.",
        )
    yield Standing(
        Condition.STALLED,
        "InternalError",
        "A bug of Vaultloop; the rest runs on.",
        "Look into the engine's log and report it. Any edit of a declaration tries again.",
    )


def _invalid(kind: Kind[Any]) -> Iterable[Standing]:
    mend = "`vaultloop check` shows the line and what to write."
    if not kind.has_component:
        yield Standing(Condition.STALLED, "InvalidNote", "The note has an error.", mend)
    elif kind.spec.closed is Spec.closed:
        yield Standing(
            Condition.OUTDATED, "InvalidNote", "The note has an error; its last good version runs on.", mend
        )
        yield Standing(
            Condition.STALLED, "InvalidNote", "The note has an error and never had a good version.", mend
        )
    else:
        yield Standing(
            Condition.STALLED,
            "InvalidNote",
            "The note has an error; until it is mended, less is allowed than before, or nothing.",
            mend,
        )


def _needed(spec: type[Spec]) -> Iterable[str]:
    """Kinds that a note of this one may name."""
    for field in spec.model_fields.values():
        yield from (mark.kind for mark in field.metadata if isinstance(mark, Reference))
