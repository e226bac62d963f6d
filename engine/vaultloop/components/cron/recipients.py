"""Who `send-to` means, as channels and chats."""

from collections.abc import Iterable, Iterator
from contextlib import suppress

from vaultloop.model.component import Guard
from vaultloop.model.conversation import OWNER, Address
from vaultloop.model.errors import Denied
from vaultloop.model.fields import is_id


class Addresses:
    """The chats that recipients stand for; those of a scope as they are at that moment."""

    def __init__(self, guard: Guard | None, channel: str) -> None:
        self._guard = guard
        self._channel = channel

    def of(self, send_to: Iterable[str]) -> tuple[Address, ...]:
        """Where to send, each place once, in the order of the note."""
        return tuple(dict.fromkeys((self._channel, chat) for chat in self._chats(send_to)))

    def _chats(self, send_to: Iterable[str]) -> Iterator[str]:
        for recipient in send_to:
            if recipient == OWNER or is_id(recipient):
                yield recipient
            elif self._guard is not None:
                # A revoked scope has no chats: its runs still leave their commits.
                with suppress(Denied):
                    yield from self._guard.policy(recipient).chats
