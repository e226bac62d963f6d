"""One engine as a process: from the first signal it hears to the last task it ends.

It acts only if no other engine does: on this state directory, which a lock says, and at this remote, which a
lease says. Until then it stands by, and is healthy (docs/one-engine.md).
"""

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path
from typing import Any

from vaultloop import standby
from vaultloop.aio import rpc
from vaultloop.aio.bell import Bell
from vaultloop.aio.clock import Clock, SystemClock
from vaultloop.aio.supervise import background, first, running
from vaultloop.app import Engine, engine_on
from vaultloop.ground import Ground, grounded
from vaultloop.model.handover import Handover
from vaultloop.overview import sandbox_text
from vaultloop.settings import Settings
from vaultloop.state.directory import Busy, StateDirectory
from vaultloop.web import child as web

log = logging.getLogger(__name__)

Companion = Callable[[], Coroutine[Any, Any, None]]


async def up(
    settings: Settings,
    *,
    clock: Clock | None = None,
    beside: Companion | None = None,
    meanwhile: Companion | None = None,
    on_standby: Callable[[str], None] = lambda _: None,
    wait: bool = True,
) -> None:
    """Run an engine until ctrl-C or TERM; `beside` runs once it is ready, and ends with it.

    Args:
        meanwhile: runs while it waits for another engine.
        on_standby: told why, in a sentence, when it has to wait for another engine.
        wait: whether it waits for one that acts on the same state directory.

    Raises:
        Busy: another process acts on the state directory, and it is not to wait.
        VaultloopError: the vault cannot be opened; with the cure.
    """
    stop, hang_up = asyncio.Event(), Bell()
    # From the first moment to the last: also what is slow to start or to end can be told to stop.
    with _hearing(stop, hang_up):
        async with _Process(
            settings, clock or SystemClock(), stop, hang_up, on_standby=on_standby, meanwhile=meanwhile
        ) as process:
            if await process.locked(wait=wait):
                async with grounded(settings, process.clock) as ground:
                    await process.lives(ground, beside)
        log.info("stopped")


class _Process:
    """What lasts from the first wait to the end, whichever engine acts meanwhile."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        stop: asyncio.Event,
        hang_up: Bell,
        *,
        on_standby: Callable[[str], None],
        meanwhile: Companion | None,
    ) -> None:
        self.clock = clock
        self._settings, self._stop, self._hang_up, self._on_standby = settings, stop, hang_up, on_standby
        self._meanwhile = meanwhile or _nothing
        self._state = StateDirectory(settings.state)
        self._lock = ExitStack()
        self._parts = AsyncExitStack()
        self._face = standby.Face(hang_up.ring)
        self._is_served = False

    async def __aenter__(self) -> "_Process":
        return self

    async def __aexit__(self, *exc: Any) -> None:
        # The web process goes first: whoever waits for the lock may want its address.
        try:
            await self._parts.__aexit__(*exc)
        finally:
            self._lock.close()

    async def locked(self, *, wait: bool) -> bool:
        """Whether this process holds the state directory now; else it was stopped while it waited."""
        try:
            self._lock.enter_context(self._state.locked())
        except Busy:
            if not wait:
                raise
            return await self._waited()
        return True

    async def _waited(self) -> bool:
        self._face.stand_by()
        # Its health is its own, from now on to the end: the engine's socket is that of whoever acts.
        own = await self._parts.enter_async_context(standby.own_socket(self._state, self._face))
        await self._serve(own)
        self._say(f"{self._state.holder} acts on {self._state.path}; this one takes over when it ends.")
        async with (
            background("lock", standby.lock(self._state, self._lock)) as waiting,
            background("meanwhile", self._meanwhile()),
        ):
            await first(_set(self._stop), _over(waiting))
            held = waiting.done()
        if held:
            log.info("the state directory is free; this engine takes over")
        return held

    async def lives(self, ground: Ground, beside: Companion | None) -> None:
        """Act whenever it is this engine's turn, until it is told to stop."""
        handover: Handover | None = None
        while await self._turn(ground):
            handover = await self._life(ground, beside)
            if self._stop.is_set():
                break
            await ground.tenure.step_back(handover)
            handover = None
        await ground.tenure.release(handover)

    async def _turn(self, ground: Ground) -> bool:
        """Wait until this engine is to act; false if it was stopped before."""
        self._face.stand_by(lambda: ground.tenure.outlook)
        async with background("turn", ground.tenure.taken()) as taken:
            await first(_set(self._stop), _over(taken), _set(ground.tenure.waits))
            if not taken.done() and not self._stop.is_set():
                await self._stand_by(ground, taken)
            return taken.done() and not self._stop.is_set()

    async def _stand_by(self, ground: Ground, taken: "asyncio.Task[None]") -> None:
        self._on_standby(f"Standby: {ground.tenure.tenancy.why}")
        async with (
            rpc.serving(self._state.socket, self._face.handlers),
            background("hang-up", _obey(self._hang_up, ground.tenure.ring)),
            background("meanwhile", self._meanwhile()),
        ):
            await self._serve(None)
            log.info("this engine stands by")
            await first(_set(self._stop), _over(taken))

    async def _life(self, ground: Ground, beside: Companion | None) -> Handover | None:
        """Act until the end, or until another engine is to; what that one has to know."""
        tenure = ground.tenure
        if ground.settings.remote is not None:
            ground.poller.knows()
        async with engine_on(ground) as engine, tenure.kept():
            self._face.act(engine.handlers)
            log.info("sessions: %s", sandbox_text(engine.book.sandbox))
            await self._serve(None)
            beside_it = {
                "beside the engine": _companion(engine, ground, beside),
                "hang-up": _obey(self._hang_up, engine.look_again),
            }
            async with running(beside_it):
                await first(_set(self._stop), _set(tenure.lost))
                log.info("stopping" if self._stop.is_set() else "standing down")
                await engine.dispatcher.wind_down()
            tenure.end()
            return engine.handover()

    async def _serve(self, own: Path | None) -> None:
        """Keep a web process, where one is wanted, from now on; it asks `own`, or the engine's socket."""
        settings = self._settings
        if settings.web is None or self._is_served:
            return
        self._is_served = True
        kept = web.kept(settings.state, settings.web, settings.webhook_secret, self.clock, own)
        await self._parts.enter_async_context(running({"web": kept}))

    def _say(self, why: str) -> None:
        log.warning("standby: %s", why)
        self._on_standby(f"Standby: {why}")


async def _nothing() -> None:
    pass


async def _over(task: "asyncio.Task[None]") -> None:
    await asyncio.wait({task})


async def _set(event: asyncio.Event) -> None:
    await event.wait()


async def _companion(engine: Engine, ground: Ground, beside: Companion | None) -> None:
    await engine.ready.wait()
    await ground.tenure.begun()
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
