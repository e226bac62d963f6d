"""`vaultloop log`: who changed the vault, who asked for it, and what it cost."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from vaultloop.cli import output
from vaultloop.cli.looking_back import asked, trail_here, who
from vaultloop.cli.options import COUNT, as_json, with_given_settings
from vaultloop.cli.plain import plain
from vaultloop.cli.standpoint import GivenSettings

# How much of what was asked is shown (characters).
WHY = 90

_SPAN = re.compile(r"(\d+)([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Since(click.ParamType[datetime]):
    """A day, a time, or so long ago: `2026-11-22`, `2026-11-22T07:00`, `3d`."""

    name = "since"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        if span := _SPAN.fullmatch(value.strip()):
            return datetime.now(UTC) - timedelta(**{_UNITS[span[2]]: int(span[1])})
        try:
            return datetime.fromisoformat(value).astimezone()
        except ValueError:
            self.fail(f"{value!r} is no time. Write 2026-11-22, 2026-11-22T07:00 or 3d.", param, ctx)


@click.command(name="log")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("-n", "--limit", default=20, show_default=True, type=COUNT, help="How many of the newest.")
@click.option("--session", metavar="ID", help="All of one session, also what is not in the vault.")
@click.option("--chat", metavar="ID", help="What was asked in a chat, or answered there.")
@click.option("--scope", metavar="NAME", help="What sessions of a scope did.")
@click.option("--trigger", metavar="KIND[/NAME]", help="What one kind of work did: cron, cron/digest.")
@click.option("--since", type=Since(), metavar="TIME", help="2026-11-22, 2026-11-22T07:00, 3d.")
@click.option("--all", "everything", is_flag=True, help="Also sessions of which nothing is in the vault.")
@as_json
@with_given_settings
def command(given: GivenSettings, paths: tuple[str, ...], *, as_json: bool, **wanted: Any) -> None:
    """Show the audit trail: commits, and what asked for each of the agent's.

    With PATHs: what touched these notes or folders, under whatever name they had then.
    """
    from vaultloop.trail import Query  # noqa: PLC0415

    with trail_here(given, Path.cwd()) as (trail, place):
        found = trail.log(Query(paths=place.paths(paths), **wanted))
    if as_json:
        output.print_json({"log": found})
        return
    for entry in found:
        _print(entry)


def _print(entry: dict[str, Any]) -> None:
    name = (entry["commit"] or "")[:10].ljust(10)
    output.console.print(
        Text.assemble((name, "yellow"), f" {entry['at'][:16]} ", (plain(who(entry)), "bold"), "  ")
        + Text(plain(entry["subject"]))
    )
    if entry["session"]:
        cost = f"{entry['cost_usd']:.4f} USD"
        _below(
            f"session {entry['session']}, scope {entry['scope']}, {entry['outcome'] or 'not ended'}, {cost},"
            f" policy {entry['policy'] or 'none'}"
        )
        _below(output.shortened(asked(entry), WHY))
    for line in (*entry.get("notes", ()), *_remarks(entry)):
        _below(line)


def _below(text: str) -> None:
    output.console.print(Text(f"           {plain(text)}", "dim"))


def _remarks(entry: dict[str, Any]) -> list[str]:
    """What else there is to know of an entry, a sentence each."""
    found = {
        "proposal": "proposal {}",
        "approved_by": "approved by {}",
        "undone_by": "undone by commit {:.10}",
        "claims": "It claims to be of session {}, which is not in this engine's records.",
    }
    said = [words.format(entry[key]) for key, words in found.items() if entry.get(key)]
    return said + [line for line in (entry.get("detail") or "").splitlines() if line]
