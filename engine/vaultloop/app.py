"""The composition root: every part is made here, given what it needs, and ended in the reverse order.

Read it first: `assembled` builds an engine. There is no logic here: what decides lies in the parts.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from vaultloop.admission import SelfEdit
from vaultloop.aio import rpc
from vaultloop.aio.clock import Clock
from vaultloop.aio.flurry import Flurry
from vaultloop.aio.supervise import every, persist, running
from vaultloop.commit_status import CommitStatus
from vaultloop.components import KINDS
from vaultloop.components.bridge.component import BridgeComponent
from vaultloop.components.bridge.console import ConsoleChannel
from vaultloop.components.cron.component import CronComponent
from vaultloop.components.defaults.component import DefaultsComponent
from vaultloop.components.rule.component import RuleComponent
from vaultloop.components.scope.component import ScopeComponent
from vaultloop.control import Control
from vaultloop.fence import Fence, Runners, fenced, private
from vaultloop.figures import Figures
from vaultloop.ground import Ground, grounded
from vaultloop.model.component import Component, Origin
from vaultloop.model.handover import Handover
from vaultloop.overview import crons_text, status_text
from vaultloop.reconcile.loop import Reconciler, Report
from vaultloop.reconcile.probation import Probation
from vaultloop.runners.readiness import Readiness
from vaultloop.sessions.dispatcher import Dispatcher
from vaultloop.sessions.mount_check import MountCheck
from vaultloop.sessions.services import Services
from vaultloop.settings import Settings
from vaultloop.state.directory import StateDirectory
from vaultloop.state.inbox import Inbox
from vaultloop.state.purse import LedgerPurse
from vaultloop.state.slots import SlotStore
from vaultloop.state.starts import Starts, stands_in
from vaultloop.state.status_book import StatusBook
from vaultloop.state.turns import Turns
from vaultloop.vault.folder.watcher import Watcher
from vaultloop.vault.git.effort import Effort
from vaultloop.vault.git.repack import nightly
from vaultloop.vault.git.repository import Identity
from vaultloop.vault.git.signing import Signer
from vaultloop.vault.notes.loader import Loader
from vaultloop.vault.sync.lookout import Lookout
from vaultloop.vault.sync.steering import Steering
from vaultloop.vault.sync.sync import Sync

log = logging.getLogger(__name__)

# How often the whole folder is looked through behind the watcher's back, which loses events.
WALK_PERIOD = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Engine:
    """A running engine's parts, as far as those who embed it may want them.

    Attributes:
        effort: what the work on the vault has cost so far.
        look_again: wakes the state flow, the remote included.
        ready: set once the newest revision, or the last good one, has been applied.
        handlers: what its socket answers.
        handover: what the engine that acts next has to know; None while it has not begun itself.
    """

    reconciler: Reconciler
    dispatcher: Dispatcher
    components: Mapping[str, Component[Any]]
    sync: Sync
    book: StatusBook
    effort: Effort
    look_again: Callable[[], None]
    ready: asyncio.Event
    handlers: Mapping[str, rpc.Handler]
    handover: Callable[[], Handover | None]


@asynccontextmanager
async def assembled(settings: Settings, clock: Clock) -> AsyncIterator[Engine]:
    """An engine that runs for as long as the block lasts, and that asks no lease whether it may.

    Raises:
        Busy: another one acts on the state directory.
        VaultloopError: the vault cannot be opened; with the cure.
    """
    with StateDirectory(settings.state).locked():
        async with grounded(settings, clock, leased=False) as ground, engine_on(ground) as engine:
            yield engine


@asynccontextmanager
async def engine_on(ground: Ground) -> AsyncIterator[Engine]:
    """An engine that runs for as long as the block lasts; the lease is the caller's affair."""
    clock = ground.clock
    async with (
        fenced(ground) as fence,
        _conversations(ground, fence) as talk,
        _declared(ground, talk) as declared,
        _watching(ground) as watcher,
        _lookout(ground, talk, watcher) as lookout,
    ):
        ready, probation = asyncio.Event(), Probation(lookout, ground.book, clock)
        status = CommitStatus.of(ground.settings, ground.database, ground.sync, clock)
        reconciler = _reconciler(
            ground, talk, declared, lookout, ready=ready, probation=probation, status=status
        )
        webhooks = Flurry(ground.poller.ring, clock)
        control = _control(ground, talk, declared, reconciler, ready=ready, ring=webhooks.call)

        def look_again() -> None:
            ground.poller.ring()
            ground.bell.ring()

        def look_at_all() -> None:
            for again in (talk.dispatcher, declared.crons):
                again.look_again()
            ground.pusher.ring()

        def handover() -> Handover | None:
            # Before it has begun, what it was told still holds.
            told = not ready.is_set() and ground.tenure.starts_from is not None
            return None if told else declared.crons.handover()

        ground.tenure.on_acting = look_at_all
        tasks = _flows(ground, reconciler, declared)
        tasks |= {"webhooks": webhooks.run(), **status.tasks(clock)}
        tasks["last good"] = persist("follow what stays healthy", probation.run, clock)
        if watcher is not None:
            tasks["walk through the folder"] = every(WALK_PERIOD, clock, _walk(ground, lookout))
        tasks |= _housekeeping(ground, reconciler, talk.dispatcher)
        async with rpc.serving(ground.state.socket, control.handlers), running(tasks):
            yield Engine(
                reconciler,
                talk.dispatcher,
                declared.components,
                ground.sync,
                ground.book,
                ground.effort,
                look_again,
                ready,
                control.handlers,
                handover,
            )


