"""The composition root: every part is made here, given what it needs, and ended in the reverse order.

Read it first. `assembled` builds an engine; `up` runs one until somebody asks it to stop; `plan_offline`
answers `vaultloop plan` where none runs. There is no logic here: what decides lies in the parts.
"""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from vaultloop.aio import rpc
from vaultloop.aio.bell import Bell
from vaultloop.aio.clock import Clock, SystemClock
from vaultloop.aio.supervise import every, persist
from vaultloop.components import KINDS
from vaultloop.components.bridge.component import BridgeComponent
from vaultloop.components.bridge.console import ConsoleChannel
from vaultloop.components.cron.component import CronComponent
from vaultloop.components.defaults.component import DefaultsComponent
from vaultloop.components.rule.component import RuleComponent
from vaultloop.components.scope.component import ScopeComponent
from vaultloop.control import Control
from vaultloop.model.cell import Runner
from vaultloop.model.change import Plan
from vaultloop.model.component import Component
from vaultloop.model.conversation import AgentDefaults
from vaultloop.model.errors import VaultloopError
from vaultloop.overview import crons_text, status_text
from vaultloop.reconcile import planner
from vaultloop.reconcile.loop import Reconciler, Report
from vaultloop.runners.claude import ClaudeRunner
from vaultloop.runners.command import CommandRunner
from vaultloop.sandbox.direct import DirectLauncher
from vaultloop.sessions.dispatcher import Dispatcher
from vaultloop.sessions.services import Services
from vaultloop.settings import Settings
from vaultloop.state.database import Database
from vaultloop.state.directory import StateDirectory, alone_on
from vaultloop.state.inbox import Inbox
from vaultloop.state.slots import SlotStore
from vaultloop.state.status_book import StatusBook
from vaultloop.vault.effort import Effort
from vaultloop.vault.files import Files
from vaultloop.vault.loader import KnownNote, Loader
from vaultloop.vault.lookout import Lookout
from vaultloop.vault.poller import Poller
from vaultloop.vault.pusher import Pusher
from vaultloop.vault.remote import Credentials
from vaultloop.vault.repository import Identity
from vaultloop.vault.signing import Signer
from vaultloop.vault.sync import Sync
from vaultloop.vault.watcher import Watcher

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
    """

    reconciler: Reconciler
    dispatcher: Dispatcher
    components: Mapping[str, Component[Any]]
    sync: Sync
    book: StatusBook
    effort: Effort
    look_again: Callable[[], None]
    ready: asyncio.Event


@asynccontextmanager
async def assembled(settings: Settings, clock: Clock) -> AsyncIterator[Engine]:
    """An engine that runs for as long as the block lasts.

    Raises:
        Busy: another one acts on the state directory.
        VaultloopError: the vault cannot be opened; with the cure.
    """
    state = StateDirectory(settings.state)
    async with AsyncExitStack() as stack:
        stack.enter_context(state.locked())
        if settings.folder is not None:
            stack.enter_context(alone_on(settings.folder))
        database = stack.enter_context(Database(state.database))
        bell, ready, effort = Bell(), asyncio.Event(), Effort()
        sync = await stack.enter_async_context(_sync(settings, clock, effort))
        book, inbox = StatusBook(database), Inbox(database)

        pusher = Pusher(sync, clock, on_push=bell.ring)

        def on_published() -> None:
            pusher.ring()
            bell.ring()

        scopes, rules, console = ScopeComponent(settings.owners), RuleComponent(), ConsoleChannel()
        launcher = DirectLauncher()
        book.record_sandbox(launcher.confinement)
        services = Services(
            state=settings.state,
            database=database,
            sync=sync,
            signer=Signer.make(settings.state),
            author=Identity(settings.git_name, settings.git_email),
            guard=scopes,
            contributors=[rules],
            runner=_runners(settings, launcher),
            confinement=launcher.confinement,
            clock=clock,
            on_published=on_published,
            on_owed=lambda: None,
        )
        dispatcher = await stack.enter_async_context(
            Dispatcher(
                services,
                channels={console.platform: console},
                status=lambda: status_text(database),
                crons=lambda: crons_text(database, clock.now()),
            )
        )
        crons = CronComponent(slots=SlotStore(database, clock), turns=dispatcher, clock=clock, guard=scopes)
        components: dict[str, Component[Any]] = {
            "defaults": await stack.enter_async_context(DefaultsComponent(dispatcher)),
            "scope": await stack.enter_async_context(scopes),
            "rule": await stack.enter_async_context(rules),
            "cron": await stack.enter_async_context(crons),
            "bridge": await stack.enter_async_context(BridgeComponent([console])),
        }

        watcher = await _watcher(stack, settings, sync, clock, bell)
        lookout = Lookout(sync, watcher)
        poller = Poller(sync, settings.poll, clock, on_poll=bell.ring)
        sync.on_change = bell.ring

        def on_report(report: Report) -> None:
            # Only now can the guard tell who may speak.
            if report.revision is not None and not ready.is_set():
                dispatcher.begin()
                ready.set()
            if settings.remote is not None and report.revision is not None:
                pusher.ring_unless_pushed()

        reconciler = Reconciler(
            vault=lookout,
            loader=Loader(KINDS, effort),
            kinds=KINDS,
            components=components,
            book=book,
            clock=clock,
            bell=bell,
            on_report=on_report,
        )
        control = Control(
            reconciler=reconciler,
            dispatcher=dispatcher,
            console=console,
            crons=crons,
            inbox=inbox,
            poll=poller.asked,
        )
        await stack.enter_async_context(rpc.serving(state.socket, control.handlers))

        def look_again() -> None:
            poller.ring()
            bell.ring()

        def walk_again() -> None:
            lookout.walk_is_due()
            bell.ring()

        tasks = {"state flow": reconciler.run() if settings.remote is None else poller.then(reconciler.run)}
        if settings.remote is not None:
            tasks["poll of the remote"] = persist("poll", poller.run, clock)
            tasks["push"] = persist("push", pusher.run, clock)
        if watcher is not None:
            tasks["walk through the folder"] = every(WALK_PERIOD, clock, walk_again)
        await stack.enter_async_context(_tasks(tasks))
        yield Engine(reconciler, dispatcher, components, sync, book, effort, look_again, ready)


async def up(
    settings: Settings,
    *,
    clock: Clock | None = None,
    beside: Callable[[], Coroutine[Any, Any, None]] | None = None,
) -> None:
    """Run an engine until ctrl-C or TERM; `beside` runs once it is ready, and ends with it."""
    stop, hang_up = asyncio.Event(), Bell()
    # From the first moment to the last: also what is slow to start or to end can be told to stop.
    with _hearing(stop, hang_up):
        async with assembled(settings, clock or SystemClock()) as engine:
            log.info("sessions are UNCONFINED: their programs run as this user")
            beside_it = {
                "beside the engine": _companion(engine, beside),
                "hang-up": _obey(hang_up, engine.look_again),
            }
            async with _tasks(beside_it):
                await stop.wait()
            log.info("stopping")
        log.info("stopped")


async def plan_offline(settings: Settings) -> Plan:
    """What the newest state of the vault would change, against what was applied last; applies nothing.

    Raises:
        Busy: another process acts on the state directory.
        VaultloopError: the vault cannot be read, or is empty.
    """
    state = StateDirectory(settings.state)
    with state.locked(), Database(state.database) as database:
        last_good = StatusBook(database).last_good()
        async with _sync(settings, SystemClock(), Effort()) as sync:
            loader, files = Loader(KINDS, Effort()), await _newest(settings, sync)
            # What others inherit from, should the `defaults` note be invalid just now.
            defaults = [good for good in last_good if good.ref.kind == "defaults"]
            loader.recall(KnownNote(good.path, good.blob, good.text) for good in defaults)
            snapshot = await sync.git(loader.load, files)
        desired = planner.desire(snapshot, last_good, KINDS)
        return planner.plan(desired, planner.as_applied(last_good, desired, KINDS), snapshot, KINDS)


async def _newest(settings: Settings, sync: Sync) -> Files:
    """What the folder holds now, or the newest commit: a plan commits nothing that is still being written."""
    if settings.folder is not None:
        return await sync.lying()
    head = await sync.look()
    if head is None:
        why = sync.remote_trouble or "It has no commit yet."
        raise VaultloopError(f"The vault cannot be read: {why}")
    return await sync.git(sync.repository.files, head)


def _sync(settings: Settings, clock: Clock, effort: Effort) -> Sync:
    password = settings.git_password
    return Sync(
        settings.state,
        clock,
        remote=settings.remote,
        folder=settings.folder,
        branch=settings.branch,
        credentials=Credentials(
            username=settings.git_username,
            password=password.get_secret_value() if password else None,
            ssh_key=settings.ssh_key,
        ),
        known_hosts=settings.known_hosts,
        engine=Identity(settings.git_name, settings.git_email),
        settle=settings.settle,
        quiet=settings.quiet,
        effort=effort,
    )


def _runners(settings: Settings, launcher: DirectLauncher) -> Callable[[AgentDefaults], Runner]:
    equipment = {"ANTHROPIC_BASE_URL": settings.anthropic_base_url, "ANTHROPIC_API_KEY": settings.api_key}
    given = {name: value for name, value in equipment.items() if value}

    def chosen(defaults: AgentDefaults) -> Runner:
        if defaults.runner == "claude":
            return ClaudeRunner(launcher, program=settings.claude, environment=given)
        return CommandRunner(launcher, defaults.command)

    return chosen


async def _watcher(
    stack: AsyncExitStack, settings: Settings, sync: Sync, clock: Clock, bell: Bell
) -> Watcher | None:
    if settings.folder is None:
        return None
    return await stack.enter_async_context(Watcher(settings.folder, sync.settling, clock, bell.ring))


@asynccontextmanager
async def _tasks(work: Mapping[str, Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Named tasks that run until the block ends; one that fails ends the block."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(coroutine, name=name) for name, coroutine in work.items()]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def _companion(engine: Engine, beside: Callable[[], Coroutine[Any, Any, None]] | None) -> None:
    await engine.ready.wait()
    log.info("ready at %s", (engine.book.revision or "")[:12])
    if beside is not None:
        await beside()


async def _obey(bell: Bell, action: Callable[[], None]) -> None:
    while True:
        await bell.heard()
        action()


@contextmanager
def _hearing(stop: asyncio.Event, hang_up: Bell) -> Iterator[None]:
    """The first ctrl-C or TERM asks to stop, a second one insists; HUP looks again."""

    def asked() -> None:
        if stop.is_set():
            # What is running is on the record: the next start goes on from there.
            os._exit(130)
        stop.set()

    heard = {signal.SIGINT: asked, signal.SIGTERM: asked, signal.SIGHUP: hang_up.ring}
    loop = asyncio.get_running_loop()
    for number, handler in heard.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in heard:
            loop.remove_signal_handler(number)
