"""Frontmatter keys: ours, those of Obsidian and its plugins, and slips of the finger."""

import re
from collections.abc import Collection, Iterable
from typing import Any

from vaultloop.model.resource import Kind, Spec
from vaultloop.model.words import near_miss, shape

__all__ = ["is_of_others", "near_kind_key", "near_miss"]

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

# Keys that let somebody or something in, keep it out, say who hears or is told something, bound what is
# spent, or name what is run. No line of theirs is corrected without asking: a narrower value narrows what
# was never meant to be narrow, and a wider one grants.
GRANTS = frozenset(
    """
    id paused scope scopes chats people answers can-read can-write except trusts attachments mounts abilities
    mcp-servers telegram-may telegram-chats hosts self-edit commands files-to send-to send-when secrets
    allow-tools runner command args transport url provider platform application watch on-failure
    budget-usd-per-run budget-usd-per-day budget-usd-per-month messages-per-person-per-hour max-steps
    max-sessions max-tokens stop-after retries path archive storage tier inject
    """.split()  # noqa: SIM905 - as above
)
# Kinds of notes whose every line grants, or is inherited by those that grant: one wrong line keeps the whole
# note from being in force, so mending any of them brings all the others into force.
GRANTING_KINDS = frozenset({"scope", "defaults", "bridge", "mcp-server", "deploy"})
_KEY = re.compile(r"[\"']?([\w-]+)[\"']?\s*[:=]")


def is_of_others(key: str) -> bool:
    """Whether the key belongs to Obsidian, a plugin, or the owner's own bookkeeping (`x-...`)."""
    written = shape(key)
    return written in _OF_OTHERS or written.startswith(("x-", "obsidian-", "dg-", "sr-"))


def key_of(line: str) -> str | None:
    """The key that begins at a line's very start, if one does."""
    found = _KEY.match(line.lstrip()) if line[:1].strip() else None
    return found[1] if found else None


def own_keys(keys: Collection[str], kinds: Iterable[Kind[Any]]) -> dict[str, int]:
    """How many of `keys` are a kind's own, by its name: those that every kind has do not count."""
    return {
        kind.name: count
        for kind in kinds
        if (count := sum(key in kind.spec.frontmatter() for key in set(keys) - Spec.frontmatter().keys()))
    }


def near_kind_key(keys: Collection[str]) -> str | None:
    """A key that was probably meant to be `kind`, in a note that lacks it."""
    return next(
        (key for key in keys if key != "kind" and shape(key) in {"kind", "kinds", "kid", "kindd", "knd"}),
        None,
    )
