"""Which vanished resource lives on under another name."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from vaultloop.model.resource import AnyResource, Ref
from vaultloop.state.status_book import LastGood

# Two notes of one kind share much of their frontmatter; a renamed note shares nearly everything.
MOSTLY = 0.75
# Words of the text below. Two schedules with one short prompt are two schedules, and a name that is new must
# not inherit the past of another: where too little speaks for a rename, it is a delete and a create.
FEWEST_COMMON_WORDS = 30
# Characters. What is longer is known by its id or its content only.
LONGEST_COMPARED = 100_000


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a note consists of: lines of its frontmatter, words of the text below; in whatever order."""

    lines: Counter[str]
    words: Counter[str]

    @classmethod
    def of(cls, text: str) -> Self:
        _, _, rest = text.partition("---")
        head, _, body = rest.partition("\n---")
        lines = (line.strip() for line in head.splitlines())
        telling = (line for line in lines if line and not line.startswith(("#", "kind:")))
        return cls(Counter(telling), Counter(body.split()))


def renames(gone: Sequence[LastGood], appeared: Sequence[AnyResource]) -> dict[Ref, Ref]:
    """Old names by new ones: same id, else same content, else mostly the same text; each taken once."""
    found: dict[Ref, Ref] = {}
    for _, new, old in sorted(_candidates(gone, appeared)):
        if new not in found and old not in found.values():
            found[new] = old
    return found


def _candidates(
    gone: Sequence[LastGood], appeared: Sequence[AnyResource]
) -> Iterable[tuple[float, Ref, Ref]]:
    """Pairs with how far they are from certain, and the names."""
    if not gone:
        return
    parts = {old.ref: _Parts.of(old.text) for old in gone if len(old.text) <= LONGEST_COMPARED}
    for new in appeared:
        own = _Parts.of(new.source.text) if len(new.source.text) <= LONGEST_COMPARED else None
        for old in gone:
            if old.ref.kind != new.ref.kind:
                continue
            distance = _distance(old, new)
            if distance is None and own is not None and old.ref in parts:
                distance = _unlikeness(parts[old.ref], own)
            if distance is not None:
                yield distance, new.ref, old.ref


def _distance(old: LastGood, new: AnyResource) -> float | None:
    """-2 with the same id, -1 with the same content, else None."""
    if new.spec.id is not None and new.spec.id == old.uid:
        return -2
    if new.source.blob == old.blob:
        return -1
    return None


def _unlikeness(old: _Parts, new: _Parts) -> float | None:
    """From 0 (the same lines and words) to 1; None if these are two different notes."""
    lines = _shared(old.lines, new.lines)
    if lines < MOSTLY:
        return None
    words = _shared(old.words, new.words)
    if words < MOSTLY or words * max(old.words.total(), new.words.total()) < FEWEST_COMMON_WORDS:
        return None
    return 1 - lines * words


def _shared(old: Counter[str], new: Counter[str]) -> float:
    """The part of the longer one that both have."""
    longer = max(old.total(), new.total())
    # Each must hold enough at all; only then is it worth while to compare them.
    if min(old.total(), new.total()) < MOSTLY * longer:
        return 0.0
    return (old & new).total() / longer if longer else 1.0
