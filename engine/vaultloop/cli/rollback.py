"""`vaultloop rollback`: go back to what governed the agent before, by a commit on top of what there is."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from vaultloop.cli import output
from vaultloop.cli.engine import NotRunning, ask
from vaultloop.cli.options import as_json, with_settings
from vaultloop.model.errors import VaultloopError
from vaultloop.model.visible import visible
from vaultloop.settings import Settings

if TYPE_CHECKING:
    from vaultloop.model.change import Plan
    from vaultloop.vault.sync.rollback import Rollback


@dataclass(frozen=True)
class _Shown:
    """What an owner decides about."""

    rollback: "Rollback"
    plan: "Plan"


@click.command(name="rollback")
@click.argument("revision", required=False, default="")
@click.option("--path", "paths", multiple=True, help="Only this file or folder; may be given again.")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@as_json
@with_settings
def command(settings: Settings, revision: str, paths: tuple[str, ...], *, yes: bool, as_json: bool) -> None:
    """Go back to what governed the agent at REVISION, or when it was last good.

    That is what lies under agent/, CLAUDE.md and templates; with --path, what
    you name. Other notes, and reminders, stay as they are. It is a commit on
    top: what is there now stays in the history. What it changes is shown first.
    """
    shown = _looked_at(settings, revision, paths)
    if not yes:
        if as_json:
            raise click.UsageError("with --json nobody can be asked; add --yes")
        _print(shown)
        if shown.rollback.edits:
            output.insist_on_yes("Roll back?")
    said = asyncio.run(_roll_back(settings, shown, paths))
    if as_json:
        output.print_json({"message": said, "paths": list(shown.rollback.paths)})
    else:
        output.say(said)


def _looked_at(settings: Settings, revision: str, paths: tuple[str, ...]) -> _Shown:
    from vaultloop.difference import difference  # noqa: PLC0415 - only after the command line is understood
    from vaultloop.trail import repository_of  # noqa: PLC0415
    from vaultloop.vault.sync.rollback import rollback  # noqa: PLC0415
    from vaultloop.vault.sync.steering import resolved  # noqa: PLC0415

    repository = repository_of(settings)
    head = repository.head
    if head is None:
        raise VaultloopError("The vault has no commit yet: there is nothing to go back from.")
    found = rollback(repository, head, resolved(repository, revision), paths)
    after = repository.files_of_tree(found.tree, found.revision)
    return _Shown(found, difference(repository.files(head), after, settings.owners))


def _print(shown: _Shown) -> None:
    back = shown.rollback
    for change in shown.plan.as_json()["changes"]:
        output.print_change(change)
    for path in back.paths:
        output.say(f"{'restore' if back.edits[path] else 'delete '} {visible(path)}")
    if back.edits:
        output.say(f"This makes them as they were in {back.revision[:10]}; everything else stays.")


async def _roll_back(settings: Settings, shown: _Shown, paths: tuple[str, ...]) -> str:
    revision, head = shown.rollback.revision, shown.rollback.head
    try:
        found: dict[str, Any] = await ask(
            settings, "rollback", revision=revision, shown_as=head, paths=list(paths)
        )
        return str(found["message"])
    except NotRunning:
        from vaultloop.control import BY_CLI  # noqa: PLC0415 - the engine is only loaded where none runs
        from vaultloop.offline import steer  # noqa: PLC0415

        return await steer(
            settings, lambda steering: steering.roll_back(revision, BY_CLI, shown_as=head, only=paths)
        )
