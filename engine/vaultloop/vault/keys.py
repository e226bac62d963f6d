"""Frontmatter keys: ours, those of Obsidian and its plugins, and slips of the finger."""

import re
from collections.abc import Collection, Iterable
from difflib import SequenceMatcher

# What Obsidian, its common plugins and publishing tools write into a note's properties.
_OF_OTHERS = frozenset(
    """
    alias aliases tag tags cssclass cssclasses created modified updated date time publish permalink title
    author authors source status type category categories cover image banner banner-icon icon color sticker
    created-at updated-at modified-at date-created date-modified date-updated creation-date modification-date
    last-modified last-updated ctime mtime created-by week day year month up down next prev previous parent
    related position template templates lang language draft layout weight slug cards-deck sr-due sr-interval
    sr-ease obsidianuimode obsidianeditingmode linter-yaml-title-alias disabled-rules excalidraw-plugin
    kanban-plugin dg-publish dg-home share-link share-updated number-headings longform bookmark uid uuid
    zotero-key citekey doi url-source pinned rating starred
    """.split()  # noqa: SIM905 - a list of seventy quoted words is not read by anybody
)


def _shape(key: str) -> str:
    return re.sub(r"[\s_-]+", "-", key.strip().casefold())


def is_of_others(key: str) -> bool:
    """Whether the key belongs to Obsidian, a plugin, or the owner's own bookkeeping (`x-...`)."""
    shape = _shape(key)
    return shape in _OF_OTHERS or shape.startswith(("x-", "obsidian-", "dg-", "sr-"))


def near_miss(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` was probably meant to be."""
    shape = _shape(word)
    shapes = {_shape(candidate): candidate for candidate in known}
    if shape in shapes:
        return shapes[shape]
    likeness = {candidate: SequenceMatcher(None, shape, other).ratio() for other, candidate in shapes.items()}
    best = max(likeness, key=lambda candidate: likeness[candidate], default=None)
    if best is None:
        return None
    # A letter more, less or other: 0.75 in a word of four letters, 0.9 in one of ten.
    return best if likeness[best] >= (0.75 if len(shape) < 6 else 0.8) else None


def near_kind_key(keys: Collection[str]) -> str | None:
    """A key that was probably meant to be `kind`, in a note that lacks it."""
    return next(
        (key for key in keys if key != "kind" and _shape(key) in {"kind", "kinds", "kid", "kindd", "knd"}),
        None,
    )
