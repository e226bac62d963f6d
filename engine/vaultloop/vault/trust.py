"""Whose commits count: what nobody trusted has signed is held, and the last good runs on."""

from collections.abc import Collection

from vaultloop.vault.repository import Repository


class Trust:
    """What the settings `trust`, `allowed-signers` and `trust-folder` say; off, everything is allowed."""

    def refusal(self, repository: Repository, old: str | None, new: str) -> str | None:
        """Why `new` may not come onto the branch that is at `old`: which commit, which paths, what to do.

        Every commit of the range is looked at, also in the middle. None if it may.
        """
        raise NotImplementedError

    def withheld(self, repository: Repository, head: str | None, paths: Collection[str]) -> tuple[str, ...]:
        """Those of `paths`, edited in the watched folder, that do not count without a signature."""
        raise NotImplementedError
