"""Every component, and how a test makes one: a new component gets its contract tested by one line here."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vaultloop.aio.clock import VirtualClock
from vaultloop.components.bridge.component import BridgeComponent
from vaultloop.components.bridge.console import ConsoleChannel
from vaultloop.components.cron.component import CronComponent
from vaultloop.components.defaults.component import DefaultsComponent
from vaultloop.components.rule.component import RuleComponent
from vaultloop.components.scope.component import ScopeComponent
from vaultloop.model.component import Component
from vaultloop.model.conversation import AgentDefaults, Outcome, Turn
from vaultloop.state.database import Database
from vaultloop.state.slots import SlotStore
from vaultloop.state.turns import Turns

NOW = datetime(2026, 11, 22, 6, 30, tzinfo=UTC)


class Sessions:
    """Sessions that remember their settings and run nothing: turns stay queued until they are cancelled."""

    def __init__(self, database: Database) -> None:
        self.defaults = AgentDefaults()
        self._turns = Turns(database)

    def configure(self, defaults: AgentDefaults) -> None:
        self.defaults = defaults

    def start(self, turn: Turn) -> None:
        self._turns.add(turn, NOW)

    async def cancel(self, key: str, outcome: Outcome) -> None:
        if (record := self._turns.by_key(key)) is not None:
            self._turns.end(record.id, outcome, NOW)

    def unfinished(self, conversation: str) -> int:
        return len(self._turns.unfinished(conversation))


@dataclass(frozen=True)
class Ground:
    """What components are given."""

    database: Database
    sessions: Sessions
    clock: VirtualClock


@contextmanager
def ground(folder: Path) -> Iterator[Ground]:
    """Real stores in a fresh database, and a clock that stands still."""
    with Database(folder / "engine.db") as database:
        yield Ground(database, Sessions(database), VirtualClock(NOW))


def cron_component(given: Ground) -> CronComponent:
    """The one component of three kinds."""
    slots = SlotStore(given.database, given.clock)
    return CronComponent(slots=slots, turns=given.sessions, clock=given.clock)


MAKERS: dict[str, Callable[[Ground], Component[Any]]] = {
    "defaults": lambda given: DefaultsComponent(given.sessions),
    "scope": lambda given: ScopeComponent(owners=("100",)),
    "rule": lambda given: RuleComponent(),
    "cron": cron_component,
    "crontab": cron_component,
    "reminder": cron_component,
    "bridge": lambda given: BridgeComponent([ConsoleChannel()]),
}
