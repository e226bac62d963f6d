"""A push that the forge tells of: from its webhook to known, and to everything done, against `git pull`.

The clock starts when the webhook is sent, to the real web process, and stops in the engine: once the changed
declaration is understood, and, with a watched folder, once it is written there, applied and recorded.
"""

import asyncio
import itertools
import logging
import re
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from pydantic import SecretStr

from bench import vaults
from bench.measure import Row, blocking, in_turn, wall
from bench.serving import served
from support.vault_clone import VaultClone
from support.webhooks import BODY, SECRET, answer, github, head
from vaultloop import app, settings
from vaultloop.aio.clock import SystemClock
from vaultloop.aio.supervise import background
from vaultloop.model.resource import Ref
from vaultloop.web import child
from vaultloop.web.address import Address

SIZES = (10_000, 100_000)
JOB = Ref("cron", "job")
NOTE = "agent/crons/job.md"

# Pushes so far apart (seconds) are no flurry, which the engine would gather.
APART = 0.6

# How often the bench looks whether it is done (seconds).
_LOOK = 0.0005

Sender = Callable[[], Awaitable[None]]


async def rows() -> list[Row]:
    """Two rows for each size of vault."""
    return [row for size in SIZES for row in await _of_size(size)]


async def _of_size(size: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        remote = vaults.make(root / "vault.git", size)
        with served(root) as address:
            human = _Human(remote, f"{address}vault.git")
            return [await _known(root, human, size), await _done(root, human, size)]


class _Human:
    """Somebody who pushes without a working copy, and somebody else who pulls into one."""

    def __init__(self, remote: Path, url: str) -> None:
        self.url = url
        self._remote = remote
        self._minutes = itertools.cycle(range(60))
        self.reader = VaultClone.of(url, remote.parent / "reader")

    def push(self) -> tuple[str, str]:
        """A commit that changes one declaration: its id, and the schedule that it says."""
        minute = next(self._minutes)
        text = vaults.cron(0, minute=minute)
        vaults.change(self._remote, NOTE, text)
        asked = ["git", "-C", str(self._remote), "rev-parse", "main"]
        done = subprocess.run(asked, check=True, capture_output=True, text=True)
        return done.stdout.strip(), f"{minute} 0 * * *"

    async def pull(self) -> float:
        """Milliseconds of `git pull` for what was pushed."""
        return await wall(blocking(lambda: self.reader.git("pull", "-q", "--ff-only")))


async def _known(root: Path, human: _Human, size: int) -> Row:
    async with _engine(root / "state", human.url) as (engine, send):

        async def ours() -> float:
            _, schedule = human.push()
            await asyncio.sleep(APART)
            begun = time.perf_counter()
            await send()
            while _schedule(engine) != schedule:
                await asyncio.sleep(_LOOK)
            return (time.perf_counter() - begun) * 1000

        mine, theirs = await in_turn(ours, human.pull)
    note = "from the webhook on, through the web process, until the change is understood and applied"
    title = f"push to state known, webhook, {size:,} notes"
    return Row(title, mine, "ms", "git pull --ff-only", theirs, 0.85, note)


async def _done(root: Path, human: _Human, size: int) -> Row:
    vault = root / "vault"
    subprocess.run(["git", "clone", "-q", human.url, str(vault)], check=True)
    async with _engine(root / "state of the folder", human.url, folder=vault) as (engine, send):

        async def ours() -> float:
            commit, schedule = human.push()
            await asyncio.sleep(APART)
            begun = time.perf_counter()
            await send()
            while _schedule(engine) != schedule or engine.book.applied_revision != commit:
                await asyncio.sleep(_LOOK)
            took = (time.perf_counter() - begun) * 1000
            assert schedule in (vault / NOTE).read_text()
            return took

        mine, theirs = await in_turn(ours, human.pull)
    note = "files written, index and branch moved, applied and recorded"
    title = f"push to everything done, folder, webhook, {size:,} notes"
    return Row(title, mine, "ms", "git pull --ff-only", theirs, 1.1, note)


def _schedule(engine: app.Engine) -> str:
    job = engine.components["cron"].observe().get(JOB)
    return "" if job is None else str(job.spec.schedule)


@asynccontextmanager
async def _engine(
    state: Path, url: str, folder: Path | None = None
) -> AsyncIterator[tuple[app.Engine, Sender]]:
    """An engine that asks its remote only when a webhook says so, and what sends one."""
    given = {"state": state, "remote": url, "poll": "1h"} | ({"folder": folder} if folder else {})
    found, clock = settings.load(given, environment={}), SystemClock()
    web = child.kept(state, Address("127.0.0.1", 0), SecretStr(SECRET), clock)
    with _Listening() as lines:
        async with app.assembled(found, clock) as engine, background("web", web):
            await engine.ready.wait()
            port = await lines.port()

            async def send() -> None:
                status, _ = await answer(port, head(github()), BODY)
                assert status == 202

            yield engine, send


class _Listening(logging.Handler):
    """Hears from the engine's log where its web process listens."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._log = logging.getLogger("vaultloop.aio.service")
        self._found: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def __enter__(self) -> "_Listening":
        self._log.addHandler(self)
        self._log.setLevel(logging.INFO)
        return self

    def __exit__(self, *_: object) -> None:
        self._log.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        found = re.search(r"listens on [^ ]+:(\d+)", record.getMessage())
        if found and not self._found.done():
            self._found.set_result(int(found[1]))

    async def port(self) -> int:
        return await self._found
