"""The lease: one reference at the remote that says which engine acts. Values in, decision out.

`refs/vaultloop/lease` names a chain of commits without files, each the child of the one before, so that a
plain push is a compare-and-swap. Only the newest one counts; its message says everything (`Lease.text`). An
engine that starts writes that it is the holder now. Whoever held it sees that in its next poll, stops, and
writes its word; the new holder acts on that word, or after `Lease.silence` without it. What an engine does
next follows from the newest lease alone (`step`); `tenure` carries it out. docs/one-engine.md has the rules
in words.
"""

import json
import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum, auto
from typing import Any, Self

from vaultloop.model.handover import Handover

REFERENCE = "refs/vaultloop/lease"

# In poll intervals: how long an engine of a remote where two have met acts without having seen the lease, and
# how long its successor waits for its word: less, whatever the jitter of both.
CONFIRMED_FOR = 1.5
SILENT_INTERVALS = 2.0

# For so long after two engines have met at a remote, each of them acts only while it can see the lease.
DAY = timedelta(days=1)

# By so much the clocks of two machines may differ, where one of them has said nothing of its slots.
SKEW = timedelta(seconds=10)

# What a lease may say, for whoever can push there writes it: characters in all, the longest interval between
# two polls, and how an engine is called.
LONGEST_TEXT = 64 * 1024
LONGEST_PERIOD = DAY
_NAME = re.compile(r"[\w.:-]{1,128}@[\w.:-]{1,128}", re.ASCII)


class Word(StrEnum):
    """What who wrote a lease says in it."""

    ACTS = "acts"
    STOOD_DOWN = "stood-down"
    RELEASED = "released"


@dataclass(frozen=True, slots=True)
class Bearer:
    """An engine where it runs.

    Attributes:
        engine: made once in the state directory.
        place: that directory on this machine since it was booted: only one process at a time can act there,
            and a copy of it is another place.
    """

    engine: str
    place: str

    def __str__(self) -> str:
        return f"{self.engine}@{self.place}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError, or TypeError: that names no engine."""
        if not _NAME.fullmatch(text):
            raise ValueError("no engine is called that")
        engine, _, place = text.partition("@")
        return cls(engine, place)


@dataclass(frozen=True, slots=True)
class Lease:
    """What one commit of the chain says.

    Attributes:
        word, by: what was written, by whom.
        holder: who acts, or is about to; None if nobody does.
        since: when the holder took it, by its own clock: holder and this name one tenure.
        period: how often the holder looks at the remote.
        silence: how long it waits for the word of those in `awaited`.
        awaited: who may still be acting, the one who took it last at the end.
        unsaid: who acted, or may have, and never said what has run: its process is gone.
        met: when two engines last met at this remote; None if they never did.
        handover: what the holder's schedules start from; None where there is nothing to hand over.
        told: by whom.
        key: the holder's public key.
    """

    word: Word
    by: Bearer
    holder: Bearer | None
    since: datetime
    period: timedelta
    silence: timedelta = timedelta(0)
    awaited: tuple[Bearer, ...] = ()
    unsaid: tuple[Bearer, ...] = ()
    met: datetime | None = None
    handover: Handover | None = None
    told: Bearer | None = None
    key: str = ""

    @property
    def is_free(self) -> bool:
        return self.holder is None

    @property
    def _is_plausible(self) -> bool:
        longest = LONGEST_PERIOD * SILENT_INTERVALS
        return timedelta(0) < self.period <= LONGEST_PERIOD and timedelta(0) <= self.silence <= longest

    def text(self) -> str:
        """The message of its commit: a line for people, and the fields as JSON."""
        fields = {
            "word": str(self.word),
            "by": str(self.by),
            "holder": str(self.holder) if self.holder else None,
            "since": self.since.isoformat(),
            "period": self.period.total_seconds(),
            "silence": self.silence.total_seconds(),
            "awaited": [str(bearer) for bearer in self.awaited],
            "unsaid": [str(bearer) for bearer in self.unsaid],
            "met": self.met.isoformat() if self.met else None,
            "handover": _handover_fields(self.handover) if self.handover else None,
            "told": str(self.told) if self.told else None,
            "key": self.key,
        }
        return f"Lease: engine {self.by.engine} {self.word}\n\n{json.dumps(fields, indent=1)}\n"

    @classmethod
    def parse(cls, message: str) -> Self | None:
        """What a commit's message says; None if it is no lease, or one that no engine writes."""
        if len(message) > LONGEST_TEXT:
            return None
        try:
            found = json.loads(message.partition("\n\n")[2])
            lease = cls(
                word=Word(found["word"]),
                by=Bearer.parse(found["by"]),
                holder=Bearer.parse(found["holder"]) if found["holder"] else None,
                since=_instant(found["since"]),
                period=timedelta(seconds=found["period"]),
                silence=timedelta(seconds=found["silence"]),
                awaited=tuple(Bearer.parse(bearer) for bearer in found["awaited"]),
                unsaid=tuple(Bearer.parse(bearer) for bearer in found["unsaid"]),
                met=_instant(found["met"]) if found["met"] else None,
                handover=_handover(found["handover"]) if found["handover"] else None,
                told=Bearer.parse(found["told"]) if found["told"] else None,
                key=str(found["key"]),
            )
            return lease if lease._is_plausible else None
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
            return None


