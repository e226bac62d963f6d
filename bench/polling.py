"""What asking a remote costs the processor when there is no news, against `git fetch`."""

import resource
import subprocess
import tempfile
from pathlib import Path

from bench import vaults
from bench.measure import Row, cpu, in_turn
from bench.serving import served
from vaultloop import app, settings
from vaultloop.aio.clock import SystemClock

NOTES = 10_000
# One poll is too short to be timed alone.
POLLS = 50


async def rows() -> list[Row]:
    """One row: a poll and the iteration after it, of a whole engine, over http."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        vaults.make(root / "vault.git", NOTES)
        with served(root) as address:
            url = f"{address}vault.git"
            clone = root / "clone"
            subprocess.run(["git", "clone", "-q", url, str(clone)], check=True)
            mine, theirs = await _measured(root, url, clone)
    title = f"no-op poll, CPU, http, {NOTES:,} notes"
    note = "ours with the iteration that follows; both without the server's part"
    return [Row(title, mine, "ms", "git fetch", theirs, 0.05, note)]


async def _measured(root: Path, url: str, clone: Path) -> tuple[float, float]:
    found = settings.load({"state": root / "state", "remote": url, "poll": "1h"}, environment={})
    async with app.assembled(found, SystemClock()) as engine:
        await engine.ready.wait()

        async def polls() -> None:
            for _ in range(POLLS):
                await engine.sync.poll()
                report = await engine.reconciler.iterate()
                assert report.plan is None, "nothing has changed"

        async def ours() -> float:
            return await cpu(polls) / POLLS

        async def theirs() -> float:
            before = _of_children()
            subprocess.run(["git", "-C", str(clone), "fetch", "-q"], check=True)
            return (_of_children() - before) * 1000

        return await in_turn(ours, theirs)


def _of_children() -> float:
    """Seconds of processor time that the children which have ended took, with theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
