"""How problems are shown: where, what, the line with a caret, and the line to write instead.

Plain text with a few colours, without rich: whoever saves a note waits for this.
"""

import os
import sys

import click

from vaultloop.model.problem import Fix, Problem
from vaultloop.vault.notes import secret

# Characters of a note's line that are shown beside a finding.
LONGEST_SHOWN = 160

# Behind the code of what `--fix` would put right.
FIXABLE = "[*]"


def tell(text: str = "", *, to_errors: bool = False) -> None:
    """One line; colours only on a terminal, and where nobody has asked for none."""
    click.echo(text, color=_colours(), err=to_errors)


def show_diff(diff: str) -> None:
    """A unified diff: for people on a terminal, to the byte for a program."""
    if not sys.stdout.isatty():
        click.echo(diff.encode(), nl=False)
        return
    for line in diff.removesuffix("\n").split("\n"):
        colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
        tell(click.style(_visible(line.rstrip("\r")), fg=colour))


def show(problem: Problem, source: str | None) -> None:
    """One problem; `source` is the text of its note, if that can be shown."""
    style = "red" if problem.is_error else "yellow"
    where = click.style(_visible(f"{problem.file}:{problem.line}:{problem.column}:"), bold=True)
    severity = click.style(f"{problem.severity}:", fg=style, bold=True)
    code = click.style(f"[{problem.code}]", dim=True)
    mark = f" {FIXABLE}" if problem.fix and problem.fix.safe else ""
    tell(f"{where} {severity} {_visible(problem.message)} {code}{mark}")
    lines = (source or "").removeprefix("\ufeff").split("\n")
    if source and 0 < problem.line <= len(lines):
        _show_line(problem, _visible(secret.scrubbed(lines[problem.line - 1].rstrip("\r"))), style)
    if problem.fix is not None:
        _show_fix(problem.fix)
    elif problem.cure:
        tell(f"{_gutter('=')} {click.style(_visible(problem.cure), fg='green')}")


def _show_line(problem: Problem, line: str, style: str) -> None:
    tell(f"{_gutter('|', problem.line)} {line[:LONGEST_SHOWN]}")
    if problem.column <= LONGEST_SHOWN:
        before = " " * _width(line[: problem.column - 1])
        tell(f"{_gutter('|')} {before}{click.style('^', fg=style, bold=True)}")


def _show_fix(fix: Fix) -> None:
    """The line that would be right, as a line of a diff."""
    number = fix.line if fix.old is not None else fix.line + 1
    line = _visible(fix.new)[:LONGEST_SHOWN]
    tell(f"{_gutter('+', number, 'green')} {click.style(line, fg='green')}")


def _gutter(sign: str, number: int | None = None, colour: str | None = None) -> str:
    text = f"{'' if number is None else number:>5} {sign}"
    return click.style(text, fg=colour) if colour else click.style(text, dim=True)


def _width(text: str) -> int:
    """Columns of a terminal that a text takes: some letters take two."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # noqa: PLC0415 - only for those letters

    return cell_len(text)


def _visible(text: str) -> str:
    """Text of a note that does nothing to the terminal but stand there, character by character."""
    return "".join(
        character if character.isprintable() else " " if character == "\t" else "\N{REPLACEMENT CHARACTER}"
        for character in text
    )


def _colours() -> bool | None:
    """Whether to colour what is printed; None: if it goes to a terminal."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return True if os.environ.get("FORCE_COLOR") else None
