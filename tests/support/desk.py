"""Sessions over real parts: a vault behind a bare remote, the database, the practice agent."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from support.vault_clone import VaultClone, git
from vaultloop.aio.clock import Clock, VirtualClock
from vaultloop.model.cell import Cell, Result, Run, Runner, Task, ToolUse, Transcript
from vaultloop.model.component import Channel, Origin
from vaultloop.model.conversation import AgentDefaults, Message, Reply, Trigger, Turn
from vaultloop.model.errors import Denied
from vaultloop.model.gateway import Doors, Purse
from vaultloop.model.policy import Audience, Policy
from vaultloop.model.status import Confinement
from vaultloop.runners.command import CommandRunner
from vaultloop.sandbox.direct import DirectLauncher
from vaultloop.sessions.dispatcher import Dispatcher
from vaultloop.sessions.services import Services
from vaultloop.state.database import Database
from vaultloop.state.turns import TurnRecord, Turns
from vaultloop.vault.git.signing import Signer
from vaultloop.vault.sync.sync import Sync
from vaultloop.vault.views.verdict import Admission, NobodyAdmits

NOW = datetime(2026, 11, 22, 7, tzinfo=UTC)
OWNER = Policy(
    "owner",
    Audience.OWNER,
    chats=("owner",),
    people=("owner",),
    can_read=("**",),
    can_write=("**",),
    instructions="Be kind.",
)
FAMILY = replace(OWNER, scope="family", audience=Audience.GROUP, chats=("-1",), people=("anna", "ben"))
NOTES = {"Garden.md": "# Garden\n\n- [ ] water the roses\n", "Inbox.md": "# Inbox\n"}


class Scopes:
    """A guard over policies held in memory; a policy covers the chats that it names."""

    def __init__(self, *policies: Policy) -> None:
        self.policies = list(policies)

    def admit(self, message: Message) -> Policy:
        for policy in self.policies:
            if message.chat in policy.chats:
                if message.person not in policy.people:
                    raise Denied("You are not in the list of this chat.")
                return policy
        raise Denied("No scope covers this chat.")

    def policy(self, scope: str) -> Policy:
        for policy in self.policies:
            if policy.scope == scope:
                return policy
        raise Denied(f"There is no scope {scope}.")

    def is_owners(self, chat: str) -> bool:
        return chat == "owner"


class Chats:
    """A channel whose chats are held in memory; while it is `away` nobody takes a reply."""

    platform = "console"

    def __init__(self, *, away: bool = False) -> None:
        self.away = away
        self.coalesce = 0.0
        self.shown: list[Reply] = []
        self._new = asyncio.Event()

    async def deliver(self, reply: Reply) -> bool:
        if self.away:
            return False
        if reply.key not in [known.key for known in self.shown]:
            self.shown.append(reply)
        self._new.set()
        return True

    async def has(self, number: int) -> list[str]:
        """The texts that were shown, once there are so many."""
        while len(self.shown) < number:
            self._new.clear()
            await self._new.wait()
        return [reply.text for reply in self.shown]


class ScriptedRun:
    """A run that a test steers: it uses tools and ends when it is told to."""

    pid = 0

    def __init__(self, task: Task, cell: Cell, interrupted: asyncio.Event) -> None:
        self.task, self.cell = task, cell
        self.interrupted = interrupted
        self._events: asyncio.Queue[ToolUse | Result] = asyncio.Queue()
        self._result: Result | None = None

    def uses(self, name: str, *, reads_only: bool = False) -> None:
        self._events.put_nowait(ToolUse(name, reads_only))

    def ends(self, text: str = "Done.", *, ok: bool = True, cost_usd: float = 0.0, **more: Any) -> None:
        """End with this result; `more` are further fields of it."""
        self._events.put_nowait(Result(ok=ok, text=text, cost_usd=cost_usd, model="scripted", **more))

    def remembers(self, content: str, *, spent_usd: float = 0.0) -> Transcript:
        """Leave a transcript in its home, as an agent program does."""
        file = self.cell.home / ".agent/projects/here.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        return Transcript("name-of-the-program", file, spent_usd)

    def write(self, path: str, text: str) -> None:
        target = self.cell.view / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    async def events(self) -> AsyncIterator[ToolUse]:
        while not isinstance(event := await self._events.get(), Result):
            yield event
        self._result = event

    async def result(self) -> Result:
        assert self._result is not None
        return self._result

    async def interrupt(self) -> None:
        self.interrupted.set()


class ScriptedRunner:
    """A runner in the place of a model far away: each run waits for what the test makes it do."""

    name = "scripted"

    def __init__(self, *, reports_tool_use: bool = True) -> None:
        self.reports_tool_use = reports_tool_use
        self.interrupted = asyncio.Event()
        self.spawned: asyncio.Queue[ScriptedRun] = asyncio.Queue()
        self.running = 0
        self.asks: tuple[str, ...] = ()

    def models(self, _: Policy) -> tuple[str, ...]:
        return self.asks

    @asynccontextmanager
    async def spawn(self, task: Task, cell: Cell) -> AsyncIterator[Run]:
        run = ScriptedRun(task, cell, self.interrupted)
        self.running += 1
        self.spawned.put_nowait(run)
        try:
            yield run
        finally:
            self.running -= 1


def practice(defaults: AgentDefaults) -> Runner:
    return CommandRunner(DirectLauncher(), defaults.command)


@dataclass
class Desk:
    """Everything that outlives a crash (state directory, remote), and what a test looks at."""

    folder: Path
    clock: Clock = field(default_factory=lambda: VirtualClock(NOW))
    guard: Scopes = field(default_factory=lambda: Scopes(OWNER))
    chats: Chats = field(default_factory=Chats)
    runner: Callable[[AgentDefaults], Runner] = practice
    rung: asyncio.Event = field(default_factory=asyncio.Event)
    channels: dict[str, Channel] = field(default_factory=dict)
    origins: dict[str, Origin] = field(default_factory=dict)
    admission: Admission = field(default_factory=NobodyAdmits)
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    confinement: Callable[[Audience], Confinement] = field(default=DirectLauncher().confinement)
    purse: Purse | None = None
    doors: Doors | None = None
    mounts: dict[str, Path] = field(default_factory=dict)
    watched: Path | None = None

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def remote(self) -> Path:
        return self.folder / "remote.git"

    @classmethod
    def at(cls, folder: Path, notes: Mapping[str, str] = NOTES) -> Self:
        """A desk over a new vault with these notes."""
        desk = cls(folder)
        git(folder, "init", "-q", "--bare", "--initial-branch=main", str(desk.remote))
        human = VaultClone.of(desk.remote, folder / "human")
        for path, text in notes.items():
            human.write(path, text)
        human.commit("First notes")
        human.git("push", "-q", "origin", "main")
        desk.state.mkdir(mode=0o700)
        Signer.make(desk.state)
        return desk

    def scripted(self) -> ScriptedRunner:
        """Let tests play the agent."""
        runner = ScriptedRunner()
        self.runner = lambda _: runner
        return runner

    @asynccontextmanager
    async def open(self, *, begin: bool = True) -> AsyncIterator["OpenDesk"]:
        """Start an engine's sessions over what is there; leaving the block is stopping it."""
        async with AsyncExitStack() as stack:
            database = stack.enter_context(Database(self.state / "engine.db"))
            sync = await stack.enter_async_context(
                Sync(self.state, self.clock, remote=str(self.remote), folder=self.watched)
            )
            await sync.look()
            services = Services(
                state=self.state,
                database=database,
                sync=sync,
                signer=Signer.load(self.state),
                guard=self.guard,
                contributors=[],
                origins=self.origins,
                admission=self.admission,
                runner=self.runner,
                confinement=self.confinement,
                purse=self.purse,
                doors=self.doors,
                mounts=self.mounts,
                clock=self.clock,
                on_published=self.rung.set,
                on_owed=lambda: None,
                environment=self.environment,
            )
            dispatcher = Dispatcher(
                services,
                channels={"console": self.chats, **self.channels},
                status=lambda: "All is well.",
                crons=lambda: "No crons.",
            )
            await stack.enter_async_context(dispatcher)
            if begin:
                dispatcher.begin()
            yield OpenDesk(dispatcher, database, sync)

    def pushed(self) -> list[str]:
        """Subjects of the commits at the remote, oldest first, without the human's first one."""
        return git(self.remote, "log", "--reverse", "--format=%s", "main").splitlines()[1:]

    def at_remote(self, path: str) -> str:
        return git(self.remote, "show", f"main:{path}")

    def views(self) -> list[Path]:
        return sorted((self.state / "views").glob("*"))

    def forget_views(self) -> None:
        shutil.rmtree(self.state / "views")


@dataclass
class OpenDesk:
    dispatcher: Dispatcher
    database: Database
    sync: Sync

    @property
    def turns(self) -> Turns:
        return Turns(self.database)

    async def say(self, text: str, number: int = 1, *, chat: str = "owner", person: str = "owner") -> None:
        await self.dispatcher.receive(Message("console", chat, str(number), person, text, NOW))

    async def answered(self, key: str) -> TurnRecord:
        """The record of the turn with this key, once it ended."""
        record = self.turns.by_key(key)
        assert record is not None
        return await self.dispatcher.ended(record.id)

    async def pushed(self) -> None:
        """Returns once the newest commit is at the remote."""
        await self.sync.push()


def cron_turn(name: str = "digest", prompt: str = "Gather open tasks into Digest") -> Turn:
    return Turn(
        id=f"session-of-{name}",
        key=f"cron/{name}/2026-11-22T07:00",
        conversation=f"cron/{name}",
        scope="owner",
        trigger=Trigger("cron", name),
        prompt=prompt,
    )


async def settled(condition: Callable[[], bool]) -> None:
    """Let other tasks go on until `condition` holds; bounded by the test's own limit."""
    while not condition():
        await asyncio.sleep(0)
