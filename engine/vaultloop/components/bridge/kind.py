"""The kind `bridge`."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import ClassVar, Literal, Self

from vaultloop.model.fields import Duration, duration_text
from vaultloop.model.finding import Finding
from vaultloop.model.problem import Severity
from vaultloop.model.resource import Kind, Spec, Stage

# Longer than this is no burst of messages any more.
LONGEST_WAIT = timedelta(minutes=5)


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

    def findings(self) -> Iterable[Finding]:
        """Nobody waits for minutes until an answer begins."""
        if self.coalesce > LONGEST_WAIT:
            message = f"Nobody is answered before `{duration_text(self.coalesce)}` have passed."
            longest = duration_text(LONGEST_WAIT)
            yield Finding("coalesce", "bad-duration", message, write=longest, severity=Severity.WARNING)

    @classmethod
    def findings_together(cls, specs: Mapping[str, Self]) -> Iterable[tuple[str, Finding]]:
        """Platforms that two bridges serve: one of them would answer, and nobody knows which."""
        serving: dict[str, list[str]] = {}
        for name, spec in specs.items():
            if not spec.paused:
                serving.setdefault(spec.platform, []).append(name)
        for platform, names in serving.items():
            for name in names if len(names) > 1 else ():
                others = " and ".join(f"`{other}`" for other in names if other != name)
                message = f"{others} is a bridge to {platform} too; a platform has one."
                cure = "Delete one of the notes, or pause it."
                yield name, Finding("platform", "too-many", message, cure)


KIND = Kind("bridge", BridgeSpec, Stage.TRIGGER, folder="bridges")
