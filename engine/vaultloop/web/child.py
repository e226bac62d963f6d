"""How the engine starts the web process. Imported by the engine, so it loads no web server."""

import importlib.util
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from vaultloop.model.errors import VaultloopError
from vaultloop.web.address import Address

# Where programs, modules and texts are found; everything else of the engine's environment may be a secret.
_PASSED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV")


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
            f"The web process needs {' and '.join(missing)}: pip install 'vaultloop[web]'. "
            "Or leave the setting `web` out."
        )


def command(state: Path, address: Address) -> list[str]:
    """The command line of a web process for the engine on `state`."""
    listen = ["--listen", str(address)]
    return [sys.executable, "-P", "-m", "vaultloop", "web", "--state", str(state), *listen]


def environment(engine: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The little of the engine's environment that the web process gets: no secret and no setting."""
    return {name: value for name, value in engine.items() if name in _PASSED or name.startswith("PYTHON")}
