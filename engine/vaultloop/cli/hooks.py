"""`vaultloop hooks`: a clone checks and merges as the engine does."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from vaultloop.cli.options import as_json

if TYPE_CHECKING:
    from vaultloop.vault.hooks import Clone, Part

_place = click.argument("place", metavar="[PATH]", type=click.Path(path_type=Path), default=Path())


@click.group(name="hooks")
def command() -> None:
    """Make git check and merge in a clone of the vault as the engine does."""


@command.command(name="install")
@_place
@click.option("--engine-key", type=click.File(), help="The engine's public key (engine_key.pub).")
@as_json
def install(place: Path, engine_key: TextIO | None, *, as_json: bool) -> None:
    """Install the hooks and the merge driver in the clone at PATH.

    What is there already stays. Without --engine-key the clone's remote is
    asked which key the engine signs with.
    """
    key = engine_key.read() if engine_key is not None else None
    _show(place, lambda clone: clone.install(key), as_json=as_json)


@command.command(name="status")
@_place
@as_json
def status(place: Path, *, as_json: bool) -> None:
    """Show what is installed in the clone at PATH."""
    _show(place, lambda clone: clone.status(), as_json=as_json)


@command.command(name="uninstall")
@_place
@as_json
def uninstall(place: Path, *, as_json: bool) -> None:
    """Take out again what was installed in the clone at PATH."""
    _show(place, lambda clone: clone.uninstall(), as_json=as_json)


def _show(place: Path, act: "Callable[[Clone], Sequence[Part]]", *, as_json: bool) -> None:
    from vaultloop.cli import output  # noqa: PLC0415
    from vaultloop.vault.hooks import Clone  # noqa: PLC0415

    parts = act(Clone(place))
    if as_json:
        told = [{"name": part.name, "state": str(part.state), "told": part.told} for part in parts]
        output.print_json({"hooks": told})
        return
    for part in parts:
        output.say(f"{part.state:8} {part.told}")
