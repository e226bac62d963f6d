"""Whether the agent program that the defaults note chose could run now, found out before the first session.

A missing program or key would else be told to whoever asks first, perhaps a cron at night. It is looked at
when the choice changes and once a minute, as the program may be installed or updated meanwhile; nothing waits
for the answer.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Protocol

from vaultloop.aio.bell import Bell
from vaultloop.aio.clock import Clock, sleep
from vaultloop.aio.supervise import first
from vaultloop.model.component import Configurable
from vaultloop.model.conversation import AgentDefaults

log = logging.getLogger(__name__)

PERIOD = timedelta(minutes=1)


class Candidate(Protocol):
    """A runner, before it is asked to do anything."""

    async def shortcomings(self, environment: Mapping[str, str]) -> Sequence[str]:
        """Sentences on what would keep a session from running, or what the owner should know; none if all is
        well. `environment` is the engine's.
        """
        ...


class Readiness:
    """Stands between the defaults note and the sessions: passes the choice on, looks at what was chosen."""

    def __init__(
        self,
        sessions: Configurable,
        runner: Callable[[AgentDefaults], Candidate],
        environment: Mapping[str, str],
        clock: Clock,
        tell: Callable[[Sequence[str]], None],
    ) -> None:
        """`tell` is given the sentences whenever they have changed."""
        self._sessions = sessions
        self._runner = runner
        self._environment = environment
        self._clock = clock
        self._tell = tell
        self._defaults = AgentDefaults()
        self._told: list[str] | None = None
        self._bell = Bell()

    def configure(self, defaults: AgentDefaults) -> None:
        """Sessions that start from now on follow `defaults`."""
        self._sessions.configure(defaults)
        self._defaults = defaults
        self._bell.ring()

    async def run(self) -> None:
        """Look now, when the choice changes, and again and again; until cancelled."""
        while True:
            await self.look()
            await first(self._bell.heard(), sleep(self._clock, PERIOD.total_seconds()))

    async def look(self) -> None:
        """Tell what the chosen program lacks, if that has changed."""
        found = list(await self._runner(self._defaults).shortcomings(self._environment))
        if found == self._told:
            return
        self._tell(found)
        for sentence in found:
            log.warning("%s", sentence)
        self._told = found
