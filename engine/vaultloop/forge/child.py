"""Sending one commit status from a process of its own. Imported by the engine, so it loads no HTTP client."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path

from pydantic import SecretStr

from vaultloop.aio.process import running
from vaultloop.forge.api import APIS, Call, Verdict
from vaultloop.forge.repository import ForgeRepository
from vaultloop.model.errors import Retry, Stalled

# Longer than the child itself waits for the forge (seconds), and than its start takes.
PATIENCE = 40.0

# Where programs, modules and certificates are found, and the proxies on the way to the forge.
_PASSED = frozenset(
    {"PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "SSL_CERT_FILE", "SSL_CERT_DIR"}
    | {"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"}
)

_COMMAND = (sys.executable, "-P", "-m", "vaultloop.forge")


class ChildForge:
    """A forge that is asked through a child process. The token is never an argument or in the environment."""

    def __init__(self, kind: str, repository: ForgeRepository, token: SecretStr, folder: Path) -> None:
        """`kind` is a word of `APIS`; the child runs in `folder`."""
        self._call = APIS[kind]
        self._repository = repository
        self._token = token
        self._folder = folder

    async def show(self, verdict: Verdict) -> None:
        """Let the forge show `verdict`.

        Raises:
            Retry: it does not answer, or not now.
            Stalled: it refuses, and will again.
        """
        call = self._call(self._repository, verdict)
        status, reason = await self._sent(call)
        if status is None or status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _NOT_NOW:
            raise Retry(f"{self._repository.host} did not take a commit status: {reason}.")
        if status >= HTTPStatus.MULTIPLE_CHOICES:
            raise Stalled(
                f"{self._repository.host} refuses commit statuses ({reason}).",
                cure="Check `forge`, `forge-token` and that the token may write commit statuses of"
                f" {self._repository.path}.",
            )

    async def _sent(self, call: Call) -> tuple[int | None, str]:
        """The HTTP status, and the same in words."""
        name, before = call.authorization
        headers = {**call.headers, name: before + self._token.get_secret_value()}
        line = json.dumps({"url": call.url, "body": dict(call.body), "headers": headers}).encode() + b"\n"
        try:
            async with (
                asyncio.timeout(PATIENCE),
                running(_COMMAND, cwd=self._folder, environment=_environment()) as child,
            ):
                await child.write(line, last=True)
                said = json.loads(await child.stdout.read() or b"{}")
        except TimeoutError:
            said = {"reason": "no answer in time"}
        except (OSError, ValueError):
            said = {}
        status = said.get("status")
        return status, f"HTTP {status}" if status else str(
            said.get("reason", "the request could not be sent")
        )


_NOT_NOW = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)


def _environment(engine: Mapping[str, str] = os.environ) -> dict[str, str]:
    return {name: value for name, value in engine.items() if name in _PASSED or name.startswith("PYTHON")}
