"""Who made the commits of a vault: the engine's own signature tells, and nothing that a commit says."""

from functools import lru_cache
from pathlib import Path

from vaultloop.model.errors import Stalled
from vaultloop.vault.git.repository import Repository
from vaultloop.vault.git.signing import AuthorClass, Signer, author_class

# So many answers are remembered; each costs a program's start, and none ever changes.
REMEMBERED = 4096


class Authors:
    """The authors' classes in one repository, by the key in one state directory; for the git thread."""

    def __init__(self, repository: Repository, state: Path) -> None:
        self._repository, self._state = repository, state
        self._signer: Signer | None = None
        self.class_of = lru_cache(REMEMBERED)(self._class_of)

    def _class_of(self, commit: str) -> AuthorClass | None:
        """Who made `commit`; None for a merge. Where there is no key yet, nobody but humans has."""
        signer = self._signer or self._loaded()
        if signer is None:
            merge = len(self._repository.read_commit(commit).parents) > 1
            return None if merge else AuthorClass.HUMAN
        return author_class(self._repository, commit, signer)

    def _loaded(self) -> Signer | None:
        try:
            self._signer = Signer.load(self._state)
        except Stalled:
            return None
        return self._signer
