"""`vaultloop plan`: what the vault would change in the running agent, or one revision against another."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import click

from vaultloop.cli import output, problems
from vaultloop.cli.engine import NotRunning, ask
from vaultloop.cli.options import as_json, with_given_settings
from vaultloop.cli.plain import counted
from vaultloop.cli.standpoint import GivenSettings, history, owners
from vaultloop.model.problem import Problem, Severity
from vaultloop.settings import Settings


@click.command(name="plan")
@click.option("--from", "before", metavar="REVISION", help="Compare with this revision, not what runs.")
@click.option("--to", "after", metavar="REVISION", help="With --from: the revision to look at (HEAD).")
@as_json
@with_given_settings
def command(given: GivenSettings, before: str | None, after: str | None, *, as_json: bool) -> None:
    """Show what would be created, updated and deleted, and apply nothing.

    Works with and without a running engine. With --from (and --to) it needs
    neither engine nor settings in a clone of the vault. Exits 1 if a note has
    an error, else 2 if there are changes, else 0.
    """
    if before is None and after is not None:
        raise click.UsageError("--to says what to look at; say with --from what to compare it with")
    found = asyncio.run(_plan(given.settings)) if before is None else _between(given, before, after or "HEAD")
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
        from vaultloop import offline  # noqa: PLC0415 - the engine is only loaded where none runs

        # It looks at what lies in the folder now, settled or not.
        return {**(await offline.plan(settings)).as_json(), "unsettled": [], "attention": []}


def _between(given: GivenSettings, before: str, after: str) -> Any:
    from vaultloop.difference import difference  # noqa: PLC0415 - only where revisions are compared

    past = history(given, Path.cwd())
    found = difference(past.files(before), past.files(after), owners(given))
    return found.as_json()


def _print(found: dict[str, Any]) -> None:
    for problem in found["problems"]:
        problems.show(Problem(**{**problem, "severity": Severity(problem["severity"])}), None)
    for change in found["changes"]:
        output.print_change(change)
    summary = counted(len(found["changes"]), "change") if found["changes"] else "Nothing to change"
    output.console.print(f"{summary} at {(found['revision'] or '')[:10] or 'no revision yet'}.")
    for said in found.get("attention", ()):
        # What is held, pinned or paused: why this is not the plan of the newest revision.
        output.say(said)
    if waiting := found.get("unsettled"):
        are, they = ("is", "it") if len(waiting) == 1 else ("are", "they")
        output.console.print(
            f"{counted(len(waiting), 'saved file')} {are} not counted yet: {they} must lie unchanged for a"
            " moment first (`settle` in the settings). Call this again."
        )
