"""`vaultloop sessions`: what agents did, and what was kept of their work."""

import asyncio
import sys
from typing import Any

import click

from vaultloop.cli import output
from vaultloop.cli.engine import ask, records
from vaultloop.cli.options import COUNT, as_json, with_settings
from vaultloop.model.errors import VaultloopError
from vaultloop.settings import Settings

# How wide a line is that goes to another program, and how much of it is the detail (characters); `show` tells
# all of it.
LINE = 200
DETAIL = 80


class ListedByDefault(click.Group):
    """`sessions` without a subcommand, or with options only, lists."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group(name="sessions", cls=ListedByDefault)
def command() -> None:
    """List sessions; `show` one, or `restore` the edits of one that was stopped."""


@command.command(name="list")
@click.option("-n", "--limit", default=20, show_default=True, type=COUNT, help="How many of the newest.")
@as_json
@with_settings
def listed(settings: Settings, limit: int, *, as_json: bool) -> None:
    """List the newest sessions; `vaultloop sessions` alone does the same."""
    from vaultloop.overview import sessions  # noqa: PLC0415

    with records(settings) as database:
        found = sessions(database, limit=limit)
    if as_json:
        output.print_json({"sessions": found})
        return
    rows = (
        (s["session"], s["scope"], s["trigger"], s["outcome"] or s["state"], _in_short(s["detail"]))
        for s in found
    )
    if not sys.stdout.isatty():
        # One line each for `grep`, whatever width is taken for that of no terminal.
        output.console.width = LINE
    output.console.print(output.table(("session", "scope", "trigger", "outcome", "detail"), rows))


def _in_short(detail: str) -> str:
    return output.shortened(detail.partition("\n")[0], DETAIL)


@command.command(name="show")
@click.argument("session")
@as_json
@with_settings
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
        if value not in (None, "", []):
            output.console.print(f"[dim]{key:>10}[/dim]  ", end="")
            output.say("\n".join(value) if isinstance(value, list) else str(value))


@command.command(name="restore")
@click.argument("session")
@as_json
@with_settings
def restore(settings: Settings, session: str, *, as_json: bool) -> None:
    """Publish the kept edits of a SESSION that was cancelled or ran out of time."""
    found: dict[str, Any] = asyncio.run(ask(settings, "restore", session=session))
    if as_json:
        output.print_json(found)
    else:
        output.say(found["message"])
    sys.exit(0 if found["ok"] else 1)
