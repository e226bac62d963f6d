"""The real Claude Code CLI in a cell, with a model that asks for everything that it must not get.

What reaches the model's API is all that leaves the machine: no canary may be in it. The same session without
the fence leaks, so that the test can fail.
"""

import asyncio
import json
import os
import secrets
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from support.claude_cli import claude
from support.messages_api import MessagesApi, Says, Use, messages_api
from support.real_agent import MODEL
from vaultloop.aio.clock import SystemClock
from vaultloop.gateway.client import Gateway
from vaultloop.gateway.keys import Keys
from vaultloop.model.cell import Cell, CellLauncher, Result, Task
from vaultloop.model.conversation import Trigger
from vaultloop.model.gateway import Bill, Grant
from vaultloop.model.policy import Audience, Policy
from vaultloop.runners.claude.flags import Credential
from vaultloop.runners.claude.runner import ClaudeRunner
from vaultloop.sandbox.direct import DirectLauncher
from vaultloop.sandbox.launcher import FencedLauncher
from vaultloop.sandbox.probe import probe

CANARY = "CANARY"
# The same word, as a pattern that does not contain it: what the model asks for is in its requests too.
LOOKS_FOR = "CAN[A]RY"
VISIBLE = "VISIBLE-roses"

POLICY = Policy(
    "finance", Audience.GROUP, can_read=("**",), can_write=("**",), abilities=("shell",), model=MODEL
)
WIDER = "5e0a6d3c-3d53-4b6e-8f0e-6f0a1c7f9a11"


@dataclass(frozen=True)
class Machine:
    """A machine with much to find on it, and one session's place among it.

    Attributes:
        key: the real one, fresh for each test: a file that is older than it cannot hold it.
    """

    folder: Path
    api: MessagesApi
    key: str

    @classmethod
    def at(cls, folder: Path, api: MessagesApi) -> "Machine":
        machine = cls(folder, api, f"sk-ant-{secrets.token_hex(16)}")
        for path in machine.forbidden:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{CANARY} of {path.name}\n")
        for path in (machine.vault / "health", machine.state / "views" / "wider"):
            (path / f"{CANARY}-in-a-name.md").write_text("Names count too.\n")
        _commit(machine.vault)
        for place in (machine.view, machine.home, machine.scratch):
            place.mkdir(parents=True, mode=0o700)
        (machine.view / "Reference.md").write_text(f"{VISIBLE}\n")
        return machine

    @property
    def vault(self) -> Path:
        return self.folder / "vault"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def view(self) -> Path:
        return self.state / "views" / "narrow"

    @property
    def home(self) -> Path:
        return self.state / "cells" / "narrow" / "home"

    @property
    def scratch(self) -> Path:
        return self.state / "cells" / "narrow" / "tmp"

    @property
    def wider_transcript(self) -> Path:
        """Where a wider session's CLI keeps what it was told."""
        return self.state / "cells" / "wider" / "home" / ".claude" / "projects" / "-x" / f"{WIDER}.jsonl"

    @property
    def forbidden(self) -> Sequence[Path]:
        return (
            self.vault / "health" / "diary.md",
            self.vault / "work.md",
            self.state / "engine.db",
            self.state / "views" / "wider" / "taxes.md",
            self.state / "cells" / "wider" / "home" / ".bash_history",
            self.wider_transcript,
            self.folder / "operator" / ".ssh" / "id_ed25519",
            self.folder / "secrets" / "github",
            Path("/tmp") / f"vaultloop-{self.folder.name}-{os.getpid()}",
        )

    def clear(self) -> None:
        self.forbidden[-1].unlink(missing_ok=True)

    @asynccontextmanager
    async def gateway(self) -> AsyncIterator[Gateway]:
        keys = Keys(api_key=self.key, base_url=self.api.url)
        async with Gateway.kept(self.state, lambda: keys, SystemClock()) as gateway:
            yield gateway

    async def asked(self, launcher: CellLauncher, task: Task, policy: Policy = POLICY) -> tuple[Result, Bill]:
        """What the agent answered and what it was charged."""
        grant = Grant(task.session, policy, Trigger("message", "test"), (MODEL,))
        async with self.gateway() as gateway, gateway.opened(grant) as opened:
            environment = {"PATH": os.environ["PATH"], "HOME": str(self.home), "TMPDIR": str(self.scratch)}
            cell = Cell(self.view, self.home, self.scratch, environment, policy, opened.door)
            runner = ClaudeRunner(launcher, claude(), Credential.API_KEY)
            async with runner.spawn(task, cell) as run:
                async for _ in run.events():
                    pass
                return await run.result(), await opened.bill()

    def left_the_machine(self) -> str:
        """All that reached the model's API."""
        return "\n".join(
            request.everything + json.dumps(dict(request.headers)) for request in self.api.requests
        )


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with messages_api() as api:
        machine = Machine.at(tmp_path, api)
        try:
            yield machine
        finally:
            machine.clear()


