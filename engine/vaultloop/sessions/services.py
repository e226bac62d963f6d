"""What sessions work with: the parts of one engine, given to each of them; and how their log lines begin."""

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from vaultloop.aio.census import kill_housed
from vaultloop.aio.clock import Clock
from vaultloop.model.cell import Runner
from vaultloop.model.component import Contributor, Guard, Origin
from vaultloop.model.conversation import AgentDefaults
from vaultloop.model.gateway import Doors, Purse
from vaultloop.model.policy import Audience
from vaultloop.model.status import Confinement
from vaultloop.state.database import Database
from vaultloop.state.inbox import Inbox
from vaultloop.state.outbox import Outbox
from vaultloop.state.proposals import Proposals
from vaultloop.state.transcripts import Transcripts
from vaultloop.state.turns import Turns
from vaultloop.vault.debris import clear_away
from vaultloop.vault.git.repository import Identity
from vaultloop.vault.git.signing import Signer
from vaultloop.vault.sync.sync import Sync
from vaultloop.vault.views.verdict import Admission, NobodyAdmits
from vaultloop.vault.views.views import Views

# How long what could not be recorded waits for the next try (seconds): the first time, and at most.
FIRST_PAUSE = 5.0
LONGEST_PAUSE = 300.0

# Starts a task of this name that somebody owns.
Spawn = Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]]

# In whose name the engine commits for a session; who it really was, its signature says.
AUTHOR = Identity("Vaultloop", "vaultloop@localhost")


class SessionLog(logging.LoggerAdapter[logging.Logger]):
    """Every line of a session names it, and says so when less than the whole fence holds its process in."""

    @classmethod
    def of(cls, session: str, logger: logging.Logger, confinement: Confinement | None = None) -> Self:
        """The log of a session; `confinement` is None where no process of it runs."""
        return cls(logger, {"session": session, "confinement": confinement})

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        extra = dict(self.extra or {})
        weaker = extra["confinement"] in (Confinement.UNCONFINED, Confinement.DEGRADED)
        mark = f"{str(extra['confinement']).upper()} " if weaker else ""
        return f"{mark}session {extra['session']}: {msg}", {**kwargs, "extra": extra}


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What sessions work with.

    Attributes:
        state: the state directory; views and homes lie in it.
        author: in whose name the engine commits for a session; who it really was, its signature says.
        origins: who declared the work of turns, by the kind of their trigger; none for messages.
        runner: the agent program that the defaults note chose.
        confinement: what holds sessions of a class in; raises Stalled where they may not run here.
        doors: to the gateway; without it no session reaches any address.
        mounts: the operator's folders, by the names that notes use.
        private: folders that no mount may show, beside the state directory.
        purse: what may still be spent; without it budgets are the gateway's alone.
        admission: who decides about changes of what governs the agent.
        on_published: rings the bell of the state flow; called after a commit came onto the branch.
        on_owed: there is a new reply in the outbox.
        acting: whether this engine may start and answer anything now; another one may have its lease.
        environment: of the engine; next to nothing of it reaches a session.
    """

    state: Path
    database: Database
    sync: Sync
    signer: Signer
    author: Identity = AUTHOR
    guard: Guard
    origins: Mapping[str, Origin] = field(default_factory=dict)
    contributors: Sequence[Contributor]
    runner: Callable[[AgentDefaults], Runner]
    confinement: Callable[[Audience], Confinement]
    doors: Doors | None = None
    mounts: Mapping[str, Path] = field(default_factory=dict)
    private: Sequence[Path] = ()
    purse: Purse | None = None
    admission: Admission = field(default_factory=NobodyAdmits)
    clock: Clock
    on_published: Callable[[], None]
    on_owed: Callable[[], None]
    acting: Callable[[], bool] = lambda: True
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @property
    def turns(self) -> Turns:
        return Turns(self.database)

    @property
    def inbox(self) -> Inbox:
        return Inbox(self.database)

    @property
    def outbox(self) -> Outbox:
        return Outbox(self.database)

    @property
    def proposals(self) -> Proposals:
        return Proposals(self.database)

    @property
    def transcripts(self) -> Transcripts:
        return Transcripts(self.database, self.state.absolute() / "transcripts")

    @property
    def views(self) -> Views:
        return Views(self.state)

    @property
    def cells(self) -> Path:
        """Where homes and scratch folders of running sessions lie."""
        return self.state.absolute() / "cells"

    def sweep_cells(self) -> None:
        """Remove homes that a crash left behind, and end whoever still lives there."""
        kill_housed(self.cells)
        clear_away(self.cells)
