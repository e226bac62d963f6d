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
@click.option(
    "--engine",
    type=click.Path(path_type=Path),
    help="Socket of one engine, which may have to wait for its address; without it, of who acts there.",
)
@click.option("--secret-on-stdin", is_flag=True, help="Take webhooks: their secret is on standard input.")
def command(state: Path, listen: str, engine: Path | None, *, secret_on_stdin: bool) -> None:
    """Answer /healthz, /metrics and /hooks/git over HTTP until ctrl-C or TERM.

    Needs no settings and holds no secret but that of webhooks, which is never
    an argument or in the environment: it asks the engine over its socket in
    the state directory. `vaultloop up` starts it by itself where the setting
    `web` is given.
    """
    from vaultloop.web.address import Address  # noqa: PLC0415 - --help needs none
    from vaultloop.web.child import LONGEST_LINE, require_extra, secret_from  # noqa: PLC0415

    try:
        address = Address.parse(listen)
    except ValueError as error:
        raise click.UsageError(f"--listen: {error}.") from error
    require_extra()
    from vaultloop.web import server  # noqa: PLC0415 - only once it is known to be installed

    # No time in a line: the engine forwards them into its own log.
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    secret = None
    if secret_on_stdin:
        from vaultloop.aio.privacy import close_to_others  # noqa: PLC0415 - likewise

        # Before there is a secret in this process.
        close_to_others()
        secret = secret_from(sys.stdin.buffer.readline(LONGEST_LINE))
    server.serve(address, engine or StateDirectory(state).socket, secret, waits=engine is not None)
