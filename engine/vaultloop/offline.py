"""What the command line does with a vault while no engine runs on its state directory.

Each function takes the directory's lock for as long as it works, so that nothing here meets an engine.
"""

from collections.abc import Awaitable, Callable

from vaultloop.aio.clock import SystemClock
from vaultloop.components import KINDS
from vaultloop.control import BY_CLI
from vaultloop.model.change import Plan
from vaultloop.model.errors import VaultloopError
from vaultloop.model.resource import Known
from vaultloop.reconcile import planner
from vaultloop.sessions.approvals import Approvals
from vaultloop.sessions.undoing import Undoing
from vaultloop.settings import Settings
from vaultloop.state.database import Database
from vaultloop.state.directory import StateDirectory
from vaultloop.state.proposals import Proposals
from vaultloop.state.status_book import StatusBook
from vaultloop.vault.files import Files
from vaultloop.vault.git.effort import Effort
from vaultloop.vault.git.repository import Identity
from vaultloop.vault.notes.loader import KnownNote, Loader
from vaultloop.vault.notes.note_paths import notes_in
from vaultloop.vault.sync.lookout import Lookout
from vaultloop.vault.sync.standing import Resumed
from vaultloop.vault.sync.steering import Steering
from vaultloop.vault.sync.sync import Sync
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


async def resume(settings: Settings, accept: str | None) -> Resumed:
    """Look again at what keeps sync standing still, where no engine runs.

    Args:
        accept: follow the remote's rewritten history, at the commit that this names.

    Raises:
        Busy: another process acts on the state directory.
        VaultloopError: as for `Sync.resume`.
    """
    with StateDirectory(settings.state).locked():
        async with sync_of(settings, SystemClock(), Effort()) as sync:
            said = await sync.resume(accept)
            await sync.push()
            return said


async def undo(settings: Settings, name: str) -> str:
    """The owner takes back what a session published, where no engine runs; says what came of it.

    Raises:
        Busy: another process acts on the state directory.
        Stalled: it cannot be taken back; nothing was changed.
    """
    state = StateDirectory(settings.state)
    with state.locked(), Database(state.database) as database:
        async with sync_of(settings, SystemClock(), Effort()) as sync:
            author = Identity(settings.git_name, settings.git_email)
            undoing = Undoing(database, sync, SystemClock(), lambda: None, author=author)
            try:
                return await undoing.undo(name, BY_CLI)
            finally:
                # Also what was undone before a crash, and is not at the remote yet.
                await sync.push()


async def steer(settings: Settings, wish: Callable[[Steering], Awaitable[str]]) -> str:
    """The owner says which revision shall run, where no engine does; says what came of it.

    Raises:
        Busy: another process acts on the state directory.
        VaultloopError: as for the methods of `Steering`.
    """
    with StateDirectory(settings.state).locked():
        async with sync_of(settings, SystemClock(), Effort()) as sync:
            author = Identity(settings.git_name, settings.git_email)
            said = await wish(Steering(sync, SystemClock(), author, lambda: None))
            await sync.push()
            return said


async def _newest(settings: Settings, sync: Sync) -> Files:
    """What the folder holds now, or the newest commit: a plan commits nothing that is still being written."""
    if settings.folder is not None:
        return await sync.lying()
    await sync.look()
    head = await Lookout(sync, None).chosen()
    if head is None:
        why = sync.remote_trouble or "It has no commit yet."
        raise VaultloopError(f"The vault cannot be read: {why}")
    return await sync.git(sync.repository.files, head)
