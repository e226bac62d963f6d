"""Words as people type them: which known one was probably meant."""

import re
from collections.abc import Iterable
from difflib import SequenceMatcher


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
        candidate: SequenceMatcher(None, sought, other).ratio() for other, candidate in shapes.items()
    }
    best = max(likeness, key=lambda candidate: likeness[candidate], default=None)
    if best is None:
        return None
    # A letter more, less or other: 0.75 in a word of four letters, 0.77 in `retrys`, 0.9 in one of ten.
    return best if likeness[best] >= (0.75 if len(sought) < 8 else 0.8) else None