# The parts, from the ground up. Each block below is entered in this order and left in the reverse one.


@dataclass(frozen=True, slots=True)
class _Conversations:
    """The flow from a message or a slot to an answer, and the components that take part in it."""

    scopes: ScopeComponent
    rules: RuleComponent
    console: ConsoleChannel
    origins: dict[str, Origin]
    runners: Runners
    dispatcher: Dispatcher


@asynccontextmanager
async def _conversations(ground: Ground, fence: Fence) -> AsyncIterator[_Conversations]:
    settings, clock, database = ground.settings, ground.clock, ground.database
    launcher, origins = fence.launcher, dict[str, Origin]()
    scopes = ScopeComponent(settings.owners, launcher.confinement)
    rules, console = RuleComponent(), ConsoleChannel()

    def on_published() -> None:
        ground.pusher.ring()
        ground.bell.ring()

    services = Services(
        state=settings.state,
        database=database,
        sync=ground.sync,
        signer=Signer.make(settings.state),
        author=Identity(settings.git_name, settings.git_email),
        guard=scopes,
        origins=origins,
        contributors=[rules],
        runner=fence.runners,
        confinement=launcher.confinement,
        doors=fence.gateway,
        mounts=settings.mounts,
        private=private(settings),
        purse=LedgerPurse(settings.state),
        admission=SelfEdit(settings.owners),
        clock=clock,
        on_published=on_published,
        on_owed=lambda: None,
        acting=lambda: ground.tenure.acting,
    )
    async with Dispatcher(
        services,
        channels={console.platform: console},
        status=lambda: status_text(database),
        crons=lambda: crons_text(database, clock.now()),
    ) as dispatcher:
        yield _Conversations(scopes, rules, console, origins, fence.runners, dispatcher)


@dataclass(frozen=True, slots=True)
class _Declared:
    """The components, by the kinds that they own."""

    components: Mapping[str, Component[Any]]
    crons: CronComponent
    readiness: Readiness
    mounts: MountCheck


@asynccontextmanager
async def _declared(ground: Ground, talk: _Conversations) -> AsyncIterator[_Declared]:
    readiness = Readiness(talk.dispatcher, talk.runners, os.environ, ground.clock, ground.book.record_agent)
    crons = CronComponent(
        slots=SlotStore(ground.database, ground.clock),
        turns=talk.dispatcher,
        clock=ground.clock,
        guard=talk.scopes,
        on_owed=talk.dispatcher.offer_replies,
        acting=lambda: ground.tenure.acting,
        starts_from=lambda: ground.tenure.starts_from,
    )
    settings = ground.settings
    hidden = (settings.state, *private(settings))
    mounts = MountCheck(talk.scopes.mounts, settings.mounts, hidden, ground.clock, ground.book.record_mounts)
    talk.origins.update(dict.fromkeys(("cron", "run", "reminder"), crons))
    async with (
        DefaultsComponent(readiness) as defaults,
        talk.scopes as scopes,
        talk.rules as rules,
        crons,
        BridgeComponent([talk.console]) as bridges,
    ):
        components: dict[str, Component[Any]] = {
            "defaults": defaults,
            "scope": scopes,
            "rule": rules,
            "cron": crons,
            "crontab": crons,
            "reminder": crons,
            "bridge": bridges,
        }
        yield _Declared(components, crons, readiness, mounts)


