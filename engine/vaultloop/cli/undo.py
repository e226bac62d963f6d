"""`vaultloop undo`: take back what a session published, and nothing that others wrote since."""

import asyncio
from typing import Any

import click

from vaultloop.cli import output
from vaultloop.cli.engine import NotRunning, ask, records
from vaultloop.cli.options import as_json, with_settings
from vaultloop.model.visible import visible
from vaultloop.settings import Settings


@click.command(name="undo")
@click.argument("session")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@as_json
@with_settings
def command(settings: Settings, session: str, *, yes: bool, as_json: bool) -> None:
    """Take back what SESSION published, by one commit; later edits of others stay.

    If somebody edited one of its lines since, nothing is changed, and it is said who did. To take an undo
    back, name its commit.
    """
    if not yes:
        if as_json:
            raise click.UsageError("with --json nobody can be asked; add --yes")
        _show(settings, session)
        output.insist_on_yes("Take it back?")
    said = asyncio.run(_undo(settings, session))
    if as_json:
        output.print_json({"message": said})
    else:
        output.say(said)


def _show(settings: Settings, session: str) -> None:
    from vaultloop.sessions.undoing import claimed, insist, prospect  # noqa: PLC0415
    from vaultloop.trail import repository_of  # noqa: PLC0415

    with records(settings) as database:
        claim = claimed(database, session)
        found = prospect(repository_of(settings), claim)
        insist(database, claim, found)
    output.say(f"What {claim.title} changed would be taken back in:")
    for path in found.paths:
        output.say(f"- {visible(path)}")


async def _undo(settings: Settings, session: str) -> str:
    try:
        found: dict[str, Any] = await ask(settings, "undo", session=session)
        return str(found["message"])
    except NotRunning:
        from vaultloop import offline  # noqa: PLC0415 - the engine is only loaded where none runs

        with records(settings):
            pass  # there are some, or this says how to get some
        return await offline.undo(settings, session)
