"""Whether one side has taken all of the other's changes already: then it is their merge, and stays as it is.

The difference of a merge to the base is not the sum of two differences once sections were moved, so this is
asked of the texts, not of the changes.
"""

from collections import Counter
from collections.abc import Sequence

from vaultloop.vault.merge.blocks import Block


def has_taken(base: Sequence[Block], whole: Sequence[Block], part: Sequence[Block]) -> bool:
    """Whether each block that `part` put in, took out or moved is so in `whole`.

    What was put in must stand next to the same block of the base there: the same line at another place is
    another line.
    """
    before, there, here = Counter(base), Counter(whole), Counter(part)
    added, removed = here - before, before - here
    if not added <= there - before or not removed <= before - there:
        return False
    once = {block for block in here if here[block] == 1 == before[block]}
    order = [block for block in part if block in once]
    # Whatever moved stands there in the same order.
    if order != [block for block in base if block in once] and order != [
        block for block in whole if block in once
    ]:
        return False
    once = {block for block in once if there[block] == 1}
    around = _neighbours(whole, set(added), once)
    return all(places & around[block] for block, places in _neighbours(part, set(added), once).items())


def _neighbours(
    blocks: Sequence[Block], among: set[Block], once: set[Block]
) -> dict[Block, set[tuple[str, str]]]:
    """Which of the blocks in `once` stand next to some others, above and below."""
    found: dict[Block, set[tuple[str, str]]] = {block: set() for block in among}
    for side, ordered in (("above", blocks), ("below", blocks[::-1])):
        last = ""
        for block in ordered:
            if block in among:
                found[block].add((side, last))
            elif block in once:
                last = block.text
    return found