@asynccontextmanager
async def _watching(ground: Ground) -> AsyncIterator[Watcher | None]:
    """The watcher of the folder, where there is one."""
    if ground.settings.folder is None:
        yield None
        return
    settling, bell = ground.sync.settling, ground.bell
    async with Watcher(ground.settings.folder, settling, ground.clock, bell.ring) as watcher:
        yield watcher


@asynccontextmanager
async def _lookout(ground: Ground, talk: _Conversations, watcher: Watcher | None) -> AsyncIterator[Lookout]:
    """What chooses the revision that runs; it knows with which ones the engine crashed before."""
    starts = Starts(ground.settings.state, ground.clock)
    with starts.counted():
        lookout = Lookout(ground.sync, watcher, ground.clock, poison=starts.poison, stands_in=stands_in())
        lookout.on_choice, lookout.on_notice = starts.note, talk.dispatcher.tell_owner
        yield lookout


def _control(
    ground: Ground,
    talk: _Conversations,
    declared: _Declared,
    reconciler: Reconciler,
    *,
    ready: asyncio.Event,
    ring: Callable[[], None],
) -> Control:
    return Control(
        reconciler=reconciler,
        dispatcher=talk.dispatcher,
        console=talk.console,
        crons=declared.crons,
        inbox=Inbox(ground.database),
        turns=Turns(ground.database),
        book=ground.book,
        ready=ready,
        poll=ground.poller.asked,
        unsettled=ground.sync.settling.unsettled,
        ring=ring,
        figures=Figures(ground.database, ground.sync, lambda: ground.tenure.acting),
        resume=ground.sync.resume,
        steering=_steering(ground),
    )


def _steering(ground: Ground) -> Steering:
    def on_change() -> None:
        ground.pusher.ring()
        ground.bell.ring()

    author = Identity(ground.settings.git_name, ground.settings.git_email)
    return Steering(ground.sync, ground.clock, author, on_change)


def _reconciler(
    ground: Ground,
    talk: _Conversations,
    declared: _Declared,
    lookout: Lookout,
    *,
    ready: asyncio.Event,
    probation: Probation,
    status: CommitStatus,
) -> Reconciler:
    def on_report(report: Report) -> None:
        probation.observe(report.revision, applied=report.plan is not None)
        status.heard(report)
        # Only now can the guard tell who may speak.
        if report.revision is not None and not ready.is_set():
            talk.dispatcher.begin()
            declared.crons.begin()
            ready.set()
        if report.plan is not None and report.plan.changes:
            talk.dispatcher.reconsider()
            declared.mounts.ring()
        if ground.settings.remote is not None and report.revision is not None:
            ground.pusher.ring_unless_pushed()

    return Reconciler(
        vault=lookout,
        loader=Loader(KINDS, ground.effort),
        kinds=KINDS,
        components=declared.components,
        book=ground.book,
        clock=ground.clock,
        bell=ground.bell,
        on_report=on_report,
        owners=ground.settings.owners,
    )


def _flows(
    ground: Ground, reconciler: Reconciler, declared: _Declared
) -> dict[str, Coroutine[Any, Any, None]]:
    """The tasks of the state flow; those of conversations are the dispatcher's."""
    clock, poller = ground.clock, ground.poller
    tasks = {
        "agent program": persist("look at the agent program", declared.readiness.run, clock),
        "mounts": persist("look at the mounts", declared.mounts.run, clock),
    }
    if ground.settings.remote is None:
        return tasks | {"state flow": reconciler.run()}
    return tasks | {
        "state flow": poller.then(reconciler.run),
        "poll of the remote": persist("poll", poller.run, clock),
        "push": persist("push", ground.pusher.run, clock),
    }


def _housekeeping(
    ground: Ground, reconciler: Reconciler, dispatcher: Dispatcher
) -> dict[str, Coroutine[Any, Any, None]]:
    """What keeps the engine's own repository small; a human's is left to the human's git."""
    place, clock = ground.sync.own_repository, ground.clock
    if place is None:
        return {}

    def is_idle() -> bool:
        return not dispatcher.is_at_work and not reconciler.is_at_work

    return {"nightly repack": persist("repack", lambda: nightly(place, clock, is_idle), clock)}


def _walk(ground: Ground, lookout: Lookout) -> Callable[[], None]:
    def walk_again() -> None:
        lookout.walk_is_due()
        ground.bell.ring()

    return walk_again
