"""Two versions of one note, joined."""

from vaultloop.vault.merge.version import Merged, Version


def merge_note(base: bytes | None, one: Version, other: Version, *, declaration: bool) -> Merged:
    """Join two versions of a note that parted at `base` (None: both made it).

    The order of the two does not matter: the result has the same bytes.

    Args:
        declaration: it lies under `agent/`, so nothing is unioned and nothing is folded into it.
    """
    raise NotImplementedError
