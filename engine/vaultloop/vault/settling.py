"""When an edit counts: a file must have been left alone for a while, since half a scope must not apply."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from vaultloop.aio.clock import Clock
from vaultloop.model.glob import matches_any

SETTLE = timedelta(seconds=2)
QUIET = timedelta(seconds=60)

# What changes the agent itself counts after `settle`; all else after the quiet minute.
PROMPT = ("agent", "**/CLAUDE*.md", "**/AGENTS.md")

# What `stat` tells of one state of a file: times of content and inode, size, inode.
Signature = tuple[int, int, int, int]


@dataclass(slots=True)
class _Wait:
    signature: Signature | None
    since: datetime
    told: bool = False


class Settling:
    """The edited files that were not left alone for long enough yet. Safe to use from several threads."""

    def __init__(
        self,
        clock: Clock,
        settle: timedelta = SETTLE,
        quiet: timedelta = QUIET,
        prompt: Sequence[str] = PROMPT,
    ) -> None:
        """`prompt` are the globs of the notes that wait for `settle`; the others wait for `quiet`."""
        self._clock = clock
        self._settle = settle
        self._quiet = quiet
        self.prompt = prompt
        self._waits: dict[str, _Wait] = {}
        self._lock = threading.Lock()
        self.on_change: Callable[[], None] = lambda: None

    def touched(self, path: str) -> None:
        """A file was seen to change just now: its waiting begins anew."""
        with self._lock:
            self._waits[path] = _Wait(None, self._clock.now())
        self.on_change()

    def settled(self, path: str, signature: Signature | None) -> bool:
        """Whether the file, as `signature` describes it (None: it is gone), has been so for long enough.

        A file that is new here begins to wait, from the time of its last change as the disk tells it.
        """
        with self._lock:
            wait = self._waits.get(path)
            if wait is None or (wait.signature is not None and wait.signature != signature):
                known = wait is not None
                wait = _Wait(signature, self._clock.now() if known else self._last_change(signature))
                self._waits[path] = wait
                fresh = True
            else:
                wait.signature, fresh = signature, False
            done = wait.since + self._patience(path) <= self._clock.now()
        if fresh and not done:
            self.on_change()
        return done

    def forget(self, path: str) -> None:
        """The file is as the vault has it."""
        with self._lock:
            self._waits.pop(path, None)

    def due(self) -> datetime | None:
        """When the next file that nobody was told of will have settled."""
        with self._lock:
            times = [wait.since + self._patience(path) for path, wait in self._waits.items() if not wait.told]
        return min(times, default=None)

    def take(self) -> set[str]:
        """The files that have settled by now, each told once."""
        now = self._clock.now()
        with self._lock:
            ready = {
                path
                for path, wait in self._waits.items()
                if not wait.told and wait.since + self._patience(path) <= now
            }
            for path in ready:
                self._waits[path].told = True
        return ready

    def _patience(self, path: str) -> timedelta:
        return self._settle if matches_any(self.prompt, path) else self._quiet

    def _last_change(self, signature: Signature | None) -> datetime:
        now = self._clock.now()
        if signature is None:
            return now
        # The inode's time: a sync tool may set the other one back, this one it cannot.
        return min(now, datetime.fromtimestamp(signature[1] / 1e9, UTC))
