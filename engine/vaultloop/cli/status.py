"""`vaultloop status`: how everything stands."""

from collections.abc import Mapping
from typing import Any

import click
from rich.text import Text

from vaultloop.cli import output
from vaultloop.cli.engine import records
from vaultloop.cli.options import as_json, with_settings
from vaultloop.cli.plain import plain
from vaultloop.settings import Settings
from vaultloop.state.directory import StateDirectory

# What needs nobody is listed last, and in one line.
QUIET = ("Ready", "Suspended")


@click.command(name="status")
@as_json
@with_settings
def command(settings: Settings, *, as_json: bool) -> None:
    """Show the revision, what runs, and what needs you."""
    from vaultloop.overview import overview  # noqa: PLC0415
    from vaultloop.vault.sync.standing import last_contact  # noqa: PLC0415

    with records(settings) as database:
        found = overview(database)
    contact = last_contact(settings.state)
    found["contact"] = contact.isoformat(timespec="seconds") if contact else None
    found["engine"] = "running" if StateDirectory(settings.state).is_held else "stopped"
    output.print_json(found) if as_json else _tell(found)


def _tell(found: dict[str, Any]) -> None:
    from vaultloop.overview import sandbox_text  # noqa: PLC0415

    say = output.console.print
    stopped = "" if found["engine"] == "running" else "; what follows is as it was left"
    say(f"engine    {found['engine']}{stopped}")
    say(f"revision  {_short(found['revision'])}, applied {_short(found['applied'])}")
    push = found["push"]
    since = f" since {push['since']}" if push["state"] == "stranded" else ""
    say(f"push      {push['state']}{since}")
    if found["contact"]:
        say(f"remote    answered last at {found['contact']}")
    _tell_lease(found["lease"], runs=found["engine"] == "running")
    say(f"sessions  {sandbox_text(found['sandbox'])}")
    for sentence in dict.fromkeys(filter(None, (*found["attention"], push["message"]))):
        say(Text(f"!         {plain(sentence)}", style="red"))
    say()
    for resource in sorted(found["resources"], key=lambda r: (r["condition"] in QUIET, r["kind"], r["name"])):
        _tell_resource(resource)


def _tell_lease(lease: Mapping[str, Any], *, runs: bool) -> None:
    """Who acts at the remote, where there is one."""
    if not lease:
        return
    here = "this engine" if lease["acts"] else "no: this engine stands by"
    output.console.print(f"acts      {here if runs else 'nobody here (stopped)'}")
    if lease["why"]:
        output.console.print(Text(f"!         {plain(lease['why'])}", style="red"))


def _tell_resource(resource: dict[str, Any]) -> None:
    condition = resource["condition"]
    styled = Text(f"{condition:<12}", style=output.CONDITION_STYLES.get(condition, ""))
    output.console.print(styled + Text(f"{resource['kind']}/{resource['name']}", style="default"))
    if condition not in QUIET:
        output.console.print(Text(f"            {resource['reason']}: {resource['message']}"))


def _short(revision: str | None) -> str:
    return revision[:10] if revision else "(none yet)"
