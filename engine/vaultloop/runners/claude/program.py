"""The CLI's program file: where it is, whether it may be used, and what its owner should know of it."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from vaultloop.model.cell import Cell, CellLauncher
from vaultloop.model.errors import Stalled
from vaultloop.model.policy import Audience, Policy
from vaultloop.runners.claude.version import OLDEST, TESTED, Version, parsed

# How long it may take to say its version (seconds): it needs a twentieth of one.
PATIENCE = 20.0

INSTALL = f"Install it: npm install -g @anthropic-ai/claude-code@{TESTED} (with Node 22 or newer)"


class ClaudeProgram:
    """A name on PATH, or a path, that should be the CLI."""

    # Versions that program files said they are: by path, time and size, so that each is asked once.
    _versions: ClassVar[dict[tuple[str, int, int], Version]] = {}

    def __init__(self, name: str, launcher: CellLauncher) -> None:
        self._name = name
        self._launcher = launcher

    async def proven(self, environment: Mapping[str, str], audience: Audience) -> tuple[str, Version]:
        """Its path and version; where it has to be asked, it is in a cell as sessions of `audience` are.

        Raises:
            Stalled: it is missing, is not the CLI, or is too old.
        """
        path = shutil.which(self._name, path=environment.get("PATH"))
        if path is None:
            raise Stalled(
                f"Claude Code was not found (looked for `{self._name}`).",
                cure=f"{INSTALL}, say where it is with `claude` in the settings, or write `runner: command` "
                "in the defaults note.",
            )
        return path, await self._version(path, environment, audience)

    async def _version(self, path: str, environment: Mapping[str, str], audience: Audience) -> Version:
        found = await asyncio.to_thread(lambda: Path(path).stat())
        identity = (path, found.st_mtime_ns, found.st_size)
        if identity not in self._versions:
            self._versions[identity] = _usable(path, await self._ask(path, environment, audience))
        return self._versions[identity]

    async def _ask(self, path: str, environment: Mapping[str, str], audience: Audience) -> str:
        """What it says when it is asked for its version, in a cell where there is nothing to see."""
        with tempfile.TemporaryDirectory(prefix="vaultloop-version-") as folder:
            empty = Path(folder)
            given = {"PATH": environment.get("PATH", os.defpath), "HOME": folder, "TMPDIR": folder}
            cell = Cell(empty, empty, empty, given, Policy("nobody", audience))
            async with self._launcher.launch([path, "--version"], cell) as child:
                await child.write(b"", last=True)
                try:
                    async with asyncio.timeout(PATIENCE):
                        return b"".join([line async for line in child.lines()]).decode(errors="replace")
                except TimeoutError:
                    return "nothing"


def _usable(path: str, said: str) -> Version:
    """The version in what it said.

    Raises:
        Stalled: there is none, or it is too old.
    """
    version = parsed(said)
    if version is None or version < OLDEST:
        raise Stalled(
            f"{path} says it is version “{said.strip()[:80]}”; {OLDEST} or newer is needed, because older "
            "ones read files that a message mentions.",
            cure=f"{INSTALL}.",
        )
    return version
