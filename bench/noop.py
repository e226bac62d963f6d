"""What an iteration costs when nothing changed, at two sizes of vault; and a cold load of declarations."""

import subprocess
import tempfile
from pathlib import Path

import frontmatter

from bench import vaults
from bench.measure import Row, blocking, cpu, in_turn, wall
from vaultloop import app, settings
from vaultloop.aio.clock import SystemClock
from vaultloop.components import KINDS
from vaultloop.vault.git.effort import Effort
from vaultloop.vault.git.repository import Repository
from vaultloop.vault.notes.loader import Loader

SMALL, LARGE = 10_000, 100_000
CRONS = 1_000
# One iteration is too short to be timed alone.
ITERATIONS = 50


async def rows() -> list[Row]:
    """CPU of a no-op iteration, and a cold load."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        small = vaults.make(root / "small.git", SMALL)
        large = vaults.make(root / "large.git", LARGE)
        declared = vaults.make(root / "declared.git", 0, crons=CRONS)
        return [await _noop(root, small, large), await _cold_load(root, declared)]


async def _noop(root: Path, small: Path, large: Path) -> Row:
    async def iterate(engine: app.Engine) -> None:
        asked = engine.effort.polls
        for _ in range(ITERATIONS):
            # The remote is asked when a poll is due: here before each iteration.
            await engine.sync.poll()
            report = await engine.reconciler.iterate()
            assert report.plan is None, "nothing has changed"
        assert engine.effort.polls == asked + ITERATIONS

    def clocked(remote: Path) -> settings.Settings:
        state = root / f"state of {remote.name}"
        return settings.load({"state": state, "remote": str(remote), "poll": "1h"}, environment={})

    async with (
        app.assembled(clocked(small), SystemClock()) as few,
        app.assembled(clocked(large), SystemClock()) as many,
    ):
        await few.ready.wait()
        await many.ready.wait()
        ours, theirs = await in_turn(lambda: cpu(lambda: iterate(many)), lambda: cpu(lambda: iterate(few)))
    title, against = f"no-op iteration, CPU, {LARGE:,} notes", f"the same at {SMALL:,}"
    note = "before each the remote is asked: a local path, so that the remote's own work is in it too"
    return Row(title, ours / ITERATIONS, "ms", against, theirs / ITERATIONS, 1.2, note)


async def _cold_load(root: Path, declared: Path) -> Row:
    repository = Repository.bare(declared, "main")
    head = repository.head
    assert head is not None
    checkout = root / "checkout"
    subprocess.run(["git", "clone", "-q", str(declared), str(checkout)], check=True)
    notes = sorted((checkout / "agent").rglob("*.md"))

    def ours() -> None:
        snapshot = Loader(KINDS, Effort()).load(repository.files(head))
        assert len(snapshot.resources) >= CRONS

    def theirs() -> None:
        for note in notes:
            frontmatter.load(str(note))

    mine, reference = await in_turn(lambda: wall(blocking(ours)), lambda: wall(blocking(theirs)))
    title = f"cold load and check of {CRONS:,} declarations"
    return Row(title, mine, "ms", "python-frontmatter, the same files, unchecked", reference)
