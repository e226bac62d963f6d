"""The console channel: whoever may open the engine's socket is the owner at the keyboard."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

from vaultloop.model.conversation import Reply

Listener = Callable[[Reply], Awaitable[None]]


class ConsoleChannel:
    """Replies go to the terminals that listen to their chat; without one they wait in the outbox."""

    platform = "console"

    def __init__(self) -> None:
        self._listeners: dict[str, list[Listener]] = {}
        self.is_on = False
        self.coalesce = 0.0

    def turn_on(self, coalesce: timedelta) -> None:
        """Carry messages; those of one chat within `coalesce` belong together."""
        self.is_on = True
        self.coalesce = coalesce.total_seconds()

    def turn_off(self) -> None:
        self.is_on = False

    @contextmanager
    def listening(self, chat: str, listener: Listener) -> Iterator[None]:
        """Hand the replies of `chat` to `listener` for as long as the block lasts."""
        listeners = self._listeners.setdefault(chat, [])
        listeners.append(listener)
        try:
            yield
        finally:
            listeners.remove(listener)

    async def deliver(self, reply: Reply) -> bool:
        """True once at least one terminal has shown it."""
        shown = False
        for listener in list(self._listeners.get(reply.chat, ())):
            with suppress(ConnectionError, TimeoutError):
                await listener(reply)
                shown = True
        return shown
