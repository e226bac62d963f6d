"""Which vanished resource lives on under another name."""

from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher

from vaultloop.model.resource import AnyResource, Ref
from vaultloop.state.status_book import LastGood

# Two short notes of one kind share much of their frontmatter; a renamed note shares nearly everything.
MOSTLY = 0.75


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
    for new in appeared:
        for old in gone:
            if old.ref.kind != new.ref.kind:
                continue
            distance = _distance(old, new)
            if distance is not None:
                yield distance, new.ref, old.ref


def _distance(old: LastGood, new: AnyResource) -> float | None:
    """None if these are two different things; from -2 (same id) over -1 (same content) to 1."""
    if new.spec.id is not None and new.spec.id == old.uid:
        return -2
    if new.source.blob == old.blob:
        return -1
    texts = SequenceMatcher(None, old.text, new.source.text, autojunk=False)
    # From cheap to dear: the first two only bound the third from above.
    if min(texts.real_quick_ratio(), texts.quick_ratio()) < MOSTLY:
        return None
    ratio = texts.ratio()
    return 1 - ratio if ratio >= MOSTLY else None
