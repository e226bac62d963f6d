"""The real Claude Code CLI, asked by the real runner, with a script in the place of the model."""

import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from support.claude_cli import claude
from support.messages_api import MessagesApi, Script, messages_api
from vaultloop.model.cell import Cell, Result, Run, Task, ToolUse
from vaultloop.model.policy import Audience, Policy
from vaultloop.runners.claude.flags import Credential
from vaultloop.runners.claude.runner import ClaudeRunner
from vaultloop.sandbox.direct import DirectLauncher

MODEL = "claude-opus-5-5"
KEY = "sk-ant-only-for-tests"
POLICY = Policy("owner", Audience.OWNER, can_read=("**",), can_write=("**",), model=MODEL)
TASK = Task(session="20261122-070000-abcdef", prompt="Hello.", instructions="Be kind.")


def equipment(api: MessagesApi, **more: str) -> dict[str, str]:
    """What the CLI needs to reach the script without a gateway; it tries again once, as a test has no time
    for more.
    """
    return {
        "ANTHROPIC_BASE_URL": api.url,
        "ANTHROPIC_API_KEY": KEY,
        "CLAUDE_CODE_MAX_RETRIES": "1",
        **more,
    }


def runner(api: MessagesApi, **more: str) -> ClaudeRunner:
    """The runner that asks the script."""
    return ClaudeRunner(DirectLauncher(), claude(), Credential.API_KEY, environment=equipment(api, **more))


@dataclass(frozen=True)
class RealAgent:
    """A cell, and the model behind it."""

    folder: Path
    api: MessagesApi
    policy: Policy = POLICY

    @classmethod
    @contextmanager
    def following(cls, folder: Path, *script: Script) -> Iterator[Self]:
        """An agent whose model is this script."""
        with messages_api(*script) as api:
            yield cls(folder, api)

    @property
    def view(self) -> Path:
        return self.folder / "view"

    def cell(self) -> Cell:
        """A cell with a fresh home over the one view."""
        self.view.mkdir(exist_ok=True)
        number = len(list(self.folder.glob("home-*")))
        home, scratch = self.folder / f"home-{number}", self.folder / f"scratch-{number}"
        home.mkdir()
        scratch.mkdir()
        environment = {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(scratch)}
        return Cell(self.view, home, scratch, environment, self.policy)

    def write(self, notes: Mapping[str, str]) -> None:
        for path, text in notes.items():
            target = self.view / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)

    @asynccontextmanager
    async def spawned(self, task: Task = TASK, **more: str) -> AsyncIterator[Run]:
        async with runner(self.api, **more).spawn(task, self.cell()) as run:
            yield run

    async def asked(self, prompt: str, task: Task = TASK) -> tuple[list[ToolUse], Result]:
        """What it did and answered."""
        async with self.spawned(replace(task, prompt=prompt)) as run:
            uses = [use async for use in run.events()]
            return uses, await run.result()
