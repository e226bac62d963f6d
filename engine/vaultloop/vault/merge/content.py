"""Two versions of one file, joined by what kind of file it is: the engine and git's driver do it here."""

from dataclasses import replace

from vaultloop.vault.git.attributes import is_pointer
from vaultloop.vault.merge.note import merge_note, merge_text
from vaultloop.vault.merge.version import Merged, Rule, Version
from vaultloop.vault.notes.glance import is_note
from vaultloop.vault.notes.protected import is_declared_at


def joined(path: str, base: bytes | None, one: Version, other: Version, *, filtered: bool) -> Merged:
    """Join two different versions of the file that will lie at `path`; their order does not matter.

    Args:
        base: the version before both. An empty file counts as none: git tells its driver no more than that.
        filtered: a program outside of git stands before the file, so its bytes are nobody's text.
    """
    winner, loser = (one, other) if one.wins_over(other) else (other, one)
    if filtered or is_pointer(one.data) or is_pointer(other.data):
        return Merged(winner.data, frozenset({Rule.COPY}), lost=loser.data)
    if is_note(path):
        return merge_note(base or None, one, other, declaration=is_declared_at(path))
    if in_settings(path):
        return Merged(winner.data, frozenset({Rule.SETTINGS}))
    merged = merge_text(base or None, one, other, path)
    return merged if merged.lost is None else replace(merged, rules=merged.rules | {Rule.COPY})


def in_settings(path: str) -> bool:
    """Whether a file is an application's own: it lies in a folder that begins with a dot."""
    return any(part.startswith(".") for part in path.split("/")[:-1])
