"""Views of large vaults: made from nothing, brought forward, and looked through after a session.

The references are what any program would do at least: write the same files, or ask for the status of each.
"""

import itertools
import tempfile
from pathlib import Path

from bench import vaults
from bench.measure import Row, blocking, in_turn, wall
from support.warm_view import WarmView, stat_walk, write
from vaultloop.model.policy import Audience, Policy
from vaultloop.vault.git.repository import Repository
from vaultloop.vault.views.views import Views

COLD = 1_000
NOTES = 10_000
CHANGED = 10
# Of a plain stat walk; the bound that a session's end has to keep.
SCAN = 1.5
EVERYTHING = Policy("owner", Audience.OWNER, can_read=("**",))


async def rows() -> list[Row]:
    """Three rows. Nothing is removed in between: some disks are slow to reuse what was just freed."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        return [await _cold(root / "cold"), *await _warm(root / "warm")]


async def _cold(root: Path) -> Row:
    root.mkdir()
    repository = Repository.bare(vaults.make(root / "vault.git", COLD), "main")
    head = repository.head
    assert head is not None
    files = repository.files(head)
    contents = {entry.path: files.read(entry) for entry in files.under("")}
    numbers = itertools.count()

    def ours() -> None:
        view = Views(root / f"state{next(numbers)}").lease(files, EVERYTHING)
        assert len(view.base) == len(contents)

    mine, reference = await in_turn(
        lambda: wall(blocking(ours)),
        lambda: wall(blocking(lambda: write(root / f"copy{next(numbers)}", contents.items()))),
    )
    return Row(f"view of {COLD:,} notes, cold", mine, "ms", "a plain loop writing them", reference)


async def _warm(root: Path) -> list[Row]:
    root.mkdir()
    warm = WarmView(root, vaults.make(root / "vault.git", NOTES))
    numbers = itertools.count()

    async def ours() -> float:
        files = warm.changed(CHANGED)
        return await wall(blocking(lambda: warm.lease(files)))

    def plainly() -> None:
        write(root / f"copy{next(numbers)}", warm.contents)

    lease, plain = await in_turn(ours, lambda: wall(blocking(plainly)))
    scan, walk = await in_turn(
        lambda: wall(blocking(warm.look_through)),
        lambda: wall(blocking(lambda: stat_walk(warm.view.folder))),
    )
    title = f"clean view of {NOTES:,} notes, forward by {CHANGED}"
    note = "from the lease to the folder that a session may have; the reference writes the same ten files"
    return [
        Row(title, lease, "ms", "writing these files", plain, note=note),
        Row(f"changes of {NOTES:,} notes after a session", scan, "ms", "a plain stat walk", walk, SCAN),
    ]
