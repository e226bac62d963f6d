"""The installation under attack: this process is its engine, with everything that an engine has to lose.

Runs as the unprivileged user, in a place of its own: a state directory with database, key and repository, an
operator's home, servers on this machine, a gateway, and another session that is at work.
"""

import asyncio
import json
import os
import resource
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from attack import gateway_process, hostile
from attack.hostile.catalogue import Targets
from attack.hostile.gateway import HERE, INSIDE, LISTED, MAPPED, MODEL
from attack.session import Session
from support.leased import commit
from support.messages_api import Fails, MessagesApi, Request, Says, Step, messages_api
from vaultloop.aio import rpc
from vaultloop.aio.clock import SystemClock
from vaultloop.gateway.client import Gateway
from vaultloop.gateway.keys import Keys
from vaultloop.model.cell import Cell, CellLauncher, Child
from vaultloop.model.conversation import Message, Trigger
from vaultloop.model.gateway import Door, Grant
from vaultloop.model.policy import Audience, Policy
from vaultloop.state.database import Database
from vaultloop.state.directory import StateDirectory
from vaultloop.state.inbox import Inbox
from vaultloop.vault.debris import clear_away
from vaultloop.vault.git.repository import Repository
from vaultloop.vault.git.signing import KEY_NAME, Signer
from vaultloop.vault.views.view import View
from vaultloop.vault.views.views import Views

NOW = datetime(2026, 11, 22, 7, tzinfo=UTC)

# How long one session may take (seconds).
PATIENCE = 40.0

_START = "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); "
_START += "runpy.run_module('hostile', run_name='__main__', alter_sys=True)"

# What each scope may; all of them may write below `notes`, so that there is something to publish.
_COMMON: Mapping[str, Any] = {
    "can_read": ("notes",),
    "can_write": ("notes",),
    "hosts": (LISTED, INSIDE, HERE, MAPPED),
    "stop_after": timedelta(seconds=60),
}
SCOPES: Mapping[str, Policy] = {
    "owner": Policy(
        "owner",
        Audience.OWNER,
        **{**_COMMON, "can_read": ("**",), "can_write": ("**",), "except_": ("health",)},
    ),
    "group": Policy("group", Audience.GROUP, **_COMMON),
    "public": Policy("public", Audience.PUBLIC, **_COMMON),
    "cron": Policy("cron", Audience.CRON, **_COMMON),
}
# The other session's scope is the widest: everything in it is forbidden to everybody else.
OTHER = Policy("everything", Audience.OWNER, can_read=("**",), can_write=("**",))


