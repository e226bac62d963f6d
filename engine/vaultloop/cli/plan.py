"""`vaultloop plan`: what the vault would change in the running agent."""

import asyncio
import sys
from typing import Any

import click

from vaultloop.cli import output, problems
from vaultloop.cli.engine import NotRunning, ask
from vaultloop.cli.options import as_json, with_settings
from vaultloop.cli.plain import counted
from vaultloop.model.problem import Problem, Severity
from vaultloop.settings import Settings


@click.command(name="plan")
@as_json
@with_settings
def command(settings: Settings, *, as_json: bool) -> None:
    """Show what would be created, updated and deleted, and apply nothing.

    Works with and without a running engine. Exits 1 if a note has an error,
    else 2 if there are changes, else 0.
    """
    found = asyncio.run(_plan(settings))
    if as_json:
        output.print_json(found)
    else:
        _print(found)
    if any(problem["severity"] == "error" for problem in found["problems"]):
        sys.exit(1)
    sys.exit(2 if found["changes"] else 0)


async def _plan(settings: Settings) -> Any:
    try:
        return await ask(settings, "plan")
    except NotRunning:
        from vaultloop.app import plan_offline  # noqa: PLC0415 - the engine is only loaded where none runs

        return (await plan_offline(settings)).as_json()


def _print(found: dict[str, Any]) -> None:
    for problem in found["problems"]:
        problems.show(Problem(**{**problem, "severity": Severity(problem["severity"])}), None)
    for change in found["changes"]:
        output.print_change(change)
    summary = counted(len(found["changes"]), "change") if found["changes"] else "Nothing to change"
    output.console.print(f"{summary} at {(found['revision'] or '')[:10] or 'no revision yet'}.")
