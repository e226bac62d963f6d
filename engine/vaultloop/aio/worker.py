"""One thread for one thing that must not be used from two: a git repository, say."""

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import ParamSpec, Self, TypeVar

log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Worker:
    """Runs plain functions one after the other in a single named thread, off the event loop."""

    def __init__(self, name: str, *, patience: float | None = None) -> None:
        """Make a worker; its thread begins with the first piece of work.

        Args:
            patience: seconds that leaving waits for the work that is under way; None: as long as it takes.
                What is not waited for is cut off when the process ends, as by kill -9: a bound is for work
                that may hang and that can be cut off anywhere.
        """
        self._patience = patience
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        # Not a pool of the standard library: those are waited for at the end of the process, however long.
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._door = threading.Lock()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if not self._close():
            return
        # Waiting in a thread keeps the loop free while the last job, a slow fetch perhaps, winds down.
        await asyncio.to_thread(self._thread.join, self._patience)
        if self._thread.is_alive():
            log.warning(
                "the %s thread is still at work after %s s; it is cut off", self._thread.name, self._patience
            )

    async def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The result of `work(*args, **kwargs)`, once it was its turn.

        A cancelled caller does not undo work that has begun: it runs to its end in the thread.
        """
        # Not by way of `run_from_thread`'s future: every poll comes through here, and two futures that watch
        # each other cost the processor almost twice as much as one.
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[R] = loop.create_future()

        def do() -> None:
            if self._closed or answer.cancelled():
                _tell(loop, answer.cancel)
                return
            try:
                result = work(*args, **kwargs)
            except BaseException as error:
                _tell(loop, _settle, answer, answer.set_exception, error)
            else:
                _tell(loop, _settle, answer, answer.set_result, result)

        self._submit(do)
        return await answer

    def run_from_thread(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """As `run`, for a caller in another thread than the event loop's, which waits for the result."""
        result: Future[R] = Future()

        def do() -> None:
            if self._closed:
                result.cancel()
            if not result.set_running_or_notify_cancel():
                return
            try:
                result.set_result(work(*args, **kwargs))
            except BaseException as error:
                # Whatever it is, it is the caller's to handle.
                result.set_exception(error)

        self._submit(do)
        return result.result()

    def _submit(self, do: Callable[[], None]) -> None:
        with self._door:
            if self._closed:
                raise RuntimeError(f"the {self._thread.name} thread takes no more work")
            if not self._thread.is_alive():
                self._thread.start()
            self._queue.put(do)

    def _close(self) -> bool:
        """Take no more work, and drop what has not begun; whether there is anything to wait for."""
        with self._door:
            self._closed = True
            with suppress(Empty):
                while dropped := self._queue.get_nowait():
                    dropped()
            self._queue.put(None)
            return self._thread.is_alive()

    def _serve(self) -> None:
        while (work := self._queue.get()) is not None:
            work()


def _tell(loop: asyncio.AbstractEventLoop, say: Callable[..., object], *words: object) -> None:
    """From the thread: have the loop call `say`, unless it has ended and nobody waits any more."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(say, *words)


def _settle(answer: "asyncio.Future[R]", say: Callable[[T], None], what: T) -> None:
    # A caller that was cancelled meanwhile hears nothing.
    if not answer.done():
        say(what)
