"""The starts of an engine that did not come to an orderly end: several in a row are a crash loop.

A small file in the state directory, and not the database, for it must be readable when nothing else is.
"""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from vaultloop.aio.clock import Clock
from vaultloop.aio.failpoint import Failpoint, reached
from vaultloop.model.errors import VaultloopError

NAME = "starts.json"

# So many crashes within so long are a loop (design.md, "Last good"). Docker and Kubernetes start a container
# that crashes at once six and four times in that time.
CRASHES = 3
WINDOW = timedelta(minutes=5)


# In the environment, by `entrypoint.sh`: why this engine runs in place of a newer one. It is no setting, for
# engines refuse those that they do not know, and the one that stands in is older.
STANDS_IN = "ENGINE_STANDS_IN"


def stands_in() -> str:
    """Why this engine runs in place of a newer one, a sentence; empty if it does not."""
    return os.environ.get(STANDS_IN, "")


@dataclass(frozen=True, slots=True)
class Start:
    """One start of the engine.

    Attributes:
        declarations: names all that was declared when it ran last; None before it ran anything.
    """

    at: datetime
    declarations: str | None = None


class Starts:
    """The file of one state directory; whoever holds the directory's lock may use it.

    Attributes:
        crashed: the starts within the last minutes that came to no orderly end.
    """

    def __init__(self, state: Path, clock: Clock) -> None:
        self._file, self._clock = state / NAME, clock
        self.crashed: tuple[Start, ...] = ()
        self._own: Start | None = None

    @property
    def poison(self) -> frozenset[str]:
        """What the engine ran, by the names of the declarations, when it crashed again and again."""
        if len(self.crashed) < CRASHES:
            return frozenset()
        return frozenset(start.declarations for start in self.crashed if start.declarations is not None)

    @contextmanager
    def counted(self) -> Iterator[None]:
        """A run of the engine, from its start to its end.

        What a human is told to mend, and being asked to stop, are no crashes.
        """
        now = self._clock.now()
        self.crashed = tuple(start for start in self._read() if timedelta() <= now - start.at <= WINDOW)
        self._own = Start(now)
        self._write((*self.crashed, self._own))
        reached(Failpoint.START_COUNTED)
        try:
            yield
        except Exception as error:
            if isinstance(error, VaultloopError):
                self._write(self.crashed)
            raise
        except BaseException:
            self._write(self.crashed)
            raise
        else:
            self._write(self.crashed)

    def note(self, declarations: str) -> None:
        """The engine is about to run `declarations`: should it crash now, that was with them."""
        if self._own is not None and self._own.declarations != declarations:
            self._own = replace(self._own, declarations=declarations)
            self._write((*self.crashed, self._own))

    def _read(self) -> Sequence[Start]:
        try:
            found = json.loads(self._file.read_text())["crashed"]
            return [Start(datetime.fromisoformat(one["at"]), one["declarations"]) for one in found]
        except (OSError, ValueError, KeyError, TypeError):
            # None was written yet, or a full disk left half a file: then nothing is known of before.
            return ()

    def _write(self, starts: Sequence[Start]) -> None:
        """A start that cannot be written down is not counted: it must not be prevented by that."""
        fresh = self._file.with_suffix(".new")
        rows = [{"at": start.at.isoformat(), "declarations": start.declarations} for start in starts]
        try:
            fresh.write_text(json.dumps({"crashed": rows}))
            fresh.replace(self._file)
        except OSError:
            fresh.unlink(missing_ok=True)
