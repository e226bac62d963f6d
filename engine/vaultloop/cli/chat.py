"""`vaultloop chat`: talk to the agent from this terminal."""

import asyncio
import sys

import click

from vaultloop.cli import output
from vaultloop.cli.engine import engine
from vaultloop.cli.options import as_json, with_settings
from vaultloop.cli.terminal import Answer, Terminal
from vaultloop.settings import Settings

# A turn has its own limit (`stop-after`); after this one (seconds) the engine is not answering at all.
DEFAULT_PATIENCE = 900.0


@click.command(name="chat")
@click.option("--once", metavar="TEXT", help="Say TEXT, print the answer, leave.")
@click.option("--chat", "chat", default="owner", show_default=True, help="Speak in the chat with this id.")
@click.option("--person", default="owner", show_default=True, help="Speak as the person with this id.")
@click.option("--timeout", default=DEFAULT_PATIENCE, show_default=True, help="With --once: seconds to wait.")
@as_json
@with_settings
def command(
    settings: Settings, once: str | None, chat: str, person: str, timeout: float, *, as_json: bool
) -> None:
    """Talk to the agent; without options, as its owner.

    /help lists what is answered without a model. Leave with ctrl-D. With
    --once it exits 1 if the chat or the person is refused, nothing is answered,
    or the session did not end well (`outcome` is not `done`). With --json each
    reply is an object: one alone with --once, else one a line.
    """
    terminal = Terminal(chat=chat, person=person, as_json=as_json)
    if once is None:
        asyncio.run(_converse(settings, terminal))
        return
    try:
        answer = asyncio.run(asyncio.wait_for(_ask(settings, terminal, once), timeout))
    except TimeoutError:
        print(f"No answer within {timeout:.0f} s; it will be shown in the next chat.", file=sys.stderr)
        sys.exit(1)
    if as_json:
        output.print_json(answer.as_json())
    else:
        print(answer.text)
    sys.exit(0 if answer.is_well else 1)


async def _converse(settings: Settings, terminal: Terminal) -> None:
    async with engine(settings, terminal.handlers) as peer:
        await terminal.converse(peer)


async def _ask(settings: Settings, terminal: Terminal, text: str) -> Answer:
    async with engine(settings, terminal.handlers) as peer:
        return await terminal.ask(peer, text)
