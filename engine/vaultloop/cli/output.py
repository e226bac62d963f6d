"""What commands print: tables and colours for people, JSON for scripts."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

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

console = Console(highlight=False, soft_wrap=True)


def print_json(data: Any) -> None:
    """One JSON document on standard output."""
    print(json.dumps(data, indent=2, ensure_ascii=False))


def table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> Table:
    """A plain table, no lines."""
    made = Table(*columns, box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else escape(cell) for cell in row))
    return made


def condition(name: str) -> Text:
    """A condition in its colour."""
    return Text(name, style=CONDITION_STYLES.get(name, ""))


def print_problem(problem: Problem, source: str | None) -> None:
    """One finding: where, what, the line with a caret, and what to write instead."""
    style = "red" if problem.is_error else "yellow"
    where = f"{problem.file}:{problem.line}:{problem.column}"
    console.print(Text.assemble((where, "bold"), " ", (str(problem.severity), style), f" {problem.message}"))
    lines = (source or "").splitlines()
    if 0 < problem.line <= len(lines):
        shown = lines[problem.line - 1].replace("\t", " ")[:160]
        gutter = f"{problem.line:>5} | "
        console.print(Text.assemble((gutter, "dim"), shown))
        console.print(Text.assemble((" " * 5 + " | ", "dim"), " " * (problem.column - 1), ("^", style)))
    if problem.cure:
        console.print(Text.assemble((" " * 6 + "= ", "dim"), (problem.cure, "green")))
    console.print(Text(f"      [{problem.code}]", style="dim"))


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
    return text if len(text) <= 80 else text[:77] + "..."


def counted(number: int, noun: str) -> str:
    """`1 note`, `2 notes`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
