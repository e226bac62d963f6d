"""What sessions are held in by: the cell, the one door out of it, and the program that runs inside."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from vaultloop.gateway.client import Gateway
from vaultloop.gateway.keys import Keys
from vaultloop.gateway.secrets import Secrets
from vaultloop.ground import Ground
from vaultloop.model.conversation import AgentDefaults
from vaultloop.runners.claude.flags import Credential
from vaultloop.runners.claude.runner import ClaudeRunner
from vaultloop.runners.command import CommandRunner
from vaultloop.sandbox.launcher import FencedLauncher
from vaultloop.sandbox.probe import probe
from vaultloop.settings import Settings

Runners = Callable[[AgentDefaults], ClaudeRunner | CommandRunner]


@dataclass(frozen=True, slots=True)
class Fence:
    """One engine's.

    Attributes:
        runners: the program that a session runs, by what `defaults` says.
    """

    launcher: FencedLauncher
    gateway: Gateway
    runners: Runners


@asynccontextmanager
async def fenced(ground: Ground) -> AsyncIterator[Fence]:
    """The fence, for as long as the block lasts; what this machine can do of it is put on record."""
    settings = ground.settings
    found = await asyncio.to_thread(probe)
    ground.book.record_sandbox(found.outcomes(settings.degraded))
    kept = [settings.state, *private(settings)]

    def keys() -> Keys:
        secrets = Secrets.read(settings.secrets, os.environ, settings.secrets_dir)
        return Keys(settings.api_key, settings.oauth_token, settings.anthropic_base_url, secrets)

    async with (
        FencedLauncher(found, settings.degraded, settings.programs, private=kept) as launcher,
        Gateway.kept(settings.state, keys, ground.clock) as gateway,
    ):
        yield Fence(launcher, gateway, _runners(settings, launcher))


def private(settings: Settings) -> tuple[Path, ...]:
    """What no session may be shown as it is, beside the state directory."""
    folders = (settings.folder, settings.secrets_dir)
    return (*(folder for folder in folders if folder), *settings.private)


def _runners(settings: Settings, launcher: FencedLauncher) -> Runners:
    # Which kind of credential there is; the credential itself goes to the gateway alone.
    credential = Credential.API_KEY if settings.api_key else None
    if credential is None and settings.oauth_token:
        credential = Credential.OAUTH_TOKEN

    def chosen(defaults: AgentDefaults) -> ClaudeRunner | CommandRunner:
        if defaults.runner == "claude":
            return ClaudeRunner(launcher, settings.claude, credential)
        return CommandRunner(launcher, defaults.command)

    return chosen
