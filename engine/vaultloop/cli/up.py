"""`vaultloop up`: run the engine."""

import asyncio
import sys
from datetime import UTC, datetime

import click

from vaultloop import logs
from vaultloop.cli.engine import engine, records
from vaultloop.cli.options import with_settings
from vaultloop.cli.terminal import NOT_TAKEN, Terminal, turn_away
from vaultloop.settings import Settings
from vaultloop.state.directory import StateDirectory
from vaultloop.web.child import require_extra


@click.command(name="up")
@click.option("--chat", is_flag=True, help="Also chat with the agent here, where there is a terminal.")
@click.option(
    "--no-wait", is_flag=True, help="Where another engine acts on the state directory: end with exit code 75."
)
@with_settings
def command(settings: Settings, *, chat: bool, no_wait: bool) -> None:
    """Run the engine until ctrl-C or TERM.

    It keeps the running agent equal to the vault, fires its crons and answers.
    With --chat and a terminal the log goes to engine.log in the state directory.

    One engine acts. Where another one does, this one stands by, is healthy, and
    takes over when that one ends.
    """
    from vaultloop import daemon  # noqa: PLC0415 - --help must not load the engine

    settings.check_folder()
    if settings.web is not None:
        require_extra()
    interactive = chat and sys.stdin.isatty()
    state = StateDirectory(settings.state)
    state.make()
    logs.configure(settings.log_level, file=state.log if interactive else None)
    running = daemon.up(
        settings,
        beside=lambda: _welcome(settings, interactive=interactive),
        meanwhile=turn_away if interactive else None,
        on_standby=_waits if interactive else _logged,
        wait=not no_wait,
    )
    asyncio.run(running)


def _waits(why: str) -> None:
    click.echo(f"{why}\n{NOT_TAKEN}", err=True)


def _logged(_: str) -> None:
    """Where the log goes to the terminal, it says so already."""


async def _welcome(settings: Settings, *, interactive: bool) -> None:
    with records(settings) as database:
        from vaultloop import overview  # noqa: PLC0415 - as above

        crons = overview.crons_text(database, datetime.now(UTC))
    click.echo(f"Vaultloop runs. {crons}")
    if not interactive:
        click.echo("Chat with `vaultloop chat`; stop with ctrl-C.")
        return
    terminal = Terminal(chat="owner", person="owner")
    async with engine(settings, terminal.handlers) as peer:
        await terminal.converse(peer)
    click.echo("The chat ended; the engine goes on. Stop it with ctrl-C.")
