"""Where a command that only looks finds the vault: around where one stands, or as the settings say."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vaultloop.settings import Settings
    from vaultloop.vault.files import Files
    from vaultloop.vault.git.history import History


@dataclass(frozen=True)
class GivenSettings:
    """What the command line says of the settings; they are read when somebody needs them."""

    flags: Mapping[str, Any]
    config: Path | None

    @property
    def any_named(self) -> bool:
        """Whether the command line names a vault, or a file that does."""
        return self.config is not None or any(value is not None for value in self.flags.values())

    @cached_property
    def settings(self) -> "Settings":
        """The settings.

        Raises:
            InvalidSettings: they are wrong, or name no vault.
        """
        from vaultloop import settings  # noqa: PLC0415 - only where they are needed

        return settings.load(self.flags, config=self.config)


def owners(given: GivenSettings) -> tuple[str, ...]:
    """The owners' ids, as far as settings can be found: a clone of a vault has none."""
    from vaultloop.settings import InvalidSettings  # noqa: PLC0415

    try:
        return given.settings.owners
    except InvalidSettings:
        if given.any_named:
            raise
        return ()


def vault_around(given: GivenSettings, place: Path) -> Path | None:
    """The vault that one stands in; None where the command line names another, or there is none."""
    from vaultloop.vault.notes.location import top_of  # noqa: PLC0415

    return None if given.any_named else top_of(place)


def history(given: GivenSettings, place: Path) -> "History":
    """The revisions of the vault.

    Raises:
        InvalidSettings: one stands in no vault, and the settings name none.
        Stalled: the vault has no revisions that can be read here.
    """
    from vaultloop.vault.git.history import History  # noqa: PLC0415

    if (vault := vault_around(given, place)) is not None:
        return History.around(vault)
    folder = given.settings.folder
    if folder is not None and (folder / ".git").exists():
        return History.of(folder)
    return History.of(_repository(given.settings))


def present(given: GivenSettings, place: Path) -> "Files":
    """The vault as it lies in its folder, or the newest revision that the engine knows of.

    Raises:
        InvalidSettings, Stalled: as `history`.
    """
    from vaultloop.vault.plain_folder import ReadableFiles  # noqa: PLC0415

    vault = vault_around(given, place) or given.settings.folder
    return ReadableFiles(vault) if vault is not None else history(given, place).files("HEAD")


def _repository(settings: "Settings") -> Path:
    from vaultloop.state.directory import StateDirectory  # noqa: PLC0415

    return StateDirectory(settings.state).repository
