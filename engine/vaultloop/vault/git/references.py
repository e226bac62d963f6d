"""References of the engine's own: what it holds on to, under a name, whatever becomes of the branch."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote

import pygit2

from vaultloop.model.errors import Retry

# References of the engine's own: what it saw at the remote, parked and rescued commits.
OWN_REFS = "refs/vaultloop/"


class References:
    """Those of one repository; to be used from one thread at a time.

    Attributes:
        path: the git directory.
    """

    def __init__(self, handle: pygit2.Repository) -> None:
        self.handle = handle
        self.path = Path(handle.path)

    @property
    def command(self) -> str:
        """`git`, as a person has to call it for this repository: one without a folder has to be named."""
        return f"git --git-dir {quote(str(self.path))}" if self.handle.is_bare else "git"

    def target(self, reference: str) -> str | None:
        """The commit that a reference, by its full name, names; None if there is none."""
        found = self.handle.references.get(reference)
        return None if found is None else str(found.target)

    def keep(self, name: str, commit: str) -> None:
        """Hold on to a commit under `refs/vaultloop/<name>`, whatever it named before.

        Raises:
            Retry: as `at_work`.
        """
        with self.at_work():
            self.handle.create_reference(OWN_REFS + name, commit, force=True)

    def kept(self, name: str) -> str | None:
        """The commit under `refs/vaultloop/<name>`."""
        return self.target(OWN_REFS + name)

    def keeps(self, prefix: str) -> bool:
        """Whether any commit is held under `refs/vaultloop/<prefix>`."""
        return any(name.startswith(OWN_REFS + prefix) for name in self.handle.references)

    def kept_below(self, prefix: str) -> dict[str, str]:
        """The commits under `refs/vaultloop/<prefix>`, by what follows in the name."""
        below = OWN_REFS + prefix
        names = [name for name in self.handle.references if name.startswith(below)]
        found = {name.removeprefix(below): self.target(name) for name in names}
        return {name: commit for name, commit in found.items() if commit is not None}

    def let_go(self, name: str) -> None:
        """Hold on to what is under `refs/vaultloop/<name>` no longer. Raises as `keep`."""
        with self.at_work():
            if self.target(OWN_REFS + name) is not None:
                self.handle.references.delete(OWN_REFS + name)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """A block of writing: what the disk or the object database refuses becomes a `Retry`."""
        try:
            yield
        except (pygit2.GitError, OSError) as error:
            raise Retry(
                f"Git could not write to {self.path}: {error}. Nothing was changed."
                " Check the disk's free space and permissions."
            ) from error
