"""`vaultloop status`: how everything stands."""

import click
from rich.text import Text

from vaultloop.cli import output
from vaultloop.cli.engine import records
from vaultloop.cli.options import as_json, with_settings
from vaultloop.settings import Settings


@click.command(name="status")
@as_json
@with_settings
def command(settings: Settings, *, as_json: bool) -> None:
    """Show the revision, what runs, and what needs you."""
    from vaultloop.overview import overview  # noqa: PLC0415

    with records(settings) as database:
        found = overview(database)
    if as_json:
        output.print_json(found)
        return
    output.console.print(f"revision {_short(found['revision'])}, applied {_short(found['applied'])}")
    push = found["push"]
    note = f" since {push['since']}" if push["state"] == "stranded" else ""
    output.console.print(f"push     {push['state']}{note} {push.get('message', '')}".rstrip())
    output.console.print(f"sandbox  {found['sandbox'].upper()}")
    for sentence in found["attention"]:
        output.console.print(Text(f"!        {sentence}", style="red"))
    output.console.print()
    rows = (
        (output.condition(r["condition"]), f"{r['kind']}/{r['name']}", r["reason"], r["message"])
        for r in found["resources"]
    )
    output.console.print(output.table(("condition", "resource", "reason", "message"), rows))


def _short(revision: str | None) -> str:
    return revision[:10] if revision else "(none yet)"
