"""An engine in the test's own process over a real remote or folder, with the human on the other side."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from support.git_server import bare_repository
from support.installation import COMMAND, Installation, environment
from support.notes import OWNER, note
from support.vault_clone import VaultClone
from vaultloop import app, overview, settings
from vaultloop.aio.clock import Clock, VirtualClock
from vaultloop.cli.engine import engine as connected
from vaultloop.cli.engine import records
from vaultloop.cli.terminal import Terminal

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)

CONSOLE = note("bridge", platform="console", coalesce="0s")
BASE = {"agent/scopes/owner.md": OWNER, "agent/bridges/console.md": CONSOLE, "Home.md": "# Home\n"}

Notes = Mapping[str, str | None]


async def until(condition: Callable[[], bool]) -> None:
    """Return once `condition` holds; for what other threads and processes bring about."""
    while not condition():
        await asyncio.sleep(0.01)


@dataclass(frozen=True)
class Place:
    """A vault, the settings of its engine, and where a human edits it."""

    config: Path
    human: VaultClone
    remote: Path | None = None

    @classmethod
    def with_remote(cls, root: Path, notes: Notes = BASE) -> "Place":
        """A bare repository that a human has pushed `notes` to. It is asked for news only when told to."""
        remote = bare_repository(root / "vault.git")
        place = cls(engine_settings(root, remote=remote), VaultClone.of(remote, root / "human"), remote)
        place.push(notes)
        return place

    @classmethod
    def with_folder(cls, root: Path, notes: Notes = BASE, *, own_git: bool) -> "Place":
        """A folder that holds `notes`, committed if it has its own git."""
        folder = root / "vault"
        human = VaultClone.fresh(folder) if own_git else VaultClone(folder)
        place = cls(engine_settings(root, folder=folder), human)
        place.write(notes)
        if own_git:
            human.commit("First notes")
        return place

    @staticmethod
    def clock_of_tomorrow() -> VirtualClock:
        """By then, every file of today has been left alone for long enough."""
        return VirtualClock(datetime.now(UTC) + timedelta(days=1))

    @property
    def settings(self) -> settings.Settings:
        return settings.load(config=self.config, environment={})

    @property
    def installation(self) -> Installation:
        """The same settings for the command line."""
        return Installation(self.config)

    def write(self, notes: Notes) -> None:
        """What a human does in the folder; None deletes a note."""
        for path, text in notes.items():
            if text is None:
                (self.human.path / path).unlink()
            else:
                self.human.write(path, text)

    def push(self, notes: Notes) -> str:
        """A human writes, commits and pushes; the commit."""
        if self.human.git("ls-remote", "origin", "main"):
            self.human.pull()
        self.write(notes)
        self.human.commit()
        self.human.push()
        return self.human.head

    def check(self, expect: int) -> Any:
        """What `vaultloop check` prints of the human's copy; its exit code must be `expect`."""
        command = [*COMMAND, "check", str(self.human.path), "--json"]
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
        assert done.returncode == expect, (done.returncode, done.stdout, done.stderr)
        return json.loads(done.stdout)

    @asynccontextmanager
    async def engine(self, clock: Clock | None = None) -> "AsyncIterator[Running]":
        """An engine that has applied what there is; its time stands still unless `clock` moves."""
        async with app.assembled(self.settings, clock or VirtualClock(NOON)) as engine:
            await engine.ready.wait()
            yield Running(self, engine)


@dataclass(frozen=True)
class Running:
    """A running engine, as its owner meets it."""

    place: Place
    engine: app.Engine

    async def push(self, notes: Notes) -> str:
        """What a human pushes, once the engine has made it so; the commit."""
        pushed = self.place.push(notes)
        await self.looks()
        return pushed

    async def looks(self) -> None:
        """One look at everything, the remote included, from its beginning to its end."""
        await self.engine.sync.poll()
        await self.engine.reconciler.iterate()

    def overview(self) -> dict[str, Any]:
        """What `vaultloop status` shows."""
        with records(self.place.settings) as database:
            return overview.overview(database)

    def crons(self, start: datetime = NOON) -> dict[str, dict[str, Any]]:
        """What `vaultloop crons` shows, by name."""
        with records(self.place.settings) as database:
            return {cron["name"]: cron for cron in overview.crons(database, count=1, start=start)}

    def sessions(self) -> list[dict[str, Any]]:
        """What `vaultloop sessions` shows: the newest first."""
        with records(self.place.settings) as database:
            return overview.sessions(database, limit=20)

    def status(self, resource: str) -> dict[str, Any]:
        """How `kind/name` stands."""
        kind, name = resource.split("/")
        found = self.overview()["resources"]
        return next((r for r in found if (r["kind"], r["name"]) == (kind, name)), {"condition": None})

    def conditions(self) -> dict[str, str]:
        """The condition of every resource, by `kind/name`."""
        return {f"{r['kind']}/{r['name']}": r["condition"] for r in self.overview()["resources"]}

    async def say(self, text: str, *, chat: str = "owner", person: str | None = None) -> str:
        """The answer to one thing said in a chat, by the one whose private chat it is unless named."""
        terminal = Terminal(chat=chat, person=person or chat)
        async with connected(self.place.settings, terminal.handlers) as peer:
            return (await terminal.ask(peer, text)).text


def engine_settings(root: Path, **values: Path) -> Path:
    """A settings file in `root`, for an engine that looks at its vault when it is told to."""
    lines = "".join(f'{key} = "{value}"\n' for key, value in values.items())
    config = root / "vaultloop.toml"
    config.write_text(f'state = "{root / "state"}"\npoll = "1h"\nsettle = "1s"\nquiet = "1s"\n{lines}')
    return config
