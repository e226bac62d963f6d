"""What the forge is shown: each new state of a revision once, across restarts too."""

import json
import logging
from collections.abc import Callable
from typing import Protocol

from vaultloop.aio.bell import Bell
from vaultloop.aio.clock import Clock, sleep
from vaultloop.forge.api import Verdict
from vaultloop.model.errors import Retry, Stalled
from vaultloop.state.database import Database

log = logging.getLogger(__name__)

# Seconds until the newest verdict is tried again, at first and at most.
FIRST_PAUSE = 10.0
LONGEST_PAUSE = 3600.0

# Of how many revisions it is remembered what was shown.
MOST_REMEMBERED = 50
_FACT = "forge-shown"


class Forge(Protocol):
    """A forge that shows how a commit stands."""

    async def show(self, verdict: Verdict) -> None:
        """Raises `Retry` where it may work later, `Stalled` where somebody must act."""
        ...


class Statuses:
    """Hands the newest verdict to the forge. What came before it and was not sent yet is left out."""

    def __init__(
        self, forge: Forge, database: Database, clock: Clock, is_there: Callable[[str], bool] = lambda _: True
    ) -> None:
        """`is_there` says whether the forge has a revision by now: it shows nothing beside others."""
        self._forge = forge
        self._database = database
        self._clock = clock
        self._is_there = is_there
        self._bell = Bell()
        self._newest: Verdict | None = None
        self._refused: Verdict | None = None
        self._told: str | None = None

    def show(self, verdict: Verdict) -> None:
        """Let the forge show this, soon; said again, it is looked at again whether it can be shown by now."""
        self._newest = verdict
        self._bell.ring()

    async def run(self) -> None:
        """Send what is to be shown, until cancelled."""
        pause = FIRST_PAUSE
        while True:
            await self._bell.heard()
            try:
                await self._send()
                pause = FIRST_PAUSE
            except Retry as error:
                self._tell(str(error))
                await sleep(self._clock, pause)
                pause = min(pause * 2, LONGEST_PAUSE)
                self._bell.ring()

    async def _send(self) -> None:
        verdict = self._newest
        if verdict is None or not self._is_there(verdict.revision):
            return
        if verdict == self._refused or self._shown().get(verdict.revision) == verdict.state:
            return
        try:
            await self._forge.show(verdict)
        except Stalled as error:
            # It would be refused again; the next revision is tried all the same.
            self._tell(str(error))
            self._refused = verdict
            return
        if self._told is not None:
            log.info("the forge shows commit statuses again")
            self._told = None
        self._remember(verdict)

    def _shown(self) -> dict[str, str]:
        """The state that was shown last, by revision."""
        found = self._database.fact(_FACT)
        return {} if found is None else dict(json.loads(found))

    def _remember(self, verdict: Verdict) -> None:
        shown = self._shown()
        # The newest at the end, so that the oldest is forgotten first.
        shown.pop(verdict.revision, None)
        shown[verdict.revision] = str(verdict.state)
        self._database.remember(_FACT, json.dumps(dict(list(shown.items())[-MOST_REMEMBERED:])))

    def _tell(self, sentence: str) -> None:
        """Each trouble once."""
        if sentence != self._told:
            log.warning("%s", sentence, extra={"forge": "trouble"})
        self._told = sentence
