"""`vaultloop resume`: look again at what sync stands still for."""

import asyncio
import sys
from typing import Any

import click

from vaultloop.cli import output
from vaultloop.cli.engine import NotRunning, ask
from vaultloop.cli.options import as_json, with_settings
from vaultloop.settings import Settings


@click.command(name="resume")
@click.option(
    "--accept-remote",
    "accept",
    metavar="COMMIT",
    help="Follow the remote's rewritten history, which is at COMMIT; `vaultloop status` names it.",
)
@as_json
@with_settings
def command(settings: Settings, accept: str | None, *, as_json: bool) -> None:
    """Look again now at the folder and the remote, and say how sync stands.

    With --accept-remote the remote's history counts from now on, although it does not go on from what was
    there. What is only here, the agent's work too, is joined on top, and the history before is kept under a
    reference of its own. The first digits of COMMIT are enough; if the remote has moved on, nothing is done.

    Exits with 1 and the reason if sync still stands still.
    """
    said = asyncio.run(_resumed(settings, accept))
    if as_json:
        output.print_json(said)
    else:
        output.say(said["message"])
    sys.exit(1 if said["paused"] else 0)


async def _resumed(settings: Settings, accept: str | None) -> dict[str, Any]:
    try:
        found: dict[str, Any] = await ask(settings, "resume", accept=accept)
        return found
    except NotRunning:
        from vaultloop import offline  # noqa: PLC0415 - the engine is only loaded where none runs

        return (await offline.resume(settings, accept)).as_json()
