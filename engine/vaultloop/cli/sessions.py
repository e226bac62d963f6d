"""`vaultloop sessions`: what agents did, and what was kept of their work."""

import asyncio
import sys
from typing import Any

import click

from vaultloop.cli import output
from vaultloop.cli.engine import ask, records
from vaultloop.cli.options import as_json, with_settings
from vaultloop.model.errors import VaultloopError
from vaultloop.settings import Settings


@click.group(name="sessions", invoke_without_command=True)
@click.option("--limit", default=20, show_default=True, help="How many of the newest to list.")
@as_json
@with_settings
@click.pass_context
def command(ctx: click.Context, settings: Settings, limit: int, *, as_json: bool) -> None:
    """List sessions; `show` one, or `restore` the edits of one that was stopped."""
    ctx.obj = settings
    if ctx.invoked_subcommand is not None:
        return
    from vaultloop.overview import sessions  # noqa: PLC0415

    with records(settings) as database:
        found = sessions(database, limit=limit)
    if as_json:
        output.print_json({"sessions": found})
        return
    rows = ((s["session"], s["scope"], s["trigger"], s["outcome"] or s["state"], s["detail"]) for s in found)
    output.console.print(output.table(("session", "scope", "trigger", "outcome", "detail"), rows))


@command.command(name="show")
@click.argument("session")
@as_json
@click.pass_obj
def show(settings: Settings, session: str, *, as_json: bool) -> None:
    """Show all that is known of one SESSION."""
    from vaultloop.overview import session as one  # noqa: PLC0415

    with records(settings) as database:
        found = one(database, session)
    if found is None:
        raise VaultloopError(f"There is no session {session}. `vaultloop sessions` lists them.")
    if as_json:
        output.print_json(found)
        return
    for key, value in found.items():
        if value not in (None, ""):
            output.console.print(f"[dim]{key:>10}[/dim]  ", end="")
            output.console.print(str(value), markup=False)


@command.command(name="restore")
@click.argument("session")
@click.pass_obj
def restore(settings: Settings, session: str) -> None:
    """Publish the kept edits of a SESSION that was cancelled or ran out of time."""
    found: dict[str, Any] = asyncio.run(ask(settings, "restore", session=session))
    output.console.print(found["message"], markup=False)
    sys.exit(0 if found["ok"] else 1)
