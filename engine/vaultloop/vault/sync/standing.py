"""What people see of sync: whether it stands still, if the remote answers, where the newest commit is."""

import logging
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from vaultloop.aio.clock import Clock
from vaultloop.model.status import Push, PushState

log = logging.getLogger(__name__)


# Its time of change, in the state directory, is when the remote answered last: a date that costs no write to
# the records with each poll.
CONTACT_NAME = "remote-contact"


def last_contact(state: Path) -> datetime | None:
    """When the remote of the engine in `state` answered last, whether that engine runs or not."""
    try:
        return datetime.fromtimestamp((state / CONTACT_NAME).stat().st_mtime, UTC)
    except OSError:
        return None


@dataclass(frozen=True, slots=True)
class Resumed:
    """What came of looking again.

    Attributes:
        message: what was done, why it does not go on, or that it does; sentences for people.
        paused: whether sync still stands still.
    """

    message: str
    paused: bool

    def as_json(self) -> dict[str, object]:
        """The shape that `vaultloop resume --json` promises."""
        return {"message": self.message, "paused": self.paused}


class Standing:
    """Kept up to date by the workings of sync; a change is logged once.

    Attributes:
        trouble: why the remote cannot be talked to, in a sentence, and `trouble_since`; None while it can.
        contact: when it last answered; None before it has.
        push: where the newest commit is.
        ahead: how many commits the remote does not have yet.
        merges, mended: how many joins, and notes rid of conflict markers, since the start.
        held: how many declarations wait for their owner, because two writers changed them.
    """

    def __init__(self, clock: Clock, state: Path | None = None) -> None:
        """`state` is the directory in which the last contact is put down, for `last_contact`."""
        self._clock, self._state = clock, state
        self._pauses: dict[str, str] = {}
        self._remarks: dict[str, str] = {}
        self.trouble: str | None = None
        self.trouble_since: datetime | None = None
        self.contact: datetime | None = None
        self.ahead = self.merges = self.mended = self.held = 0
        self.push = Push(PushState.LOCAL, clock.now())

    @property
    def paused(self) -> str | None:
        """Every reason why sync stands still, with its cure."""
        return _told(self._pauses.values())

    @property
    def attention(self) -> str | None:
        """What a human has to look at: why sync stands still, and what stops nothing but waits for them."""
        return _told((*self._pauses.values(), *self._remarks.values()))

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

    def remark(self, cause: str, sentence: str | None) -> None:
        """Something that stops nothing waits for a human because of `cause`, or (None) does no more."""
        if sentence is None:
            self._remarks.pop(cause, None)
            return
        if self._remarks.get(cause) != sentence:
            log.warning("%s", sentence, extra={"sync": "remark", "cause": cause})
        self._remarks[cause] = sentence

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
        self.contact = now = self._clock.now()
        if self._state is not None:
            # A date that is missing is no reason to stop.
            with suppress(OSError):
                _put_down(self._state / CONTACT_NAME, now.timestamp())

    def stranded(self, message: str) -> None:
        """A push failed."""
        if self.push.state is not PushState.STRANDED:
            log.warning("push failed: %s", message, extra={"push": "stranded"})
        self._set(PushState.STRANDED, message)

    def compare(self, *, has_all: bool) -> bool:
        """Take note of whether the remote has all that is here; the same is returned."""
        if has_all:
            self._set(PushState.PUSHED)
        elif self.push.state is PushState.PUSHED:
            self._set(PushState.LOCAL)
        return has_all

    def wait(self) -> None:
        """A stranded push is tried again with the next one."""
        if self.push.state is PushState.STRANDED:
            self._set(PushState.LOCAL)

    def count(self, merges: int, mended: int, held: int) -> None:
        """Take note of what was done with the branch."""
        self.merges, self.mended, self.held = merges, mended, held

    def _set(self, state: PushState, message: str = "") -> None:
        since = self.push.since if self.push.state is state else self._clock.now()
        self.push = Push(state, since, message)

    def figures(self) -> Mapping[str, float]:
        """The same in numbers, by name; seconds since the last contact are missing before the first."""
        figures: dict[str, float] = {f"push_{state}": float(self.push.state is state) for state in PushState}
        figures |= {"push_since_seconds": (self._clock.now() - self.push.since).total_seconds()}
        figures |= {"commits_ahead": self.ahead, "paused": float(bool(self._pauses))}
        figures |= {"merges": self.merges, "mended": self.mended, "held": self.held}
        if self.contact is not None:
            figures["contact_age_seconds"] = (self._clock.now() - self.contact).total_seconds()
        return figures


def _told(sentences: Iterable[str]) -> str | None:
    """Each of them once: one thing may stop two workings."""
    return " ".join(dict.fromkeys(sentences)) or None


def _put_down(file: Path, at: float) -> None:
    try:
        os.utime(file, (at, at))
    except FileNotFoundError:
        file.touch(mode=0o600)
        os.utime(file, (at, at))
