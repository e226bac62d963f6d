"""What the reconciler asks of the vault, and of who understands its declarations."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeVar

from vaultloop.model.resource import AnyResource, Ref
from vaultloop.model.snapshot import Snapshot
from vaultloop.model.status import Push
from vaultloop.vault.files import Files
from vaultloop.vault.notes.loader import KnownNote

R = TypeVar("R")


class Revisions(Protocol):
    """The vault's history, as much of it as reconciling needs."""

    @property
    def head(self) -> str | None: ...
    def files(self, revision: str) -> Files: ...


class VaultPort(Protocol):
    """The vault, kept equal with its remote or folder."""

    @property
    def repository(self) -> Revisions: ...
    @property
    def push_state(self) -> Push: ...
    @property
    def paused(self) -> str | None:
        """Why sync stands still, a sentence for people."""
        ...

    async def look(self) -> str | None:
        """Take what folder and remote have; the revision that is to run, None while there is none."""
        ...

    async def chosen(self) -> str | None:
        """The revision that is to run by what is known already, None while there is none."""
        ...

    async def fall_back(self, revision: str, error: Exception) -> str | None:
        """The revision to run in place of one that cannot be loaded; None if there is no other."""
        ...

    async def git(self, work: Callable[..., R], *args: Any) -> R:
        """Run `work` where the repository may be used."""
        ...


class LoaderPort(Protocol):
    """Understands declarations; used only where the repository may be used."""

    def load(self, files: Files) -> Snapshot: ...
    def recall(self, notes: Iterable[KnownNote]) -> Mapping[Ref, AnyResource]: ...
