"""`vaultloop crons`: when each schedule fires, and how its past slots ended."""

import sys
from datetime import UTC, datetime

import click

from vaultloop.cli import output
from vaultloop.cli.engine import records
from vaultloop.cli.options import COUNT, as_json, with_settings
from vaultloop.settings import Settings


@click.command(name="crons")
@click.option(
    "--next", "count", default=3, show_default=True, type=COUNT, help="How many coming slots to show."
)
@click.option("--from", "start", metavar="TIME", help="Coming slots after this ISO time instead of now.")
@as_json
@with_settings
def command(settings: Settings, count: int, start: str | None, *, as_json: bool) -> None:
    """Show every cron's next slots and its past ones with their outcomes."""
    from vaultloop.overview import crons  # noqa: PLC0415

    with records(settings) as database:
        found = crons(database, count=count, start=_instant(start))
    if as_json:
        output.print_json({"crons": found})
        return
    for cron in found:
        output.console.print(f"[bold]{cron['name']}[/bold] ({cron['timezone']})")
        for slot in cron["next"]:
            output.console.print(f"  next  {slot}")
        for past in cron["past"]:
            session = f"  session {past['session']}" if past["session"] else ""
            output.console.print(f"  past  {past['slot']}  {past['outcome']}{session}")
    if not found:
        print("No crons run. Declare one: a note under agent/ with `kind: cron`.", file=sys.stderr)


def _instant(text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC)
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.UsageError(f"--from {text!r} is not a time such as 2026-11-22T07:00+01:00") from error
    return found if found.tzinfo else found.astimezone()
