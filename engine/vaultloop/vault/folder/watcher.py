"""Watching the folder: which files were touched, told once they have settled.

The kernel's events are a hint and get lost: those of files in a folder that was made this instant, and all
beyond the queue. So an event of a folder means everything in it, a flood means everything, and a walk now and
then (`Sync.look(None)`) backs it up.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

from watchfiles._rust_notify import RustNotify

from vaultloop.aio.clock import Clock, sleep
from vaultloop.aio.worker import Worker
from vaultloop.vault.files import is_utf8
from vaultloop.vault.folder.folder import MEANT
from vaultloop.vault.folder.settling import Settling, Signature, signature_of
from vaultloop.vault.ignore import is_leftover

log = logging.getLogger(__name__)

# Milliseconds: events within the first are one batch; the second is how long silence ends a batch early, and
# how often the library looks for events: what it takes longer is part of what an edit waits for anyway.
DEBOUNCE = 200
STEP = 100
# The kernel drops what does not fit its queue (16,384) without a word; a batch this large may be such a one.
FLOOD = 2000
# What is no note, and yet a reason to look: the human commits by hand or switches branches, and no file may
# tell; git is done with what it kept us from; the human says that a deletion is meant.
_RINGING = (".git/HEAD", ".git/refs/heads/", ".git/index.lock", MEANT)
# Seconds until a folder that cannot be watched, or is gone, is tried again.
TRY_AGAIN = 30.0
# As above, after an event that the library stumbles over: that of a file whose name is not UTF-8, say.
AFTER_ERROR = 2.0


class Watcher:
    """Rings when edits in the folder have settled, and says which. Entering it returns once it watches."""

    def __init__(self, folder: Path, settling: Settling, clock: Clock, ring: Callable[[], None]) -> None:
        """`ring` is called in the event loop; then `named` tells where to look."""
        self._folder = folder
        self._settling = settling
        self._clock = clock
        self._ring = ring
        self._stop = threading.Event()
        self._thread = Worker("watcher")
        self._watching = asyncio.Event()
        self._changed = asyncio.Event()
        self._named: set[str] = set()
        self._everything = False
        self._tasks: tuple[asyncio.Task[None], ...] = ()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._settling.on_change = lambda: _call_in(loop, self._changed.set)
        self._tasks = (
            asyncio.create_task(self._watch(), name=f"watcher of {self._folder}"),
            asyncio.create_task(self._announce(), name=f"settling of {self._folder}"),
        )
        await self._watching.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        self._settling.on_change = lambda: None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._thread.__aexit__()

    def named(self) -> set[str] | None:
        """The files that have settled since the last call; None if every file must be looked at."""
        named, self._named = self._named, set()
        everything, self._everything = self._everything, False
        return None if everything else named

    async def _watch(self) -> None:
        again = False
        while True:
            pause = TRY_AGAIN
            try:
                notify = await self._thread.run(
                    RustNotify,
                    [str(self._folder)],
                    debug=False,
                    force_polling=False,
                    poll_delay_ms=0,
                    recursive=True,
                    ignore_permission_denied=True,
                )
                self._watching.set()
                if again:
                    # What happened meanwhile was told to nobody.
                    self._look_everywhere()
                again, pause = True, AFTER_ERROR
                if await self._take_events(notify):
                    return
                pause = TRY_AGAIN
            except (OSError, RuntimeError) as error:
                log.warning(
                    "%s cannot be watched: %s. It is walked through now and then instead.",
                    self._folder,
                    error,
                )
                self._watching.set()
            self._look_everywhere()
            await sleep(self._clock, pause)

    async def _take_events(self, notify: RustNotify) -> bool:
        """Hand on what happens until the folder goes away; whether we were asked to stop."""
        watched = self._identity()
        while watched is not None and watched == self._identity():
            events = await self._thread.run(notify.watch, DEBOUNCE, STEP, 5000, self._stop)
            if events == "stop":
                return True
            if isinstance(events, set):
                self._touch({path for _, path in events})
        return False

    def _identity(self) -> tuple[int, int] | None:
        # A folder that was unmounted or replaced goes silent: only its inode tells.
        with suppress(OSError):
            info = self._folder.stat()
            return info.st_dev, info.st_ino
        return None

    def _touch(self, paths: set[str]) -> None:
        if len(paths) >= FLOOD:
            self._look_everywhere()
        for path in self._files(paths):
            self._settling.touched(path, self._signature(path))

    def _signature(self, path: str) -> Signature | None:
        with suppress(OSError):
            return signature_of((self._folder / path).lstat())
        return None

    def _files(self, paths: Iterable[str]) -> Iterator[str]:
        """The vault paths of the files in question; for a folder all that is in it."""
        for path in paths:
            relative = os.path.relpath(path, self._folder)
            if relative.startswith(_RINGING):
                self._ring()
            if relative == "." or any(map(is_leftover, Path(relative).parts)):
                continue
            if Path(path).is_dir() and not Path(path).is_symlink():
                yield from self._below(Path(path))
            else:
                yield relative

    def _below(self, folder: Path) -> Iterator[str]:
        for place, folders, files in os.walk(folder):
            folders[:] = [name for name in folders if not is_leftover(name)]
            yield from (
                os.path.relpath(Path(place, name), self._folder)
                for name in files
                if not is_leftover(name) and is_utf8(name)
            )

    def _look_everywhere(self) -> None:
        self._everything = True
        self._ring()

    async def _announce(self) -> None:
        """Ring at the moment when a file has settled."""
        while True:
            self._changed.clear()
            if ready := self._settling.take():
                self._named |= ready
                self._ring()
            due = self._settling.due()
            if due is None:
                await self._changed.wait()
                continue
            waits = (
                asyncio.ensure_future(self._clock.sleep_until(due)),
                asyncio.ensure_future(self._changed.wait()),
            )
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()


def _call_in(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the loop has closed
        loop.call_soon_threadsafe(callback)
