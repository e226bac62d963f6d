"""Reaching the engine that runs, or doing without it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from vaultloop.aio import rpc
from vaultloop.model.errors import VaultloopError
from vaultloop.settings import Settings
from vaultloop.state.database import Database
from vaultloop.state.directory import StateDirectory


class NotRunning(VaultloopError):
    """No engine serves this state directory."""


@asynccontextmanager
async def engine(
    settings: Settings, handlers: Mapping[str, rpc.Handler] | None = None
) -> AsyncIterator[rpc.Peer]:
    """The running engine.

    Raises:
        NotRunning: there is none.
        VaultloopError: it refused; the text says why.
    """
    path = StateDirectory(settings.state).socket
    try:
        connection = rpc.connected(path, handlers)
        peer = await connection.__aenter__()
    except OSError as error:
        raise NotRunning(f"No engine runs on {settings.state}. Start it with `vaultloop up`.") from error
    try:
        yield peer
    except rpc.RpcError as error:
        raise VaultloopError(str(error)) from error
    except ConnectionError as error:
        raise NotRunning("The engine stopped before it answered.") from error
    finally:
        await connection.__aexit__(None, None, None)


async def ask(settings: Settings, method: str, **params: Any) -> Any:
    """One question to the running engine."""
    async with engine(settings) as peer:
        return await peer.call(method, **params)


def records(settings: Settings) -> Database:
    """The engine's database to read, whether it runs or not.

    Raises:
        VaultloopError: no engine has ever run on this state directory.
    """
    path: Path = StateDirectory(settings.state).database
    if not path.is_file():
        raise VaultloopError(f"{settings.state} holds no engine's records yet. Start it with `vaultloop up`.")
    return Database(path, read_only=True)
