"""`vaultloop crons`: when each schedule fires, and how its past slots ended."""

import sys
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from vaultloop.cli import output
from vaultloop.cli.engine import records
from vaultloop.cli.options import COUNT, as_json, with_settings
from vaultloop.cli.plain import plain
from vaultloop.settings import Settings

# Characters of why a slot ended as it did; `vaultloop sessions show` has the rest.
LONGEST_SHOWN = 100
# Columns of a line, however long its parts are.
WIDEST = 1000
OUTCOME_STYLES = {"done": "green", "running": "cyan", "failed": "red"}


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
    if found:
        columns = ("cron", "slot", "session", "outcome")
        shown = output.table(columns, [row for cron in found for row in _rows(cron)])
        # A line a slot: a terminal that is too narrow wraps the last column by itself.
        Console(highlight=False, width=WIDEST).print(shown)
    if not found:
        print("No crons run. Declare one: a note under agent/ with `kind: cron`.", file=sys.stderr)


def _rows(cron: dict[str, Any]) -> list[tuple[str | Text, ...]]:
    """The lines of one job: what comes, then what was, the newest first."""
    from vaultloop.overview import ending, nothing_to_come  # noqa: PLC0415

    rows: list[tuple[str | Text, ...]] = [("", at, "", Text("next", style="cyan")) for at in cron["next"]]
    for past in cron["past"]:
        ended = Text(ending(past), style=OUTCOME_STYLES.get(past["outcome"], "yellow"))
        why = f": {_first_line(past['detail'])}" if past["detail"] else ""
        rows.append(("", past["slot"], past["session"] or "", ended + Text(why, style="default")))
    if not cron["next"]:
        rows.insert(0, ("", "", "", Text(nothing_to_come(cron), style="dim")))
    name = cron["name"] if cron["kind"] == "cron" else f"{cron['name']} ({cron['kind']})"
    return [(Text(name, style="bold"), *rows[0][1:]), *rows[1:]]


def _first_line(text: str) -> str:
    line, *more = plain(text).splitlines()
    return line if not more and len(line) <= LONGEST_SHOWN else line[: LONGEST_SHOWN - 4] + " ..."


def _instant(text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC)
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.UsageError(f"--from {text!r} is not a time such as 2026-11-22T07:00+01:00") from error
    return found if found.tzinfo else found.astimezone()
