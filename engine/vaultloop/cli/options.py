"""Options that commands share."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from vaultloop.cli.standpoint import GivenSettings


def with_given_settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command what its line says of the settings, as `given`; it may do without them."""

    @click.option("--config", type=click.Path(path_type=Path), help="Settings file (vaultloop.toml).")
    @click.option("--state", type=click.Path(path_type=Path), help="State directory.")
    @click.option("--remote", help="Address of the vault's git remote.")
    @click.option("--folder", type=click.Path(path_type=Path), help="Watched folder that holds the vault.")
    @click.option("--branch", help="The branch that is the vault.")
    @functools.wraps(command)
    def wrapped(
        *args: Any,
        config: Path | None,
        state: Path | None,
        remote: str | None,
        folder: Path | None,
        branch: str | None,
        **kwargs: Any,
    ) -> Any:
        flags = {"state": state, "remote": remote, "folder": folder, "branch": branch}
        return command(*args, given=GivenSettings(flags, config), **kwargs)

    return wrapped


def with_settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command its `settings`, from flags, environment and file."""

    @with_given_settings
    @functools.wraps(command)
    def wrapped(*args: Any, given: GivenSettings, **kwargs: Any) -> Any:
        return command(*args, settings=given.settings, **kwargs)

    return wrapped


COUNT = click.IntRange(min=1)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, a contract for scripts.")
