"""`vaultloop gateway`: the process that holds the keys, started by the engine when first needed."""

import logging
import sys
from pathlib import Path

import click


@click.command(name="gateway")
@click.option(
    "--state",
    required=True,
    envvar="VAULTLOOP_STATE",
    type=click.Path(path_type=Path),
    help="State directory of the engine.",
)
def command(state: Path) -> None:
    """Be the only address that sessions reach: model, budgets, hosts.

    Reads its keys as one line of JSON from standard input, never from arguments
    or the environment, and ends when that input does. `vaultloop up` starts it
    by itself when a session first needs it.
    """
    from vaultloop.gateway.client import require_parts  # noqa: PLC0415 - --help needs none
    from vaultloop.gateway.keys import LONGEST_LINE, Keys  # noqa: PLC0415

    require_parts()
    from vaultloop.aio.privacy import close_to_others  # noqa: PLC0415
    from vaultloop.gateway import process  # noqa: PLC0415 - only once it is known to be installed

    # No time in a line: the engine forwards them into its own log.
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    # Before there is a key in this process.
    close_to_others()
    process.run(state, Keys.from_line(sys.stdin.buffer.readline(LONGEST_LINE)))
