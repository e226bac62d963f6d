"""What people see of sync: whether it stands still, if the remote answers, where the newest commit is."""

import logging
from datetime import datetime

from vaultloop.aio.clock import Clock
from vaultloop.model.status import Push, PushState

log = logging.getLogger(__name__)


class Standing:
    """Kept up to date by the workings of sync; a change is logged once.

    Attributes:
        trouble: why the remote cannot be talked to, in a sentence, and `trouble_since`; None while it can.
        push: where the newest commit is.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pauses: dict[str, str] = {}
        self.trouble: str | None = None
        self.trouble_since: datetime | None = None
        self.push = Push(PushState.LOCAL, clock.now())

    @property
    def paused(self) -> str | None:
        """Every reason why sync stands still, with its cure."""
        return " ".join(self._pauses.values()) or None

    def reason(self, cause: str) -> str | None:
        """Why sync stands still because of `cause`."""
        return self._pauses.get(cause)

    def pause(self, cause: str, sentence: str) -> None:
        """Sync stands still because of `cause` (a word of ours) until `resume`."""
        if self._pauses.get(cause) != sentence:
            log.warning("sync is paused: %s", sentence, extra={"sync": "paused", "cause": cause})
        self._pauses[cause] = sentence

    def resume(self, cause: str) -> None:
        if self._pauses.pop(cause, None):
            log.info("sync goes on", extra={"sync": "resumed", "cause": cause})

    def unreachable(self, sentence: str) -> None:
        """The remote cannot be talked to."""
        if self.trouble is None:
            self.trouble_since = self._clock.now()
            log.warning("%s", sentence, extra={"remote": "trouble"})
        self.trouble = sentence

    def reachable(self) -> None:
        if self.trouble is not None:
            log.info("the remote answers again", extra={"remote": "well"})
        self.trouble = self.trouble_since = None

    def stranded(self, message: str) -> None:
        """A push failed."""
        if self.push.state is not PushState.STRANDED:
            log.warning("push failed: %s", message, extra={"push": "stranded"})
        self._set(PushState.STRANDED, message)

    def compare(self, head: str, theirs: str | None) -> bool:
        """Take note of the branch's and the remote's commit; whether they are the same."""
        if head == theirs:
            self._set(PushState.PUSHED)
        elif self.push.state is PushState.PUSHED:
            self._set(PushState.LOCAL)
        return head == theirs

    def _set(self, state: PushState, message: str = "") -> None:
        since = self.push.since if self.push.state is state else self._clock.now()
        self.push = Push(state, since, message)
