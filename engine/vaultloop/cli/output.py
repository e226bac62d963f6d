"""What commands print: tables and colours for people, JSON for scripts."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from vaultloop.cli.plain import plain

CONDITION_STYLES = {
    "Ready": "green",
    "Reconciling": "cyan",
    "Outdated": "yellow",
    "Held": "magenta",
    "Suspended": "dim",
    "Stalled": "red",
}
ACTION_SIGNS = {"create": ("+", "green"), "update": ("~", "yellow"), "delete": ("-", "red")}

# How much of a value a plan shows (characters), and how much of that lies before the first difference.
LONGEST_VALUE = 80
BEFORE_DIFFERENCE = 20

console = Console(highlight=False, soft_wrap=True)


def print_json(data: Any) -> None:
    """One JSON document on standard output."""
    print(json.dumps(data, indent=2, ensure_ascii=False))


def insist_on_yes(question: str) -> None:
    """Go on only if the person at the terminal says yes.

    Raises:
        click.UsageError: nobody can be asked.
        click.Abort: they said no.
    """
    try:
        click.confirm(question, abort=True)
    except click.Abort:
        if sys.stdin is not None and sys.stdin.isatty():
            raise
        # The question ends no line.
        click.echo()
        raise click.UsageError("this asks before it does anything: it needs a terminal, or --yes") from None


def say(text: str) -> None:
    """A text as it is, whoever wrote it."""
    console.print(plain(text), markup=False)


def table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> Table:
    """A table without lines; texts of sessions may stand in it."""
    made = Table(*columns, box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else escape(plain(cell)) for cell in row))
    return made


def print_change(change: dict[str, Any]) -> None:
    """One step of a plan."""
    sign, style = ACTION_SIGNS[change["action"]]
    console.print(
        Text.assemble((f"{sign} {change['kind']} {change['name']}", style), (f"  {change['file']}", "dim"))
    )
    for field in change["fields"]:
        old, new = _told_apart(_shown(field["old"]), _shown(field["new"]))
        console.print(Text(f"    {field['field']}: {old} -> {new}"))
    for permission in change["permissions"]:
        console.print(Text(f"    {permission}", style="bold"))


def _shown(value: Any) -> str:
    if value is None:
        return "(nothing)"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return " ".join(text.split())


def _told_apart(old: str, new: str) -> tuple[str, str]:
    """Both texts, cut so that the first difference between them is shown."""
    pairs = enumerate(zip(old, new, strict=False))
    same = next((place for place, (one, other) in pairs if one != other), min(len(old), len(new)))
    start = 0 if same + BEFORE_DIFFERENCE < LONGEST_VALUE else same - BEFORE_DIFFERENCE
    return _cut(old, start), _cut(new, start)


def _cut(text: str, start: int) -> str:
    shown = f"...{text[start:]}" if start else text
    return shortened(shown, LONGEST_VALUE)


def shortened(text: str, longest: int) -> str:
    """The text, or its beginning and three dots."""
    return text if len(text) <= longest else text[: longest - 3] + "..."
