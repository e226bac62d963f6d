"""When an edit counts: a file must have been left alone for a while, since half a scope must not apply."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from vaultloop.aio.clock import Clock
from vaultloop.model.glob import matches_any

SETTLE = timedelta(seconds=2)
QUIET = timedelta(seconds=60)

# What changes the agent itself counts after `settle`, and so do settings that name protected folders; all
# else after the quiet minute.
PROMPT = ("agent", "**/CLAUDE*.md", "**/AGENTS.md", ".obsidian/*.json", ".obsidian/plugins/*/data.json")

# What `stat` tells of one state of a file: times of content and inode, size, inode.
Signature = tuple[int, int, int, int]

# What is saved within so short a time comes in one commit, however many files it is (a sync tool, a script);
# but none of them waits much longer than by itself.
TOGETHER = timedelta(seconds=1)
LONGEST_TOGETHER = timedelta(seconds=5)

# A deletion waits for the file that it seems to live on in, while that is being written; at most so many
# times as long as it waits by itself.
PATIENCE_FOR_A_MOVE = 5

# The kernel's word of a change comes at most so long after it. A file with an older time was not written but
# moved here, or its disk keeps another time than we do.
LATENCY = timedelta(seconds=1)


def signature_of(info: os.stat_result) -> Signature:
    """What tells one state of a file from another without reading it."""
    return (info.st_mtime_ns, info.st_ctime_ns, info.st_size, info.st_ino)


@dataclass(slots=True)
class _Wait:
    signature: Signature | None
    since: datetime
    told: bool = False
    # Not told before; another file is waited for.
    held_until: datetime | None = None


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

    def touched(self, path: str, signature: Signature | None) -> None:
        """A file was seen to change just now, to what `signature` describes (None: it is gone).

        Its waiting begins anew, at the time of the change as the disk tells it: that the kernel's word of it
        took a while is not waited for once more.
        """
        with self._lock:
            self._waits[path] = _Wait(signature, self._lately(signature))
        self.on_change()

    def settled(self, path: str, signature: Signature | None) -> bool:
        """Whether the file, as `signature` describes it (None: it is gone), has been so for long enough.

        A file that is new here begins to wait, from the time of its last change as the disk tells it.
        """
        with self._lock:
            wait = self._waits.get(path)
            if fresh := wait is None or wait.signature != signature:
                since = self._last_change(signature) if wait is None else self._lately(signature)
                wait = self._waits[path] = _Wait(signature, since)
            done = self._since(wait) + self._patience(path) <= self._clock.now()
        if fresh and not done:
            self.on_change()
        return done

    def forget(self, path: str) -> None:
        """The file is as the vault has it."""
        with self._lock:
            self._waits.pop(path, None)

    def waiting(self) -> dict[str, bool]:
        """The files that were touched and are not known to be as the vault has them: is each still there?"""
        with self._lock:
            return {path: wait.signature is not None for path, wait in self._waits.items()}

    def hold(self, path: str, other: str) -> bool:
        """Let a file wait until `other` has settled, to be told together; false if it has waited enough.

        A declaration waits for no other kind of file: what it grants must end when it is gone.
        """
        with self._lock:
            wait, reason = self._waits.get(path), self._waits.get(other)
            if wait is None or reason is None or self._patience(other) > self._patience(path):
                return False
            if self._since(wait) + PATIENCE_FOR_A_MOVE * self._patience(path) <= self._clock.now():
                return False
            wait.held_until, wait.told = self._due(other, reason), False
        self.on_change()
        return True

    def due(self) -> datetime | None:
        """When the next files that nobody was told of will have settled."""
        with self._lock:
            return min((self._due(*group[-1]) for group in self._groups()), default=None)

    def take(self) -> set[str]:
        """The files that have settled by now, each told once; those saved together are told together."""
        now = self._clock.now()
        ready: set[str] = set()
        with self._lock:
            for group in self._groups():
                if self._due(*group[-1]) <= now:
                    ready |= {path for path, _ in group}
            for path in ready:
                self._waits[path].told = True
        return ready

    def _groups(self) -> Iterator[list[tuple[str, _Wait]]]:
        """What nobody was told of, by what settles together; the last of each is the latest."""
        untold = [(path, wait) for path, wait in self._waits.items() if not wait.told]
        untold.sort(key=lambda item: (self.is_prompt(item[0]), self._due(*item)))
        group: list[tuple[str, _Wait]] = []
        for item in untold:
            if group and not self._belongs(item[0], self._due(*item), group):
                yield group
                group = []
            group.append(item)
        if group:
            yield group

    def _belongs(self, path: str, due: datetime, group: list[tuple[str, _Wait]]) -> bool:
        if self.is_prompt(path) != self.is_prompt(group[0][0]):
            return False
        return due - self._due(*group[-1]) <= TOGETHER and due - self._due(*group[0]) <= LONGEST_TOGETHER

    def _due(self, path: str, wait: _Wait) -> datetime:
        due = self._since(wait) + self._patience(path)
        return due if wait.held_until is None else max(due, wait.held_until)

    def unsettled(self) -> list[str]:
        """The declarations that were saved and do not count yet, in their order."""
        now = self._clock.now()
        with self._lock:
            waits = dict(self._waits)
            return sorted(
                path
                for path, wait in waits.items()
                if self.is_prompt(path) and self._since(wait) + self._patience(path) > now
            )

    def is_prompt(self, path: str) -> bool:
        """Whether a file is one of those that count soon, and then apply: a declaration."""
        return matches_any(self.prompt, path)

    def _patience(self, path: str) -> timedelta:
        return self._settle if self.is_prompt(path) else self._quiet

    def _since(self, wait: _Wait) -> datetime:
        # Where the clock was set back, a file that is left alone from now on waits no longer than any other.
        wait.since = min(wait.since, self._clock.now())
        return wait.since

    def _last_change(self, signature: Signature | None) -> datetime:
        """When the disk says that the file changed; now for one that is gone, and never later than now."""
        now = self._clock.now()
        if signature is None:
            return now
        # A sync tool may set the time of the content back, but not the inode's, which some disks never move.
        modified, changed, *_ = signature
        return min(now, datetime.fromtimestamp(max(modified, changed) / 1e9, UTC))

    def _lately(self, signature: Signature | None) -> datetime:
        """As `_last_change`, for a file that changed within the last moments."""
        now, changed = self._clock.now(), self._last_change(signature)
        return changed if now - changed <= LATENCY else now
