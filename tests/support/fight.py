"""Two people with a clone each and four sessions write at once, while pushes are refused and engines die.

Each edit leaves a word of its own, so that afterwards every one of them can be asked for.
"""

import asyncio
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import vaultloop
from support import wild_edit
from support.git_server import bare_repository, git_server
from support.installation import COMMAND, Engine, Installation, environment
from support.notes import OWNER, note
from support.vault_clone import VaultClone, git
from vaultloop.aio import rpc
from vaultloop.model.conversation import Outcome
from vaultloop.state.database import Database
from vaultloop.state.turns import TurnRecord, Turns

CLONES = 2
CHATS = ("101", "102", "103", "104")

SUPPORT = Path(__file__).parent
# Where the command lies that git calls for a merge.
COMMANDS = Path(sys.executable).parent
# What the agent's script runs lies outside of the system's folders: the operator has to name it.
PROGRAMS = [str(SUPPORT), sys.prefix, sys.base_prefix, str(Path(vaultloop.__file__).parent.parent)]

# One push in four is refused, whoever pushes.
COIN = """\
#!/bin/sh
if [ "$(($(od -An -N1 -tu1 /dev/urandom) % 4))" -eq 0 ]; then
    echo "not today" >&2
    exit 1
fi
"""

# How long everything that is left may take to come to rest (seconds).
REST = 60.0


def declarations() -> dict[str, str]:
    agent = f"'{sys.executable} {SUPPORT / 'wild_edit.py'}'"
    scopes = {
        f"agent/scopes/chat-{chat}.md": note(
            "scope", chats=f'"{chat}"', people='"7"', can_read="notes", can_write="notes"
        )
        for chat in CHATS
    }
    return {
        "agent/defaults.md": note(
            "defaults", runner="command", command=agent, max_sessions=len(CHATS), timezone="UTC"
        ),
        "agent/scopes/owner.md": OWNER,
        "agent/bridges/console.md": note("bridge", platform="console", coalesce="0s"),
        **scopes,
    }


@dataclass
class Place:
    """The remote, the engine's settings and the clones, below one directory."""

    root: Path
    installation: Installation
    clones: list[VaultClone]

    @classmethod
    @contextmanager
    def made(cls, root: Path) -> Iterator["Place"]:
        remote = bare_repository(root / "vault.git")
        first = VaultClone.of(remote, root / "first")
        for path, text in declarations().items():
            first.write(path, text)
        for name in wild_edit.NAMES:
            first.write(f"notes/{name}.md", wild_edit.NOTE.format(name=name))
        first.commit("First notes")
        first.push()
        with git_server(root) as server:
            url = server.url("vault.git")
            config = root / "vaultloop.toml"
            config.write_text(
                f'remote = "{url}"\nstate = "state"\npoll = "1s"\nprograms = {json.dumps(PROGRAMS)}\n'
            )
            clones = [_clone(url, root / f"clone-{number}") for number in range(CLONES)]
            coin = remote / "hooks" / "pre-receive"
            coin.write_text(COIN)
            coin.chmod(0o755)
            yield cls(root, Installation(config), clones)

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def remote(self) -> Path:
        return self.root / "vault.git"

    @property
    def remote_head(self) -> str:
        return git(self.remote, "rev-parse", "main")

    def turns(self) -> list[TurnRecord]:
        with Database(self.state / "engine.db", read_only=True) as database:
            return Turns(database).recent(10_000)

    def notes(self) -> dict[str, str]:
        """The notes at the remote, by path."""
        paths = git(self.remote, "ls-tree", "-r", "--name-only", "main", "notes/").splitlines()
        shown = {
            path: subprocess.run(
                ["git", "-C", self.remote, "show", f"main:{path}"], check=True, capture_output=True
            ).stdout.decode()
            for path in paths
        }
        assert set(shown) >= {f"notes/{name}.md" for name in wild_edit.NAMES}
        return shown


def _clone(url: str, path: Path) -> VaultClone:
    """A person's clone, with our merge driver."""
    variables = {"PATH": f"{COMMANDS}{os.pathsep}{os.environ['PATH']}"}
    clone = VaultClone.of(url, path, env=variables)
    clone.git("config", "user.name", f"Human {path.name}")
    subprocess.run(
        [*COMMAND, "hooks", "install", str(path)],
        env=environment(**variables),
        check=True,
        capture_output=True,
    )
    return clone


