"""`vaultloop confirm`: let a held plan go on."""

import asyncio

import click

from vaultloop.cli import output
from vaultloop.cli.engine import ask
from vaultloop.cli.options import as_json, with_settings
from vaultloop.settings import Settings


@click.command(name="confirm")
@click.argument("revision")
@as_json
@with_settings
def command(settings: Settings, revision: str, *, as_json: bool) -> None:
    """Apply the deletions that REVISION asks for and the engine holds back.

    `vaultloop status` names the revision; its first characters are enough.
    """
    confirmed = asyncio.run(ask(settings, "confirm", revision=revision))
    if as_json:
        output.print_json(confirmed)
    else:
        output.console.print(f"Confirmed {confirmed['revision'][:10]}; it is applied now.")