def unreadable(now: datetime, period: timedelta) -> Lease:
    """What stands for a lease that says nothing we understand: somebody has it."""
    stranger = Bearer("unknown", "unknown")
    return Lease(Word.ACTS, stranger, stranger, now, period, awaited=(), met=now)


# What an engine writes.


def taken(tip: Lease | None, me: Bearer, now: datetime, period: timedelta, key: str = "") -> Lease:
    """`me` takes what is free, or claims what another has."""
    awaited: tuple[Bearer, ...] = ()
    unsaid: tuple[Bearer, ...] = ()
    longest = period
    if tip is not None:
        # What its last process has run, this one cannot say unless it gets to act.
        unsaid = tuple(dict.fromkeys((*tip.unsaid, *(one for one in tip.awaited if one == me))))
        before = (*tip.awaited, *([tip.holder] if tip.holder else []))
        awaited = tuple(dict.fromkeys(one for one in before if one != me))
        longest = max(period, tip.period, tip.silence / SILENT_INTERVALS if tip.awaited else period)
    return Lease(
        word=Word.ACTS,
        by=me,
        holder=me,
        since=now,
        period=period,
        silence=longest * SILENT_INTERVALS,
        awaited=awaited,
        unsaid=unsaid,
        met=_met(tip, me, now),
        handover=tip.handover if tip else None,
        told=tip.told if tip else None,
        key=key,
    )


def _met(tip: Lease | None, me: Bearer, now: datetime) -> datetime | None:
    if tip is None:
        return None
    # A machine that was booted again is no second engine, though its place is a new one.
    return tip.met if {tip.by.engine, (tip.holder or me).engine} == {me.engine} else now


def stood_down(
    tip: Lease, me: Bearer, now: datetime, handover: Handover | None, *, fresh: bool = True
) -> Lease:
    """`me` acts no longer; `handover` if it did. Not `fresh`: a process before this one may have."""
    last = tip.awaited.index(me)
    # Whose silence it sat out before it acted is behind us.
    others = tip.awaited[last + 1 :] if handover else tuple(one for one in tip.awaited if one != me)
    said = replace(tip, word=Word.STOOD_DOWN, by=me, awaited=others, met=now)
    if handover is None:
        return said if fresh else replace(said, unsaid=(*tip.unsaid, me))
    if tip.handover is not None and tip.handover.until > handover.until:
        return replace(said, unsaid=())
    return replace(said, unsaid=(), handover=handover, told=me)


def released(
    tip: Lease, me: Bearer, now: datetime, handover: Handover | None, *, fresh: bool = True
) -> Lease:
    """`me`, who held it, ends; `handover` and `fresh` as for `stood_down`."""
    ended = replace(tip, word=Word.RELEASED, by=me, holder=None, since=now, key="")
    if handover is None:
        return ended if fresh else replace(ended, unsaid=(*tip.unsaid, me))
    return replace(ended, awaited=(), unsaid=(), handover=handover, told=me)


