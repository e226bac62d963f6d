"""What commands print: tables and colours for people, JSON for scripts."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from vaultloop.cli.plain import plain
from vaultloop.model.problem import Problem

CONDITION_STYLES = {
    "Ready": "green",
    "Reconciling": "cyan",
    "Outdated": "yellow",
    "Held": "magenta",
    "Suspended": "dim",
    "Stalled": "red",
}
ACTION_SIGNS = {"create": ("+", "green"), "update": ("~", "yellow"), "delete": ("-", "red")}

# Characters of a note's line that are shown beside a finding.
LONGEST_SHOWN = 160

console = Console(highlight=False, soft_wrap=True)


def print_json(data: Any) -> None:
    """One JSON document on standard output."""
    print(json.dumps(data, indent=2, ensure_ascii=False))


def say(text: str) -> None:
    """A text as it is, whoever wrote it."""
    console.print(plain(text), markup=False)


def table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> Table:
    """A table without lines; texts of sessions may stand in it."""
    made = Table(*columns, box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else escape(plain(cell)) for cell in row))
    return made


def print_problem(problem: Problem, source: str | None) -> None:
    """One finding: where, what, the line with a caret, and what to write instead."""
    style = "red" if problem.is_error else "yellow"
    where = _visible(f"{problem.file}:{problem.line}:{problem.column}")
    message = f" {_visible(problem.message)}"
    console.print(Text.assemble((where, "bold"), " ", (str(problem.severity), style), message))
    lines = (source or "").split("\n")
    if source and 0 < problem.line <= len(lines):
        _print_line(problem, _visible(lines[problem.line - 1].rstrip("\r")), style)
    if problem.cure:
        console.print(Text.assemble((" " * 6 + "= ", "dim"), (_visible(problem.cure), "green")))
    console.print(Text(f"      [{problem.code}]", style="dim"))


def _print_line(problem: Problem, line: str, style: str) -> None:
    console.print(Text.assemble((f"{problem.line:>5} | ", "dim"), line[:LONGEST_SHOWN]))
    if problem.column <= LONGEST_SHOWN:
        # Some letters take two columns of a terminal.
        before = " " * cell_len(line[: problem.column - 1])
        console.print(Text.assemble((" " * 5 + " | ", "dim"), before, ("^", style)))


def _visible(text: str) -> str:
    """Text of a note that does nothing to the terminal but stand there, character by character."""
    return "".join(
        character if character.isprintable() else " " if character == "\t" else "\N{REPLACEMENT CHARACTER}"
        for character in text
    )


def print_change(change: dict[str, Any]) -> None:
    """One step of a plan."""
    sign, style = ACTION_SIGNS[change["action"]]
    console.print(
        Text.assemble((f"{sign} {change['kind']} {change['name']}", style), (f"  {change['file']}", "dim"))
    )
    for field in change["fields"]:
        console.print(Text(f"    {field['field']}: {_shown(field['old'])} -> {_shown(field['new'])}"))
    for permission in change["permissions"]:
        console.print(Text(f"    {permission}", style="bold"))


def _shown(value: Any) -> str:
    if value is None:
        return "(nothing)"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= 80 else text[:77] + "..."


def counted(number: int, noun: str) -> str:
    """`1 note`, `2 notes`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
