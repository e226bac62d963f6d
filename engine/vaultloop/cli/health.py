"""`vaultloop health`: is the engine well? For a container's health check and for scripts."""

import asyncio
import sys

import click

from vaultloop.cli.options import as_json, with_settings
from vaultloop.settings import Settings
from vaultloop.state.directory import StateDirectory


@click.command(name="health")
@as_json
@with_settings
def command(settings: Settings, *, as_json: bool) -> None:
    """Say how the engine is; exit 0 if it is well, 1 if not.

    Asks the engine of this machine over its socket and waits at most two seconds.
    One that stands by for another is well.
    """
    from vaultloop.web import health  # noqa: PLC0415 - --help needs none

    found = asyncio.run(health.of_this_machine(StateDirectory(settings.state)))
    if as_json:
        from vaultloop.cli import output  # noqa: PLC0415 - likewise

        output.print_json({"status": found.status, "reason": found.reason, **found.detail})
    else:
        click.echo(f"{found.status}. {found.reason}".removesuffix(" "))
    sys.exit(0 if found.is_ok else 1)
