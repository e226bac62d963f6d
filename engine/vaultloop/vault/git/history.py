"""The revisions of the repository around a vault, by git's names for them: to look back, never to write.

No engine and no settings are needed: who stands in the repository of a vault can compare what it declares.
"""

from pathlib import Path
from typing import Self

import pygit2

from vaultloop.model.errors import Stalled
from vaultloop.vault.git.effort import Effort
from vaultloop.vault.git.revision import RevisionFiles
from vaultloop.vault.git.trees import Trees


class History:
    """A repository, and the folder in it that is the vault.

    Attributes:
        vault: the vault's folder in the repository; empty for the top.
    """

    def __init__(self, handle: pygit2.Repository, vault: str = "") -> None:
        self._handle = handle
        self.vault = vault
        self._effort = Effort()
        self._trees = Trees(handle, self._effort)

    @classmethod
    def of(cls, repository: Path, vault: str = "") -> Self:
        """The repository whose git directory or folder this is.

        Raises:
            Stalled: there is none that can be opened.
        """
        try:
            return cls(pygit2.Repository(str(repository)), vault)
        except (pygit2.GitError, KeyError, ValueError) as error:
            raise Stalled(
                f"There is no git repository at {repository} that can be opened ({error}).",
                cure="Call this in the vault's own repository, or name its engine's settings.",
            ) from error

    @classmethod
    def around(cls, vault: Path) -> Self:
        """The repository that a vault's folder lies in.

        Raises:
            Stalled: it lies in none.
        """
        found = pygit2.discover_repository(str(vault))
        if found is None:
            raise Stalled(
                f"The vault {vault} lies in no git repository, so there are no revisions to compare.",
                cure="Call this in a clone of the vault.",
            )
        handle = cls.of(Path(found))._handle
        top = Path(handle.workdir) if handle.workdir else vault
        inside = vault.resolve().relative_to(top.resolve()).as_posix()
        return cls(handle, "" if inside == "." else inside)

    def files(self, name: str) -> RevisionFiles:
        """The vault's files at the revision that git knows by this name: an id, a branch, a tag, `HEAD~3`.

        Raises:
            Stalled: git knows no such revision.
        """
        commit = self._commit(name)
        root: str | None = str(commit.tree_id)
        if self.vault:
            top = self._trees.leaf(root, self.vault)
            root = top.id if top and top.is_tree else None
        return RevisionFiles(self._trees, str(commit.id), root, self._blob)

    def _commit(self, name: str) -> pygit2.Commit:
        try:
            found = self._handle.revparse_single(name).peel(pygit2.Commit)
        except (pygit2.GitError, KeyError, ValueError) as error:
            raise Stalled(
                f"Git knows no revision {name!r} here.",
                cure="Name a commit, a branch or a tag; in a shallow clone fetch it first"
                " (git fetch origin main, then origin/main).",
            ) from error
        return found

    def _blob(self, blob: str) -> bytes:
        self._effort.blobs += 1
        return self._handle.read(blob)[1]
