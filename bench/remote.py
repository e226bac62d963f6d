"""Asking a remote and taking from it, over http, against the git command."""

import subprocess
import tempfile
from pathlib import Path

from bench import vaults
from bench.measure import Row, blocking, in_turn, wall
from support.git_server import git_server
from support.vault_clone import VaultClone
from vaultloop.aio.clock import SystemClock
from vaultloop.components import KINDS
from vaultloop.vault.git.effort import Effort
from vaultloop.vault.notes.loader import Loader
from vaultloop.vault.sync.sync import Sync

NOTES = 10_000


async def rows() -> list[Row]:
    """No-op poll, and push to desired state known."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        vaults.make(root / "vault.git", NOTES)
        with git_server(root) as server:
            url = server.url("vault.git")
            async with Sync(root / "state", SystemClock(), remote=url, branch="main") as sync:
                await sync.look(())
                return [await _poll(url, sync), await _push(root, url, sync)]


async def _poll(url: str, sync: Sync) -> Row:
    def ls_remote() -> None:
        subprocess.run(["git", "ls-remote", "-q", url], check=True, capture_output=True)

    ours, theirs = await in_turn(lambda: wall(lambda: sync.look(())), lambda: wall(blocking(ls_remote)))
    return Row(f"no-op poll, http, {NOTES:,} notes", ours, "ms", "git ls-remote", theirs, 0.25)


async def _push(root: Path, url: str, sync: Sync) -> Row:
    human, reader = VaultClone.of(url, root / "human"), VaultClone.of(url, root / "reader")
    loader = Loader(KINDS, Effort())
    pushes = 0

    async def known() -> None:
        head = await sync.look(())
        assert head is not None
        await sync.git(lambda: loader.load(sync.repository.files(head)))

    async def ours() -> float:
        nonlocal pushes
        pushes += 1
        human.save("agent/crons/job.md", vaults.cron(0, minute=pushes))
        human.push()
        return await wall(known)

    await known()
    mine, theirs = await in_turn(ours, lambda: wall(blocking(lambda: reader.git("pull", "-q", "--ff-only"))))
    title = f"push to state known, http, {NOTES:,} notes"
    return Row(title, mine, "ms", "git pull --ff-only", theirs, 1.0)
