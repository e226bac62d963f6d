"""How the engine starts the web process. Imported by the engine, so it loads no web server."""

import importlib.util
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from vaultloop.aio.clock import Clock
from vaultloop.aio.service import keep_serving
from vaultloop.model.errors import VaultloopError
from vaultloop.web.address import Address

# Where programs, modules and texts are found; everything else of the engine's environment may be a secret.
_PASSED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV")

# The flag that says that the secret follows, and the longest line that it may be in (bytes).
SECRET_FLAG = "--secret-on-stdin"  # noqa: S105 - a flag
LONGEST_LINE = 64 * 1024


class MissingExtra(VaultloopError):
    """The web server is not installed."""


def require_extra() -> None:
    """Say so before anything starts, where the web server is not installed.

    Raises:
        MissingExtra: with the cure.
    """
    missing = [name for name in ("starlette", "uvicorn") if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtra(
            f"The web process needs {' and '.join(missing)}: pip install 'vaultloop[web]', or in a clone "
            "pipx install --force '.[web]'. Or leave the setting `web` out."
        )


class NoSecret(VaultloopError):
    """What should be the secret is something else. It is not repeated: it may hold one."""


async def kept(
    state: Path, address: Address, secret: SecretStr | None, clock: Clock, engine: Path | None = None
) -> None:
    """Keep a web process running until cancelled; `secret` is what webhooks are signed with.

    `engine` is the socket that it asks, where that is not the one of whoever acts on `state`.
    """
    await keep_serving(
        "web",
        command(state, address, with_secret=secret is not None, engine=engine),
        cwd=state,
        environment=environment(),
        clock=clock,
        greeting=lambda: greeting(secret),
    )


def command(
    state: Path, address: Address, *, with_secret: bool = False, engine: Path | None = None
) -> list[str]:
    """The command line of a web process for the engine on `state`; see `greeting` for the secret."""
    listen = ["--listen", str(address), *([SECRET_FLAG] if with_secret else [])]
    # One that waits for its turn answers by itself, and on a port that may be taken until then.
    asks = ["--engine", str(engine)] if engine else []
    return [sys.executable, "-P", "-m", "vaultloop", "web", "--state", str(state), *asks, *listen]


def greeting(secret: SecretStr | None) -> bytes:
    """What a web process is told on its standard input: nothing where webhooks have no secret."""
    if secret is None:
        return b""
    return json.dumps({"webhook-secret": secret.get_secret_value()}).encode() + b"\n"


def secret_from(line: bytes) -> str:
    """The secret in what `greeting` wrote.

    Raises:
        NoSecret: it is something else.
    """
    try:
        content = json.loads(line)
        secret = content["webhook-secret"]
    except (ValueError, TypeError, KeyError):
        secret = None
    if not isinstance(secret, str) or not secret:
        raise NoSecret(
            f"With {SECRET_FLAG} the web process needs one line of JSON on standard input,"
            ' {"webhook-secret": "..."}; `vaultloop up` starts it by itself and hands it over.'
        )
    return secret


def environment(engine: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The little of the engine's environment that the web process gets: no secret and no setting."""
    return {name: value for name, value in engine.items() if name in _PASSED or name.startswith("PYTHON")}
