"""`vaultloop pin`: run what one revision declares, whatever is newer."""

import asyncio
from typing import Any

import click

from vaultloop.cli import output
from vaultloop.cli.engine import NotRunning, ask
from vaultloop.cli.options import as_json, with_settings
from vaultloop.settings import Settings


@click.command(name="pin")
@click.argument("revision")
@as_json
@with_settings
def command(settings: Settings, revision: str, *, as_json: bool) -> None:
    """Run what REVISION declares until `vaultloop unpin`, also across restarts.

    Sync goes on meanwhile: edits are taken, joined and pushed, and wait.
    """
    said = asyncio.run(_pin(settings, revision))
    if as_json:
        output.print_json({"message": said})
    else:
        output.say(said)


async def _pin(settings: Settings, revision: str) -> str:
    try:
        found: dict[str, Any] = await ask(settings, "pin", revision=revision)
        return str(found["message"])
    except NotRunning:
        from vaultloop.control import BY_CLI  # noqa: PLC0415 - the engine is only loaded where none runs
        from vaultloop.offline import steer  # noqa: PLC0415

        return await steer(settings, lambda steering: steering.pin(revision, BY_CLI))
