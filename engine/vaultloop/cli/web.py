"""`vaultloop web`: the process that answers over HTTP, started by the engine where `web` is set."""

import logging
import sys
from pathlib import Path

import click

from vaultloop.state.directory import StateDirectory


@click.command(name="web")
@click.option(
    "--state",
    required=True,
    envvar="VAULTLOOP_STATE",
    type=click.Path(path_type=Path),
    help="State directory of the engine.",
)
@click.option(
    "--listen", required=True, envvar="VAULTLOOP_WEB", help="Address and port, such as 127.0.0.1:8080."
)
def command(state: Path, listen: str) -> None:
    """Answer /healthz over HTTP until ctrl-C or TERM.

    Needs no settings and holds no secret: it asks the engine over its socket in
    the state directory. `vaultloop up` starts it by itself where the setting
    `web` is given.
    """
    from vaultloop.web.address import Address  # noqa: PLC0415 - --help needs none
    from vaultloop.web.child import require_extra  # noqa: PLC0415

    try:
        address = Address.parse(listen)
    except ValueError as error:
        raise click.UsageError(f"--listen: {error}.") from error
    require_extra()
    from vaultloop.web import server  # noqa: PLC0415 - only once it is known to be installed

    # No time in a line: the engine forwards them into its own log.
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    server.serve(address, StateDirectory(state).socket)
