"""`vaultloop unpin`: go on with the newest revision."""

import asyncio
from typing import Any

import click

from vaultloop.cli import output
from vaultloop.cli.engine import NotRunning, ask
from vaultloop.cli.options import as_json, with_settings
from vaultloop.settings import Settings


@click.command(name="unpin")
@as_json
@with_settings
def command(settings: Settings, *, as_json: bool) -> None:
    """Run the newest revision again, with all that was edited while one was pinned."""
    said = asyncio.run(_unpin(settings))
    if as_json:
        output.print_json({"message": said})
    else:
        output.say(said)


async def _unpin(settings: Settings) -> str:
    try:
        found: dict[str, Any] = await ask(settings, "unpin")
        return str(found["message"])
    except NotRunning:
        from vaultloop.control import BY_CLI  # noqa: PLC0415 - the engine is only loaded where none runs
        from vaultloop.offline import steer  # noqa: PLC0415

        return await steer(settings, lambda steering: steering.unpin(BY_CLI))
