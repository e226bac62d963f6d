"""The kind `bridge`."""

from datetime import timedelta
from typing import ClassVar, Literal

from vaultloop.model.fields import Duration
from vaultloop.model.resource import Kind, Spec, Stage


class BridgeSpec(Spec):
    """A messenger. Which chats are answered is said by scopes, not here."""

    to_come: ClassVar[frozenset[str]] = frozenset({"stream", "typing", "voice"})

    platform: Literal["telegram", "console"]
    """The messenger; `console` is `vaultloop chat`."""
    coalesce: Duration = timedelta(seconds=2)
    """Messages that follow each other within this time are answered together."""
    stream: bool = True
    """Show the answer while it is being written."""
    typing: bool = True
    """Show that the agent is at work."""
    voice: Literal["off", "transcribe", "command"] = "off"
    """What becomes of voice messages: nothing, a text in the chat, or a message to the agent."""


KIND = Kind("bridge", BridgeSpec, Stage.TRIGGER, folder="bridges")
