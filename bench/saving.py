"""From the end of `settle` to applied, against a plain watchfiles callback that parses the note."""

import asyncio
import itertools
import random
import tempfile
import time
from pathlib import Path

import frontmatter
import watchfiles

from bench import vaults
from bench.measure import Row, in_turn
from vaultloop import app, settings
from vaultloop.aio.clock import SystemClock
from vaultloop.model.resource import Ref

SETTLE = 1.0
NOTES = 1_000
JOB = Ref("cron", "job")


async def rows() -> list[Row]:
    """One row: a saved cron note of a vault with its own git."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        vault = vaults.checkout(vaults.make(root / "vault.git", NOTES), root / "vault")
        minutes = itertools.cycle(range(60))
        note = vault / "agent/crons/job.md"
        note.parent.mkdir(parents=True)

        def save(path: Path) -> None:
            path.write_text(vaults.cron(0, minute=next(minutes)))

        found = settings.load(
            {"state": root / "state", "folder": vault, "settle": f"{SETTLE:.0f}s"}, environment={}
        )
        async with app.assembled(found, SystemClock()) as engine:
            await engine.ready.wait()

            async def ours() -> float:
                before = engine.components["cron"].observe().get(JOB)
                save(note)
                begun = time.perf_counter()
                while engine.components["cron"].observe().get(JOB) == before:
                    await asyncio.sleep(0.0005)
                return (time.perf_counter() - begun - SETTLE) * 1000

            plain = root / "plain"
            plain.mkdir()
            mine, theirs = await in_turn(ours, lambda: _callback(plain, save))
    title = f"end of settle to applied, folder, {NOTES:,} notes"
    return [Row(title, mine, "ms", "watchfiles callback with parse", theirs, 1.5)]


async def _callback(folder: Path, save: "vaults.Save") -> float:
    note = folder / "job.md"
    stop = asyncio.Event()
    watching = watchfiles.awatch(folder, stop_event=stop)
    first = asyncio.ensure_future(anext(watching))
    # A breath until the watch is set, and never the same: watchfiles looks for events every 50 ms.
    await asyncio.sleep(random.uniform(0.3, 0.4))
    begun = time.perf_counter()
    save(note)
    await first
    frontmatter.load(str(note))
    took = (time.perf_counter() - begun) * 1000
    stop.set()
    await watching.aclose()
    return took
