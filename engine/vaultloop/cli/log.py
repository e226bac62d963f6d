"""`vaultloop log`: who changed the vault, why, and what it cost."""

import click
from rich.text import Text

from vaultloop.cli import output
from vaultloop.cli.engine import records
from vaultloop.cli.options import COUNT, as_json, with_settings
from vaultloop.cli.plain import plain
from vaultloop.settings import Settings


@click.command(name="log")
@click.option(
    "-n", "--limit", default=20, show_default=True, type=COUNT, help="How many of the newest commits."
)
@as_json
@with_settings
def command(settings: Settings, limit: int, *, as_json: bool) -> None:
    """Show the audit trail: commits, and the session behind each of the agent's."""
    from vaultloop.overview import history  # noqa: PLC0415

    with records(settings) as database:
        found = history(settings, database, limit=limit)
    if as_json:
        output.print_json({"log": found})
        return
    for entry in found:
        session = entry["session"]
        who = entry["author"] if entry["class"] == "human" else entry["class"]
        output.console.print(
            Text.assemble(
                (entry["commit"][:10], "yellow"), f" {entry['at'][:16]} ", (plain(who), "bold"), "  "
            )
            + Text(plain(entry["subject"]))
        )
        if session:
            cost = f"{entry['cost_usd']:.4f} USD"
            output.console.print(
                Text(
                    f"           session {session}, scope {entry['scope']}, {entry['trigger']}, {cost}", "dim"
                )
            )
