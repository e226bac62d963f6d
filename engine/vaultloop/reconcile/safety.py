"""The guard against mass deletion: an emptied folder or a bad merge must not silence the whole agent.

A plan that would delete more than half of what runs (and at least three), or all of it, waits for the owner.
Removing access never waits: an owner who revokes in haste must not be asked whether he means it.
"""

from collections.abc import Collection, Sequence
from typing import Any

from vaultloop.model.resource import Kind, Ref, Stage
from vaultloop.state.status_book import Hold

# Deleting two of three notes is everyday tidying.
FEWEST = 3


def hold(
    vanished: Collection[Ref],
    running: int,
    *,
    kinds: Sequence[Kind[Any]],
    revision: str,
    declarations: str,
    before: Hold | None,
) -> Hold | None:
    """What of the `vanished` waits at `revision`.

    What waited before and is still gone waits on, whatever else was edited meanwhile: only the owner's word
    or the notes' return end it.
    """
    stages = {kind.name: kind.stage for kind in kinds}
    mine = frozenset(ref for ref in vanished if stages[ref.kind] is not Stage.ACCESS)
    waiting = (
        mine if _is_too_much(len(vanished), running) else mine & (before.refs if before else frozenset())
    )
    if not waiting:
        return None
    if before is not None and before.declarations == declarations:
        revision = before.revision
    return Hold(revision, declarations, waiting)


def _is_too_much(deleted: int, running: int) -> bool:
    return deleted > 0 and (deleted == running or (deleted >= FEWEST and deleted * 2 > running))


def sentence(waiting: Hold, running: int) -> str:
    """What the owner is told."""
    count = len(waiting.refs)
    what = "one resource" if count == 1 else f"{count} resources"
    return (
        f"Revision {waiting.revision[:12]} deletes {what} of {running}; they run on until you write "
        f"`vaultloop confirm {waiting.revision[:12]}` or bring the notes back. If a scope is among "
        "what was deleted, the access that it granted has ended all the same."
    )
