"""How one remote is reached: its address, what is shown to it, and how long it is waited for."""

from dataclasses import dataclass
from pathlib import Path

from vaultloop.vault.git.effort import Effort
from vaultloop.vault.git.repository import OWN_REFS
from vaultloop.vault.transport.remote import Credentials, Remote


@dataclass(frozen=True, slots=True)
class Access:
    """The settings of a `Remote`, for whichever repository it is to be the remote of.

    Attributes:
        timeout, connect_timeout: seconds.
        state: the engine's directory.
    """

    url: str
    credentials: Credentials | None
    known_hosts: Path | None
    timeout: float
    connect_timeout: float
    state: Path
    effort: Effort

    def remote(self, git_dir: Path) -> Remote:
        """The remote of the repository at `git_dir`; it connects to nothing yet."""
        return Remote(
            git_dir,
            self.url,
            self.credentials,
            known_hosts=self.known_hosts,
            state=self.state,
            timeout=self.timeout,
            connect_timeout=self.connect_timeout,
            effort=self.effort,
        )

    def fetch_again(self, place: Path, reference: str) -> None:
        """Fetch one branch into the empty repository at `place`: ours has lost parts of it."""
        self.remote(place).fetch(reference, f"{OWN_REFS}again")