# What follows from what was read.


class Phase(StrEnum):
    """Where an engine stands."""

    OUTSIDE = "outside"
    CLAIMING = "claiming"
    ACTING = "acting"
    STANDING_BY = "standing-by"


class Step(StrEnum):
    """What it does next."""

    TAKE = auto()
    ACT = auto()
    GO_ON = auto()
    WAIT = auto()
    SAY_SO = auto()
    STEP_BACK = auto()


@dataclass(frozen=True, slots=True)
class Standpoint:
    """An engine that has read the newest lease.

    Attributes:
        read: when it began to ask for that lease, by its own clock.
        claimed: when its own claim was in place, if it has one.
        acted: the `since` of the tenure that it acted in last.
    """

    me: Bearer
    phase: Phase
    read: datetime
    claimed: datetime | None = None
    acted: datetime | None = None


def step(point: Standpoint, tip: Lease | None) -> Step:
    """What follows from the newest lease."""
    if tip is None or tip.holder is None:
        # It acted without a lease, or somebody took that away: it goes on, and writes one. But what others
        # have released they have had meanwhile.
        others = tip is not None and tip.by != point.me
        return Step.STEP_BACK if others and point.phase is Phase.ACTING else Step.TAKE
    return _step_as_holder(point, tip) if tip.holder == point.me else _step_beside(point, tip)


def _step_as_holder(point: Standpoint, tip: Lease) -> Step:
    if point.phase is Phase.ACTING:
        return Step.GO_ON
    if not tip.awaited or point.acted == tip.since:
        return Step.ACT
    silent = point.claimed is not None and point.read - point.claimed >= tip.silence
    return Step.ACT if silent else Step.WAIT


def _step_beside(point: Standpoint, tip: Lease) -> Step:
    if point.phase is Phase.ACTING:
        return Step.STEP_BACK
    if point.phase is Phase.OUTSIDE:
        # Also where others wait for the word of the process before this one: it gives none, it is gone.
        return Step.TAKE
    # Who stood down does not take it back by itself: two engines would take turns for ever.
    return Step.SAY_SO if point.me in tip.awaited else Step.WAIT


def handed_over(tip: Lease, me: Bearer, now: datetime) -> Handover | None:
    """What `me`, who begins to act, starts its schedules from; None: from its own records alone."""
    # Of its own earlier life, before the machine was booted again perhaps, the records are here.
    if any(one.engine != me.engine for one in (*tip.awaited, *tip.unsaid)):
        # Nobody said what has run: what may have is left out.
        return Handover(now + SKEW)
    if tip.told == me or tip.handover is None:
        return None
    # A clock that is days ahead, or somebody who writes any date, must not silence every schedule.
    latest, told = now + DAY, tip.handover
    return Handover(min(told.until, latest), {job: min(at, latest) for job, at in told.owed.items()})


def is_strict(lease: Lease, confirmed: datetime) -> bool:
    """Whether its holder acts only while it can see the lease; `confirmed` is when it last did."""
    return lease.met is not None and confirmed - lease.met < DAY


def may_act_unseen(remembered: Lease | None, me: Bearer, now: datetime) -> bool:
    """Whether an engine that starts while the remote cannot be reached may act on what it remembers."""
    if remembered is None:
        return True
    theirs = remembered.holder is not None and remembered.holder.engine != me.engine
    return not theirs and not is_strict(remembered, now)


def _handover_fields(handover: Handover) -> dict[str, Any]:
    owed = {job: until.isoformat() for job, until in handover.owed.items()}
    return {"until": handover.until.isoformat(), "owed": owed}


def _handover(found: dict[str, Any]) -> Handover:
    owed = {str(job): _instant(until) for job, until in found["owed"].items()}
    return Handover(_instant(found["until"]), owed)


def _instant(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text} names no time zone")
    return found