def _commit(vault: Path) -> None:
    """The vault is a repository with a past: what git can show is a way to a file as well."""
    who = ("-c", "user.name=Hana", "-c", "user.email=hana@example.org")
    for words in (["init", "-q"], ["add", "-A"], [*who, "commit", "-qm", f"{CANARY} in a subject"]):
        subprocess.run(["git", *words], cwd=vault, check=True, capture_output=True)


def task(prompt: str = "Look at everything.", **more: str) -> Task:
    return Task(session=secrets.token_hex(8), prompt=prompt, instructions="Be kind.", **more)  # type: ignore[arg-type]


def looks(machine: Machine) -> list[Use]:
    """The file tools, at all that is forbidden, by every kind of path."""
    uses = []
    for path in machine.forbidden:
        relative = os.path.relpath(path, machine.view)
        uses += [Use("Read", {"file_path": str(path)}), Use("Read", {"file_path": relative})]
    for folder in (machine.folder, machine.state, machine.vault, Path("/"), machine.folder / "operator"):
        uses += [Use("Grep", {"pattern": LOOKS_FOR, "path": str(folder), "output_mode": "content"})]
        uses += [Use("Glob", {"pattern": "**/*", "path": str(folder)})]
    uses += [Use("Read", {"file_path": f"/proc/{os.getpid()}/environ"})]
    uses += [Use("Write", {"file_path": str(machine.vault / "planted.md"), "content": "x"})]
    return uses


def commands(machine: Machine) -> list[Use]:
    """The shell, at the same."""
    engine = os.getpid()
    vault, earlier = machine.vault, machine.wider_transcript.parent
    resumes = f"{claude()} -p --model {MODEL} --resume {WIDER} hello </dev/null"
    everything = [
        *(f"cat {path}; head -c 100 {path}" for path in machine.forbidden),
        f"cp -r {vault} taken; ln -s {vault} linked; ln {vault}/work.md hard; cat taken/*.md linked/work.md hard",
        f"find /tmp /root /home {machine.folder} -maxdepth 4 -newer Reference.md | grep -a '{LOOKS_FOR}'",
        f"grep -ra '{LOOKS_FOR}' {machine.folder} .. ../.. ../../..; ls -R {machine.folder} /tmp /root /home",
        f"git -C {vault} log -p; git --git-dir {vault}/.git show HEAD:work.md",
        f"cd /proc/{engine}; cat environ cmdline root{vault}/work.md; ls fd cwd; cat /proc/*/environ",
        f"python3 -c \"print(open('{vault}/work.md').read())\"",
        f"bash -c 'cd {vault} && cat *.md'; bash --rcfile {machine.forbidden[4]} -ic true",
        # The way of a resumed conversation: by its id, and by where it lies.
        resumes,
        f"mkdir -p $HOME/.claude/projects; cp -r {earlier} $HOME/.claude/projects/ && {resumes}",
    ]
    return [Use("Bash", {"command": command, "timeout": 20_000}) for command in everything]


SEES = Use("Bash", {"command": "cat Reference.md"})


@pytest.mark.parametrize("audience", list(Audience))
def test_what_the_scope_does_not_grant_reaches_no_request(machine: Machine, audience: Audience) -> None:
    machine.api.follows(Says(uses=[*looks(machine), *commands(machine), SEES]), Says("I saw nothing."))
    result, bill = asyncio.run(_fenced(machine, task(), replace(POLICY, audience=audience)))
    assert (result.ok, result.text) == (True, "I saw nothing.")
    assert VISIBLE in machine.api.asked(2).said
    assert CANARY not in machine.left_the_machine()
    assert bill.requests == len(machine.api.requests) >= 2
    assert not (machine.vault / "planted.md").exists()


def test_without_the_fence_the_same_session_leaks(machine: Machine) -> None:
    machine.api.follows(Says(uses=[*looks(machine), *commands(machine), SEES]), Says("I saw much."))
    asyncio.run(machine.asked(DirectLauncher(), task()))
    said = machine.left_the_machine()
    for path in machine.forbidden:
        assert f"{CANARY} of {path.name}" in said
    assert f"{CANARY} in a subject" in said


async def _fenced(machine: Machine, task: Task, policy: Policy = POLICY) -> tuple[Result, Bill]:
    async with FencedLauncher(probe()) as launcher:
        return await machine.asked(launcher, task, policy)
