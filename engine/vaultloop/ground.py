"""What every engine stands on: the records, the vault, and its place among the engines of one remote."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from vaultloop.aio.bell import Bell
from vaultloop.aio.clock import Clock
from vaultloop.settings import Settings
from vaultloop.state.database import Database
from vaultloop.state.directory import StateDirectory, alone_on
from vaultloop.state.status_book import StatusBook
from vaultloop.vault.git.effort import Effort
from vaultloop.vault.git.signing import Signer
from vaultloop.vault.lease.alone import Alone
from vaultloop.vault.lease.lease import Bearer
from vaultloop.vault.lease.tenure import Tenure
from vaultloop.vault.sync.poller import Poller
from vaultloop.vault.sync.pusher import Pusher
from vaultloop.vault.sync.sync import Sync
from vaultloop.whereabouts import sync_of


@dataclass(frozen=True, slots=True)
class Ground:
    """What both flows stand on: state directory, records, vault, and the bell of the state flow.

    Attributes:
        tenure: whether this engine may act now.
    """

    settings: Settings
    clock: Clock
    state: StateDirectory
    database: Database
    book: StatusBook
    sync: Sync
    effort: Effort
    bell: Bell
    poller: Poller
    pusher: Pusher
    tenure: Tenure | Alone


@asynccontextmanager
async def grounded(settings: Settings, clock: Clock, *, leased: bool = True) -> AsyncIterator[Ground]:
    """The ground of a process that holds the state directory's lock.

    Args:
        leased: whether it asks the remote who may act; without it, it acts.

    Raises:
        Busy: another engine follows the folder.
        VaultloopError: the vault cannot be opened; with the cure.
    """
    state = StateDirectory(settings.state)
    async with AsyncExitStack() as stack:
        if settings.folder is not None:
            stack.enter_context(alone_on(settings.folder))
        database = stack.enter_context(Database(state.database))
        bell, effort = Bell(), Effort()
        sync = await stack.enter_async_context(sync_of(settings, clock, effort))
        sync.on_change = bell.ring
        yield Ground(
            settings=settings,
            clock=clock,
            state=state,
            database=database,
            book=StatusBook(database),
            sync=sync,
            effort=effort,
            bell=bell,
            poller=Poller(sync, settings.poll, clock, on_poll=bell.ring),
            pusher=Pusher(sync, clock, on_push=bell.ring),
            tenure=_tenure(settings, clock, sync, database) if leased else Alone(),
        )


def _tenure(settings: Settings, clock: Clock, sync: Sync, database: Database) -> Tenure | Alone:
    """The engine's place among those of one remote."""
    if settings.remote is None:
        return Alone()
    state = StateDirectory(settings.state)
    return Tenure(
        sync,
        Bearer(state.engine_id, state.boot),
        remote=settings.remote,
        period=settings.poll,
        clock=clock,
        key=Signer.make(settings.state).public_key,
        on_change=lambda tenancy: StatusBook(database).record_tenancy(tenancy.as_json()),
    )
