"""Which paths a push changed, in a large vault, against `git diff-tree`."""

import subprocess
import tempfile
from pathlib import Path

from bench import vaults
from bench.measure import Row, blocking, in_turn, wall
from vaultloop.vault.git.repository import Repository

NOTES = 100_000
# One comparison is too short to be timed alone.
PUSHES = 10


async def rows() -> list[Row]:
    """One row: one note of many was edited, by each of a few pushes."""
    with tempfile.TemporaryDirectory() as folder:
        bare = vaults.make(Path(folder) / "vault.git", NOTES)
        notes = [vaults.note_path(number * NOTES // PUSHES) for number in range(PUSHES)]
        heads = [_head(bare)]
        for note in notes:
            vaults.change(bare, note, "# Edited\n")
            heads.append(_head(bare))
        pushes = list(zip(notes, heads, heads[1:], strict=False))
        repository = Repository.bare(bare, "main")

        def ours() -> None:
            for note, before, after in pushes:
                assert set(repository.changed(before, after)) == {note}

        def theirs() -> None:
            for note, before, after in pushes:
                command = ["git", "-C", str(bare), "diff-tree", "-r", "--name-only", before, after]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                assert done.stdout.strip() == note

        mine, reference = await in_turn(lambda: wall(blocking(ours)), lambda: wall(blocking(theirs)))
    title = f"changed paths of one push, {NOTES:,} notes"
    return [Row(title, mine / PUSHES, "ms", "git diff-tree", reference / PUSHES, 0.1)]


def _head(bare: Path) -> str:
    done = subprocess.run(["git", "-C", str(bare), "rev-parse", "main"], check=True, capture_output=True)
    return done.stdout.decode().strip()
