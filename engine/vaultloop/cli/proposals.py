"""`vaultloop proposals`: what agents would change of what governs them, and the owner's word on it."""

import asyncio
from typing import Any

import click
from rich.text import Text

from vaultloop.cli import output
from vaultloop.cli.engine import NotRunning, ask, records
from vaultloop.cli.options import COUNT, as_json, with_settings
from vaultloop.cli.sessions import ListedByDefault
from vaultloop.model.errors import VaultloopError
from vaultloop.model.visible import visible
from vaultloop.settings import Settings

# So many digits of a commit are shown; they are enough to name it.
SHOWN = 8

NUMBER = click.IntRange(min=1)
_DIFF_STYLES = {"+": "green", "-": "red", "@": "cyan"}


@click.group(name="proposals", cls=ListedByDefault)
def command() -> None:
    """List proposals; `show`, `approve` or `deny` one."""


@command.command(name="list")
@click.option("-n", "--limit", default=10, show_default=True, type=COUNT, help="How many decided ones.")
@as_json
@with_settings
def listed(settings: Settings, limit: int, *, as_json: bool) -> None:
    """List what waits for you; `vaultloop proposals` alone does the same."""
    from vaultloop.overview import proposals  # noqa: PLC0415

    with records(settings) as database:
        found = proposals(database, limit=limit)
    if as_json:
        output.print_json({"proposals": found})
        return
    columns = ("proposal", "state", "scope", "commit", "notes")
    rows = [
        (str(p["proposal"]), p["state"], visible(p["scope"]), p["commit"][:SHOWN], _named(p["paths"]))
        for p in found
    ]
    output.console.print(output.table(columns, rows) if rows else "No agent has proposed anything.")


@command.command(name="show")
@click.argument("number", type=NUMBER)
@as_json
@with_settings
def show(settings: Settings, number: int, *, as_json: bool) -> None:
    """Show proposal NUMBER: what people may do more or less, then the whole difference."""
    from vaultloop.overview import proposal  # noqa: PLC0415

    with records(settings) as database:
        found = proposal(settings, database, number)
    if found is None:
        raise VaultloopError(f"There is no proposal {number}. `vaultloop proposals` lists them.")
    if as_json:
        output.print_json(found)
    else:
        _print(found)


@command.command(name="approve")
@click.argument("number", type=NUMBER)
@click.argument("commit")
@as_json
@with_settings
def approve(settings: Settings, number: int, commit: str, *, as_json: bool) -> None:
    """Take proposal NUMBER that was shown as COMMIT; its first digits are enough."""
    if not commit.strip():
        look = f"`vaultloop proposals show {number}` shows it"
        raise VaultloopError(f"Name the commit that was shown for proposal {number}: {look}.")
    _said(settings, "approve", number, commit, as_json=as_json)


@command.command(name="deny")
@click.argument("number", type=NUMBER)
@as_json
@with_settings
def deny(settings: Settings, number: int, *, as_json: bool) -> None:
    """Leave proposal NUMBER; its commit is kept."""
    _said(settings, "deny", number, None, as_json=as_json)


def _said(settings: Settings, method: str, number: int, commit: str | None, *, as_json: bool) -> None:
    said = asyncio.run(_rule(settings, method, number, commit))
    if as_json:
        output.print_json({"message": said})
    else:
        output.say(said)


async def _rule(settings: Settings, method: str, number: int, commit: str | None) -> str:
    named: dict[str, Any] = {"proposal": number} | ({"commit": commit} if commit is not None else {})
    try:
        return str((await ask(settings, method, **named))["message"])
    except NotRunning:
        from vaultloop import offline  # noqa: PLC0415 - the engine is only loaded where none runs

        return await offline.rule(settings, number, commit)


def _named(paths: list[str]) -> str:
    return ", ".join(map(visible, paths))


def _print(found: dict[str, Any]) -> None:
    for line in found["permissions"] or ["Nobody may do more or less."]:
        output.console.print(Text(visible(line), style="bold"))
    output.say(f"\nProposal {found['proposal']} is {found['state']}. {visible(found['reason'])}".rstrip())
    output.say(f"From the scope {visible(found['scope'])}, session {found['session']}, {found['made']}.\n")
    # Only a line feed ends a line here: what git begins a line with says what the line is.
    for line in (found["diff"] or "Its commit is not in the repository any more.").rstrip("\n").split("\n"):
        output.console.print(Text(visible(line.removesuffix("\r")), style=_DIFF_STYLES.get(line[:1], "")))
    if found["state"] == "open":
        number, commit = found["proposal"], found["commit"][:SHOWN]
        output.say(f"\nTake it:  vaultloop proposals approve {number} {commit}")
        output.say(f"Leave it: vaultloop proposals deny {number}")
