"""Where the vault is, according to the operator's settings."""

from vaultloop.aio.clock import Clock
from vaultloop.settings import Settings
from vaultloop.vault.effort import Effort
from vaultloop.vault.remote import Credentials
from vaultloop.vault.repository import Identity
from vaultloop.vault.sync import Sync


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
    )
