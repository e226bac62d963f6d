"""Words as people type them: which known one was probably meant, and which beyond doubt."""

import re
from collections.abc import Iterable
from difflib import SequenceMatcher

# What turns a word into its opposite. `none` and `notify` are caught too: doubt costs nothing here.
_NEGATIONS = ("no", "un", "not", "non", "dis", "x-", "cannot", "cant", "never", "without")
# In a shorter word one letter makes another word of it.
_LONG_ENOUGH = 5


def shape(word: str) -> str:
    """A word without regard to case, and to how its parts are joined: `Catch up` is `catch-up`."""
    return re.sub(r"[\s_-]+", "-", word.strip().casefold())


def near_miss(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` was probably meant to be."""
    sought = shape(word)
    shapes = {shape(candidate): candidate for candidate in known}
    if sought in shapes:
        return shapes[sought]
    likeness = {
        candidate: SequenceMatcher(None, sought, other).ratio()
        for other, candidate in shapes.items()
        if not _means_something_else(sought, other)
    }
    best = max(likeness, key=lambda candidate: likeness[candidate], default=None)
    if best is None:
        return None
    # A letter more, less or other: 0.75 in a word of four letters, 0.77 in `retrys`, 0.9 in one of ten.
    return best if likeness[best] >= (0.75 if len(sought) < 8 else 0.8) else None


def unmistakable(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` can only have been meant to be.

    The same word in another case or joined otherwise; or one slip of the finger in a word that is long
    enough, while no other known word is near and neither of the two negates something.
    """
    sought = shape(word)
    shapes = {shape(candidate): candidate for candidate in known}
    if sought in shapes:
        return shapes[sought]
    near = [other for other in shapes if edits(sought, other) <= 2]
    if len(near) != 1 or edits(sought, near[0]) > 1 or len(near[0]) < _LONG_ENOUGH:
        return None
    return None if near[0].startswith(_NEGATIONS) or sought.startswith(_NEGATIONS) else shapes[near[0]]


def edits(one: str, other: str) -> int:
    """How many letters were added, left out, exchanged, or swapped with the next one; 3 stands for more."""
    if abs(len(one) - len(other)) > 2:
        return 3
    before: list[int] = []
    row = list(range(len(other) + 1))
    for at, letter in enumerate(one, start=1):
        earlier, before, row = before, row, [at]
        for to, wanted in enumerate(other, start=1):
            cost = min(before[to] + 1, row[-1] + 1, before[to - 1] + (letter != wanted))
            if at > 1 and to > 1 and letter == other[to - 2] and one[at - 2] == wanted:
                cost = min(cost, earlier[to - 2] + 1)
            row.append(cost)
    return min(row[-1], 3)


def _means_something_else(sought: str, other: str) -> bool:
    """Whether two words that look alike differ by a negation or by a whole word."""
    if edits(sought, other) <= 1 and min(len(sought), len(other)) >= _LONG_ENOUGH:
        return False
    negated = [word.startswith(_NEGATIONS) for word in (sought, other)]
    if negated[0] != negated[1] or (len(sought) < _LONG_ENOUGH and edits(sought, other) > 1):
        return True
    mine, theirs = sought.split("-"), other.split("-")
    if len(mine) != len(theirs):
        return False
    return any(
        one != each and SequenceMatcher(None, one, each).ratio() < 0.5 and edits(one, each) > 1
        for one, each in zip(mine, theirs, strict=True)
        if len(mine) > 1
    )
