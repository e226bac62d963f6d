"""`vaultloop blame`: who wrote each line of a note, who asked for it, and what it cost."""

from pathlib import Path
from typing import Any

import click
from rich.text import Text

from vaultloop.cli import output
from vaultloop.cli.looking_back import asked, trail_here, who
from vaultloop.cli.options import COUNT, as_json, with_given_settings
from vaultloop.cli.plain import plain
from vaultloop.cli.standpoint import GivenSettings

NOT_COMMITTED = "not committed yet"

# How wide the column of names is (characters).
NAME = 28


class Lines(click.ParamType[range]):
    """A range of lines, `3,7`, counted from 1."""

    name = "lines"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> range:
        if isinstance(value, range):
            return value
        first, _, last = value.partition(",")
        if not (first.isdigit() and (last or first).isdigit() and 0 < int(first) <= int(last or first)):
            self.fail(f"{value!r} is no range of lines. Write 3,7.", param, ctx)
        return range(int(first), int(last or first) + 1)


@click.command(name="blame")
@click.argument("path")
@click.option("--line", type=COUNT, help="One line alone.")
@click.option("-L", "--lines", type=Lines(), metavar="A,B", help="The lines from A to B.")
@click.option("--at", metavar="REV", help="As it was in a revision; without it, as it lies there now.")
@as_json
@with_given_settings
def command(
    given: GivenSettings, path: str, line: int | None, lines: range | None, at: str | None, *, as_json: bool
) -> None:
    """Show for each line of the note PATH who wrote it, and which chat or slot asked for it."""
    from vaultloop.trail import lying_at  # noqa: PLC0415

    wanted = range(line, line + 1) if line else lines
    with trail_here(given, Path.cwd()) as (trail, place):
        (named,) = place.paths((path,))
        lying = None if at else lying_at(place.folder, named)
        found = trail.blame(named, at=at, lying=lying, lines=wanted)
    if as_json:
        output.print_json({"path": named, "lines": found})
    else:
        _print(found)


def _print(found: list[dict[str, Any]]) -> None:
    for line in found:
        commit = (line["commit"] or "")[:10].ljust(10)
        name = plain(_name(line))[:NAME].ljust(NAME)
        output.console.print(
            Text.assemble(
                (commit, "yellow"),
                f" {(line['at'] or '')[:10]:10} ",
                (name, "bold"),
                f" {line['line']:>4}  {plain(line['text'])}",
            )
        )
    sessions = {line["session"]: line for line in found if line["session"]}
    for session, line in sessions.items():
        output.say(
            f"\nsession {session}, {line['trigger']}, scope {line['scope']}\n"
            f"  {asked(line)}\n"
            f"  policy {line['policy'] or 'none'}, {line['model'] or 'no model'}, {line['cost_usd']:.4f} USD"
        )


def _name(line: dict[str, Any]) -> str:
    if line["commit"] is None:
        return NOT_COMMITTED
    return str(line["session"] or who(line))