class Grounds:
    """An installation in `place`, whose sessions start through `launcher`.

    Attributes:
        canary: in everything that is secret here.
        signals: how many of each signal came to this process, the engine.
    """

    def __init__(
        self, place: Path, canary: str, launcher: CellLauncher, small: CellLauncher, *, supervised: bool
    ) -> None:
        """`small` is for sessions that are there to reach a limit; `supervised`: each has a supervisor."""
        self.place = place
        self.canary = canary
        self.signals: Counter[int] = Counter()
        self._launcher, self._small = launcher, small
        self._supervised = supervised
        self.state = place / "state"
        self.operator = place / "operator"
        self.programs = place / "programs"
        self.repository: Repository
        self._stack = AsyncExitStack()
        self._extra: dict[str, str] = {}
        self._control_port = self._datagram_port = self._secret_descriptor = 0
        self._abstract = f"vaultloop-attack-{secrets.token_hex(8)}"
        self._bystander = 0
        self._mark_of_gateway = f"gateway-{secrets.token_hex(8)}"
        self._gateway: Gateway
        self._api: MessagesApi

    @classmethod
    @asynccontextmanager
    async def built(
        cls, place: Path, canary: str, launcher: CellLauncher, small: CellLauncher, *, supervised: bool
    ) -> AsyncIterator["Grounds"]:
        """Build everything; leaving the block tears it down."""
        grounds = cls(place, canary, launcher, small, supervised=supervised)
        async with grounds._stack:
            grounds._furnish()
            grounds._place_a_bystander()
            await grounds._serve()
            await grounds._open_gateway()
            yield grounds

    # What lies on the disk.

    def _furnish(self) -> None:
        StateDirectory(self.state).make()
        os.chdir(self.state)
        Signer.make(self.state)
        with Database(self.state / "engine.db") as database:
            Inbox(database).take(Message("console", "owner", "1", "owner", self.canary, NOW), NOW)
        self.repository = Repository.bare(self.state / "vault.git")
        old = {f"notes/old/{number}.md": "An old note.\n" for number in range(30)}
        commit(
            self.repository,
            {
                "notes/Garden.md": "# Garden\n",
                "notes/caf\u00e9.md": "# Caf\u00e9\n",
                **old,
                "health/secret.md": self.canary,
                "health/movable.md": self.canary,
                "agent/scopes/owner.md": "---\nkind: scope\nchats: owner\n---\n",
            },
        )
        self._write(self.state / "telegram.session", self.canary)
        for name in (".env", "victim", "truncatable", "removable", ".bashrc"):
            self._write(self.operator / name, self.canary)
        with suppress(OSError):
            os.setxattr(self.operator / "victim", "user.secret", self.canary.encode())
        (self.operator / "link").symlink_to(f"/tmp/{self.canary}")
        shutil.copytree(Path(hostile.__file__).parent, self.programs / "hostile")
        self._secret_descriptor = os.open(self.operator / ".env", os.O_RDONLY)
        # A careless engine; a launcher closes it all the same.
        os.set_inheritable(self._secret_descriptor, True)
        self._stack.callback(os.close, self._secret_descriptor)
        self._extra = {
            "movable": "",
            "signing_key": str(self.state / KEY_NAME),
            "repository": str(self.state / "vault.git"),
            "victim": str(self.operator / "victim"),
            "truncatable": str(self.operator / "truncatable"),
            "removable": str(self.operator / "removable"),
            "link": str(self.operator / "link"),
            "oom_score_adj": Path("/proc/self/oom_score_adj").read_text().strip(),
            "nice": str(os.getpriority(os.PRIO_PROCESS, 0)),
            "gateway": "yes",
        }

    @staticmethod
    def _write(path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def _place_a_bystander(self) -> None:
        bystander = subprocess.Popen(["sleep", "600"])
        self._stack.callback(bystander.wait)
        self._stack.callback(bystander.kill)
        self._bystander = bystander.pid

    # What listens on this machine.

    async def _serve(self) -> None:
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGCONT, signal.SIGIO):
            asyncio.get_running_loop().add_signal_handler(number, self._note, number)

        async def secret(_: rpc.Peer, __: dict[str, Any]) -> str:
            return self.canary

        await self._stack.enter_async_context(rpc.serving(self.state / "engine.sock", {"secret": secret}))
        self._control_port = await self._greet("127.0.0.1", 0)
        with suppress(OSError):
            await self._greet("::1", self._control_port)
        abstract = socket.socket(socket.AF_UNIX)
        abstract.bind("\0" + self._abstract)
        server = await asyncio.start_unix_server(self._greeting, sock=abstract)
        self._stack.callback(server.close)
        for family, address in (
            (socket.AF_UNIX, "\0" + self._abstract + "-datagrams"),
            (socket.AF_INET, ("127.0.0.1", 0)),
        ):
            listening = self._stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
            listening.bind(address)
            if family == socket.AF_INET:
                self._datagram_port = listening.getsockname()[1]

    def _note(self, number: int) -> None:
        self.signals[number] += 1

    async def _greet(self, host: str, port: int) -> int:
        server = await asyncio.start_server(self._greeting, host, port)
        self._stack.callback(server.close)
        return int(server.sockets[0].getsockname()[1])

    async def _greeting(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A server that tells everybody the secret, also those who speak HTTP."""
        with suppress(ConnectionError):
            body = self.canary.encode() + b"\n"
            writer.write(
                b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )
            await writer.drain()
        writer.close()

    # The gateway, and the model behind it.

    async def _open_gateway(self) -> None:
        self._api = self._stack.enter_context(messages_api(self._model))
        internet = await self._greet("127.0.0.1", 0)
        keys = Keys(api_key=f"sk-{self.canary}", base_url=self._api.url)
        program = [sys.executable, "-m", gateway_process.__name__, str(self.state), str(internet)]
        program.append(self._mark_of_gateway)
        self._gateway = await self._stack.enter_async_context(
            Gateway.kept(self.state, lambda: keys, SystemClock(), program=program)
        )

    def _model(self, request: Request) -> Step:
        """The scripted model; some requests name what is to happen."""
        wish = str((request.body.get("metadata") or {}).get("user_id"))
        if wish == "redirect":
            to = f"http://127.0.0.1:{self._control_port}/"
            return Fails(307, headers={"location": to})
        return Says("Hello.")

    @asynccontextmanager
    async def door(self, policy: Policy) -> AsyncIterator[Door]:
        """A door of a session under `policy`."""
        grant = Grant(secrets.token_hex(8), policy, Trigger("message", "console"), (MODEL,))
        async with self._gateway.opened(grant) as opened:
            yield opened.door

    # Sessions.

    @asynccontextmanager
    async def cell(self, policy: Policy, door: Door) -> AsyncIterator[tuple[Cell, View]]:
        """A cell with a leased view, as the engine makes them."""
        assert self.repository.head is not None
        views = Views(self.state)
        view = views.lease(self.repository.files(self.repository.head), policy)
        place = self.state / "cells" / secrets.token_urlsafe(18)
        home, scratch = place / "home", place / "tmp"
        for folder in (home, scratch):
            folder.mkdir(mode=0o700, parents=True)
        proxy = f"http://session:{door.token}@{door.host}:{door.port}"
        environment = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(home),
            "TMPDIR": str(scratch),
            "HTTPS_PROXY": proxy,
            "NO_PROXY": "127.0.0.1",
        }
        mounts = {"programs": self.programs}
        try:
            yield Cell(view.folder, home, scratch, environment, policy, door, mounts), view
        finally:
            clear_away(place)
            views.discard(view)

    @asynccontextmanager
    async def other_session(self) -> AsyncIterator[Targets]:
        """Another session at work, and with it all that a hostile one is told."""
        async with AsyncExitStack() as stack:
            door = await stack.enter_async_context(self.door(OTHER))
            cell, view = await stack.enter_async_context(self.cell(OTHER, door))
            transcript = cell.home / ".claude/projects/here.jsonl"
            self._write(transcript, self.canary)
            extra = {
                **self._extra,
                "movable": str(view.folder / "health/movable.md"),
                "transcript": str(transcript),
                "other_view": str(view.folder),
            }
            targets = Targets(
                canary=self.canary,
                view="",
                home="",
                scratch="",
                secret_note=str(view.folder / "health/secret.md"),
                state=str(self.state),
                operator=str(self.operator),
                engine=os.getpid(),
                engine_descriptor=self._secret_descriptor,
                bystander=self._bystander,
                supervisor=None,
                other=0,
                other_home=str(cell.home),
                other_port=door.port,
                other_token=door.token,
                control_port=self._control_port,
                abstract=self._abstract,
                datagram_port=self._datagram_port,
                door_port=0,
                token="",
                extra=extra,
            )
            told = replace(targets, extra={**extra, "stay": "yes"})
            child = await stack.enter_async_context(self._launched(self._launcher, cell, told, [], "other"))
            await anext(child.lines())
            yield replace(targets, other=child.pid)

    @asynccontextmanager
    async def _launched(
        self, launcher: CellLauncher, cell: Cell, targets: Targets, cases: Sequence[str], mark: str
    ) -> AsyncIterator[Child]:
        command = [sys.executable, "-I", "-S", "-c", _START, str(self.programs), "-", *cases, mark]
        async with launcher.launch(command, cell) as child:
            with suppress(ConnectionError):
                await child.write(json.dumps(asdict(targets)).encode(), last=True)
            yield child

    def unharmed(self) -> list[str]:
        """What is not as it was, of what no session may touch."""
        state = Path(f"/proc/{self._bystander}/stat").read_text().rpartition(")")[2].split()[0]
        return [f"the bystander is in state {state}"] if state not in "SR" else []

    async def attacked(
        self, targets: Targets, policy: Policy, cases: Sequence[str], *, small: bool = False
    ) -> Session:
        """One hostile session that tries `cases`; what it reported, and what it left."""
        session = Session(policy)
        async with AsyncExitStack() as stack:
            door = await stack.enter_async_context(self.door(policy))
            await self._shadow(stack, door.port)
            cell, session.view = await stack.enter_async_context(self.cell(policy, door))
            mark = f"mark-{secrets.token_hex(8)}"
            extra = {**targets.extra, "mark": mark, "audience": str(policy.audience)}
            extra["marker"] = str(cell.scratch / "ran")
            beside = [path for path in cell.view.parent.iterdir() if path.is_file()]
            extra["manifest"] = str(beside[0]) if beside else ""
            extra["mount"] = str(self.programs)
            extra["gateway_pid"] = str(next(iter(_marked(self._mark_of_gateway)), 0))
            stays = "refuse-to-end" in cases
            if stays:
                extra["stay"] = "yes"
            if self._supervised:
                extra["supervised"] = "yes"
            told = replace(
                targets,
                view=str(cell.view),
                home=str(cell.home),
                scratch=str(cell.scratch),
                door_port=door.port,
                token=door.token,
                extra=extra,
            )
            before, asked, size = self.signals.copy(), len(self._api.requests), _largest()
            async with self._launched(
                self._small if small else self._launcher, cell, told, cases, mark
            ) as child:
                try:
                    async with asyncio.timeout(PATIENCE):
                        async for line in child.lines():
                            session.take(line)
                            if stays and "the-end" in session.reports:
                                break
                        if not stays:
                            await child.wait()
                            session.complaint = await child.complaint()
                except TimeoutError:
                    session.overdue = True
            session.left = sorted(_marked(mark))
            session.signals = self.signals - before
            session.grown = _largest() - size
            session.asked = [
                f"{request.headers} {request.everything}" for request in self._api.requests[asked:]
            ]
            session.marker = (cell.scratch / "ran").exists()
            session.publish(self.repository)
            for pid in session.left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        return session

    async def _shadow(self, stack: AsyncExitStack, port: int) -> None:
        """The number of a door at another address of this machine."""
        server = await asyncio.start_server(self._greeting, "127.0.0.2", port)
        stack.callback(server.close)


def _largest() -> int:
    """The most memory that this process ever had (MiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _marked(mark: str) -> Iterable[int]:
    """Processes whose arguments end with `mark`."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (folder / "cmdline").read_bytes().rstrip(b"\0").endswith(mark.encode()):
                yield int(folder.name)
