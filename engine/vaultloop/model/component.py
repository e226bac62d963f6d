"""The contract of a component, the roles it may play in a conversation, and the ports it is given."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol, Self, TypeVar, runtime_checkable

from vaultloop.model.change import Change
from vaultloop.model.conversation import AgentDefaults, Message, Outcome, Reply, Turn
from vaultloop.model.policy import Policy
from vaultloop.model.resource import Ref, Resource, Spec

ComponentSpecT = TypeVar("ComponentSpecT", bound=Spec)


class Component(Protocol[ComponentSpecT]):
    """The one owner of a kind at run time.

    Entering it starts it, leaving stops it. It starts empty: the engine applies, after a restart, every last
    good version anew.
    """

    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *exc: object) -> None: ...

    def inputs(self, spec: ComponentSpecT) -> Iterable[str]:
        """Globs of what else in the vault a resource depends on, beyond its own note."""
        ...

    def observe(self) -> Mapping[Ref, Resource[ComponentSpecT]]:
        """What really runs, in the words of what is desired."""
        ...

    async def apply(self, change: Change[ComponentSpecT]) -> None:
        """Make `change` so. Applying the same change twice is applying it once.

        Raises:
            Retry: not now; after some seconds, perhaps.
            Stalled: not before a human changed something.
        """
        ...


@runtime_checkable
class Guard(Protocol):
    """Says which policy governs a message or a scope."""

    def admit(self, message: Message) -> Policy:
        """The policy under which this person speaks in this chat.

        Raises:
            Denied: no scope claims the chat, two do, or the person is not in its list.
        """
        ...

    def policy(self, scope: str) -> Policy:
        """The policy of a scope by name.

        Raises:
            Denied: no such scope is in force.
        """
        ...

    def is_owners(self, chat: str) -> bool:
        """Whether a chat is the owner's private one."""
        ...


@runtime_checkable
class Contributor(Protocol):
    """Adds standing text to what an agent is told."""

    def contribute(self, policy: Policy) -> str:
        """Text for sessions under `policy`; empty for none."""
        ...


@runtime_checkable
class Channel(Protocol):
    """Carries replies to chats of one platform."""

    @property
    def platform(self) -> str: ...
    @property
    def coalesce(self) -> float:
        """Messages of one chat that follow each other within so many seconds belong to one turn."""
        ...

    async def deliver(self, reply: Reply) -> bool:
        """Hand `reply` over; false while nobody is there to take it: it will be offered again.

        Delivering one key twice shows it once.
        """
        ...


class Switch(Protocol):
    """The port to a channel that a bridge turns on and off."""

    @property
    def platform(self) -> str: ...
    @property
    def is_on(self) -> bool: ...
    def turn_on(self, coalesce: timedelta) -> None:
        """Carry messages; those of one chat within `coalesce` belong to one turn."""
        ...

    def turn_off(self) -> None: ...


class TurnStarter(Protocol):
    """The port to the sessions."""

    def start(self, turn: Turn) -> None:
        """Queue `turn`, durably; a no-op if one with this key exists."""
        ...

    async def cancel(self, key: str, outcome: Outcome) -> None:
        """End the turn with this key if it has not ended, with `outcome`; returns when it is gone."""
        ...

    def unfinished(self, conversation: str) -> int:
        """How many turns of a conversation are queued or running."""
        ...


class Origin(Protocol):
    """Whoever declared the work of turns, and says what has become of it while they waited."""

    def renewed(self, turn: Turn, waits_since: datetime) -> Turn:
        """`turn` as its note has it now; a try of it is about to begin.

        Raises:
            Denied: its note is gone or paused.
            Late: it has waited for longer than its note allows.
        """
        ...


class Receiver(Protocol):
    """The port through which a channel hands in what people say."""

    async def receive(self, message: Message) -> None:
        """Take `message` durably and act on it. The same message twice is taken once."""
        ...


class Configurable(Protocol):
    """The port through which the `defaults` note reaches the sessions."""

    def configure(self, defaults: AgentDefaults) -> None: ...


class Slots(Protocol):
    """The port to the record of schedule slots."""

    def known_since(self, job: str, now: datetime) -> datetime:
        """When the job was first applied; `now`, recorded, if this is the first time."""
        ...

    def considered(self, job: str) -> datetime | None:
        """The instant up to which every slot of the job has an entry."""
        ...

    def consider(self, job: str, until: datetime) -> None: ...

    def follow(self, job: str, timetable: str, now: datetime) -> datetime:
        """The instant after which the job's slots count under `timetable`.

        That is `considered`, or `now` if the job is new or followed another timetable before: nobody is
        woken for a time that was not announced.
        """
        ...

    def take_over(self, job: str, slots: Sequence[str], since: datetime, *, detail: str) -> None:
        """Leave `slots` to the engine before this one; those after `since` count. In one transaction."""
        ...

    def miss(self, job: str, slots: Sequence[str], until: datetime, *, detail: str = "") -> None:
        """Record slots without an entry as missed and consider `until`, both in one transaction."""
        ...

    def open_turns(self, job: str) -> tuple[str, ...]:
        """Keys of the job's turns without an outcome, oldest first."""
        ...

    def settled(self, job: str, slot: str) -> bool:
        """Whether the slot has an entry."""
        ...

    def reserve(self, job: str, slot: str, turn: Turn) -> bool:
        """Bind the slot to a queued turn, both in one transaction; false if the slot already has an entry."""
        ...

    def record(self, job: str, slot: str, outcome: Outcome, *, detail: str = "") -> bool:
        """Give the slot an outcome without a turn, and say why; false if it already has an entry."""
        ...

    def tell(self, job: str, slot: str, replies: Sequence[Reply]) -> bool:
        """Owe `replies` and record the slot as done, in one transaction; false if it already has an entry."""
        ...
