"""`vaultloop run`: fire a cron now."""

import asyncio
import sys

import click

from vaultloop.cli import output
from vaultloop.cli.engine import ask
from vaultloop.cli.options import as_json, with_settings
from vaultloop.settings import Settings


@click.command(name="run")
@click.argument("cron")
@click.option("--no-wait", is_flag=True, help="Return once it is queued.")
@as_json
@with_settings
def command(settings: Settings, cron: str, *, no_wait: bool, as_json: bool) -> None:
    """Run CRON once, now, beside its schedule. Exits 1 unless it ends well.

    A row of a crontab goes by `note/row`, or by `row` where only one has that name.
    """
    session = asyncio.run(ask(settings, "run", cron=cron, wait=not no_wait))
    if as_json:
        output.print_json(session)
    elif no_wait:
        output.console.print(f"Queued as session {session['session']}.")
    else:
        output.console.print(f"{session['session']}: {session['outcome']}")
        if session["reply"]:
            output.say(session["reply"])
    sys.exit(0 if no_wait or session["outcome"] == "done" else 1)
