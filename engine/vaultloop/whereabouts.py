"""Where the vault is, according to the operator's settings."""

from functools import partial
from pathlib import Path

from vaultloop.aio.clock import Clock
from vaultloop.settings import Settings, Signed
from vaultloop.vault.git.authors import Authors
from vaultloop.vault.git.effort import Effort
from vaultloop.vault.git.repository import Identity, Repository
from vaultloop.vault.git.signing import Signer
from vaultloop.vault.merge.audit import AuditError
from vaultloop.vault.sync.allowed_signers import AllowedSigners
from vaultloop.vault.sync.sync import Sync
from vaultloop.vault.sync.trust import Coverage, Trust
from vaultloop.vault.sync.vetting import Vetting
from vaultloop.vault.transport.remote import Credentials


def sync_of(settings: Settings, clock: Clock, effort: Effort) -> Sync:
    """The vault that the settings name, not opened yet."""
    password = settings.git_password
    return Sync(
        settings.state,
        clock,
        remote=settings.remote,
        folder=settings.folder,
        branch=settings.branch,
        credentials=Credentials(
            username=settings.git_username,
            password=password.get_secret_value() if password else None,
            ssh_key=settings.ssh_key,
        ),
        known_hosts=settings.known_hosts,
        engine=Identity(settings.git_name, settings.git_email),
        settle=settings.settle,
        quiet=settings.quiet,
        effort=effort,
        trust=trust_of(settings, clock),
        largest_file=settings.largest_file,
    )


def trust_of(settings: Settings, clock: Clock) -> Trust:
    """Whose commits count.

    Raises:
        Stalled: the engine's own key, which counts too, cannot be made.
    """
    if settings.trust is Signed.OFF or settings.allowed_signers is None:
        return Trust()
    settings.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    vetting = Vetting(
        Coverage(settings.trust),
        AllowedSigners(settings.allowed_signers),
        Signer.make(settings.state),
        partial(_rejoined, settings.state),
    )
    return Trust(vetting, folder=settings.trust_folder, clock=clock)


def _rejoined(state: Path, repository: Repository, one: str, other: str) -> str | None:
    from vaultloop.vault.merge.tree import Merger  # noqa: PLC0415 - most engines never join anything

    try:
        return Merger(repository, Authors(repository, state).class_of).joined(one, other).tree
    except AuditError:
        return None
