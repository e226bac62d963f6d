"""Making a view that no earlier session left behind, against a loop that writes the same files."""

import itertools
import tempfile
from pathlib import Path

from bench import vaults
from bench.measure import Row, blocking, in_turn, wall
from vaultloop.model.policy import Audience, Policy
from vaultloop.vault.repository import Repository
from vaultloop.vault.views import Views

NOTES = 1_000
EVERYTHING = Policy("owner", Audience.OWNER, can_read=("**",))


async def rows() -> list[Row]:
    """One row. Nothing is removed in between: some disks are slow to reuse what was just freed."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        repository = Repository.bare(vaults.make(root / "vault.git", NOTES), "main")
        head = repository.head
        assert head is not None
        files = repository.files(head)
        contents = {entry.path: files.read(entry) for entry in files.under("")}
        numbers = itertools.count()

        def ours() -> None:
            view = Views(root / f"state{next(numbers)}").lease(files, EVERYTHING)
            assert len(view.base) == len(contents)

        def theirs() -> None:
            copy = root / f"copy{next(numbers)}"
            for path, data in contents.items():
                (copy / path).parent.mkdir(parents=True, exist_ok=True)
                (copy / path).write_bytes(data)

        mine, reference = await in_turn(lambda: wall(blocking(ours)), lambda: wall(blocking(theirs)))
    return [Row(f"view of {NOTES:,} notes, cold", mine, "ms", "a plain loop writing them", reference)]