@dataclass
class Fight:
    """What is going on, and what was written.

    Attributes:
        words: what people wrote, by the word of each edit; what agents wrote is in the engine's record.
        refusals: pushes of people that did not go through at once.
        starts: how long each start of an engine took until it was ready (seconds).
    """

    place: Place
    pairs: int
    kills: int
    seed: int
    words: list[str] = field(default_factory=list)
    done: int = 0
    refusals: int = 0
    starts: list[float] = field(default_factory=list)
    killed: int = 0
    _over: threading.Event = field(default_factory=threading.Event)

    async def run(self) -> None:
        """Fight until every pair is written and every kill is made, then let it come to rest."""
        async with asyncio.TaskGroup() as group:
            killing = group.create_task(self._engines(), name="engines")
            people = (asyncio.to_thread(self._human, number) for number in range(CLONES))
            await asyncio.gather(*people, *map(self._agent, CHATS))
            self._over.set()
            await killing

    # People.

    def _human(self, number: int) -> None:
        clone, chance = self.place.clones[number], random.Random(f"{self.seed} human {number}")
        for count in range(self.pairs // CLONES):
            word = f"h{number}n{count}"
            name = wild_edit.edit_some(clone.path / "notes", word, chance)
            clone.git("commit", "-q", "-m", f"Edit {name}", "--", f"notes/{name}")
            self.words.append(word)
            self._bring(clone)
            self.done += 1

    def _bring(self, clone: VaultClone) -> None:
        """Pull and push until it is there, as a patient person does."""
        for _ in range(100):
            clone.pull()
            try:
                clone.push()
            except AssertionError:
                self.refusals += 1
            else:
                return
        raise AssertionError("a hundred pushes in a row were refused")

    # Agents.

    async def _agent(self, chat: str) -> None:
        wanted, done, tries = self.pairs // len(CHATS), 0, 0
        while done < wanted:
            word = f"a{chat}n{tries}"
            tries += 1
            await self._say(chat, word)
            done += await self._outcome(word) is Outcome.DONE
            self.done += 1
            assert tries < 3 * wanted + 3 * self.kills, "agents get nowhere"

    async def _say(self, chat: str, word: str) -> None:
        """Say it until an engine has taken it; the same message twice is taken once."""
        said = {"chat": chat, "person": "7", "message": word, "text": f"{word} {self.seed}{word}"}
        while True:
            try:
                async with rpc.connected(self.place.state / "engine.sock") as peer:
                    await peer.call("say", **said)
                    return
            except (OSError, rpc.RpcError):
                await asyncio.sleep(0.05)

    async def _outcome(self, word: str) -> Outcome:
        while True:
            for turn in await asyncio.to_thread(self.place.turns):
                if turn.turn.prompt.split()[0] == word and turn.outcome is not None:
                    return turn.outcome
            await asyncio.sleep(0.05)

    # Engines.

    async def _engines(self) -> None:
        """One after the other; each but the last is killed at some moment of its work."""
        chance = random.Random(f"{self.seed} kills")
        for left in range(self.kills, -1, -1):
            began = time.monotonic()
            with self.place.installation.engine() as engine:
                await asyncio.to_thread(engine.line, "ready at")
                self.starts.append(time.monotonic() - began)
                if left:
                    await self._progress(chance)
                    engine.kill()
                    self.killed += 1
                    continue
                while not self._over.is_set():
                    await asyncio.sleep(0.05)
                await self._rest(engine)

    async def _progress(self, chance: random.Random) -> None:
        """Wait until a share of the edits is made, and a moment more."""
        goal = self.done + max(2 * self.pairs // (self.kills + 2), 1)
        while self.done < goal and not self._over.is_set():
            await asyncio.sleep(0.01)
        await asyncio.sleep(chance.uniform(0, 0.4))

    async def _rest(self, engine: Engine) -> None:
        """Everybody brings what they have, until all stand at one commit."""
        until = time.monotonic() + REST
        while True:
            for clone in self.place.clones:
                await asyncio.to_thread(self._bring, clone)
            status = await asyncio.to_thread(self.place.installation.json, "status")
            heads = {clone.head for clone in self.place.clones} | {self.place.remote_head, status["revision"]}
            if len(heads) == 1 and status["push"]["state"] == "pushed":
                return
            assert time.monotonic() < until, (heads, status, "".join(engine.log[-50:]))


@contextmanager
def fought(root: Path, *, pairs: int, kills: int, seed: int) -> Iterator[Fight]:
    """A fight that has come to its end."""
    with Place.made(root) as place:
        fight = Fight(place, pairs, kills, seed)
        asyncio.run(fight.run())
        yield fight


def sessions_on(remote: Path) -> Counter[str]:
    """How many commits in the remote's history name each session."""
    trailers = git(remote, "log", "--format=%(trailers:key=Session,valueonly,separator=)", "main")
    return Counter(filter(None, trailers.splitlines()))
