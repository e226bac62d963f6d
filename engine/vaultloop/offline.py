"""What the command line does with a vault while no engine runs on its state directory.

Each function takes the directory's lock for as long as it works, so that nothing here meets an engine.
"""

from vaultloop.aio.clock import SystemClock
from vaultloop.components import KINDS
from vaultloop.control import BY_CLI
from vaultloop.model.change import Plan
from vaultloop.model.errors import VaultloopError
from vaultloop.model.resource import Known
from vaultloop.reconcile import planner
from vaultloop.sessions.approvals import Approvals
from vaultloop.settings import Settings
from vaultloop.state.database import Database
from vaultloop.state.directory import StateDirectory
from vaultloop.state.proposals import Proposals
from vaultloop.state.status_book import StatusBook
from vaultloop.vault.effort import Effort
from vaultloop.vault.files import Files
from vaultloop.vault.loader import KnownNote, Loader
from vaultloop.vault.note_paths import notes_in
from vaultloop.vault.sync import Sync
from vaultloop.whereabouts import sync_of


async def plan(settings: Settings) -> Plan:
    """What the newest state of the vault would change, against what was applied last; applies nothing.

    Raises:
        Busy: another process acts on the state directory.
        VaultloopError: the vault cannot be read, or is empty.
    """
    state = StateDirectory(settings.state)
    with state.locked(), Database(state.database) as database:
        last_good = StatusBook(database).last_good()
        async with sync_of(settings, SystemClock(), Effort()) as sync:
            loader, files = Loader(KINDS, Effort()), await _newest(settings, sync)
            # What others inherit from, should the `defaults` note be invalid just now.
            defaults = [good for good in last_good if good.ref.kind == "defaults"]
            loader.recall(KnownNote(good.path, good.blob, good.text) for good in defaults)
            snapshot = await sync.git(loader.load, files)
            known = Known(await sync.git(notes_in, files), settings.owners)
        desired = planner.desire(snapshot, last_good, KINDS)
        return planner.plan(desired, planner.as_applied(last_good, desired, KINDS), snapshot, KINDS, known)


async def rule(settings: Settings, number: int, commit: str | None) -> str:
    """The owner approves a proposal that was shown as `commit`, or denies it (None), where no engine runs.

    Raises:
        Busy: another process acts on the state directory.
        Stalled: it cannot be done; with the cure.
    """
    state = StateDirectory(settings.state)
    with state.locked(), Database(state.database) as database:
        async with sync_of(settings, SystemClock(), Effort()) as sync:
            await sync.look()
            approvals = Approvals(Proposals(database), sync, SystemClock(), lambda: None)
            if commit is None:
                return await approvals.deny(number, BY_CLI)
            said = await approvals.approve(number, commit, BY_CLI)
            await sync.push()
            return said


async def _newest(settings: Settings, sync: Sync) -> Files:
    """What the folder holds now, or the newest commit: a plan commits nothing that is still being written."""
    if settings.folder is not None:
        return await sync.lying()
    head = await sync.look()
    if head is None:
        why = sync.remote_trouble or "It has no commit yet."
        raise VaultloopError(f"The vault cannot be read: {why}")
    return await sync.git(sync.repository.files, head)
