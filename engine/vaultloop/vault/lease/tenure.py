"""An engine's tenure at its remote: takes the lease, sees that it still has it, and gives it back.

What follows from a lease is decided in `lease`; here that is carried out and waited for. It costs an idle
engine nothing: the poll that looks for commits tells the lease's commit too.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from vaultloop.aio.bell import Bell
from vaultloop.aio.clock import Clock, sleep
from vaultloop.aio.failpoint import Failpoint, reached
from vaultloop.aio.supervise import background, first
from vaultloop.model.errors import Retry, Stalled, VaultloopError
from vaultloop.model.handover import Handover
from vaultloop.vault.lease import lease as rules
from vaultloop.vault.lease import tenancy
from vaultloop.vault.lease.lease import Bearer, Lease, Phase, Standpoint, Step
from vaultloop.vault.lease.lease_chain import LeaseChain
from vaultloop.vault.lease.tenancy import Tenancy
from vaultloop.vault.sync.sync import Sync
from vaultloop.vault.transport.remote import RefusedError

log = logging.getLogger(__name__)

# An engine that starts waits so long (seconds) for a remote that is slow; then what it remembers must do.
START_PATIENCE = 3.0
# For so long (seconds) it brings its last commits to the remote, and its last word, before others go on.
LAST_PUSH = 5.0
LAST_WORD = 2.0
# Steps in a row that one look may take: those who take it at the same moment overtake each other.
MOST_STEPS = 6
# Where it cannot be written: the pause until the next try, the first time and at most.
FIRST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class _Unwritten:
    """That the remote did not take a lease: why, and when to try again, after which pause."""

    why: str = ""
    until: datetime | None = None
    pause: timedelta = field(default=FIRST_PAUSE)


class Tenure:
    """One engine's; its `Sync` polls for it.

    Attributes:
        lost: set once another engine is to act; what runs here has to end.
        waits: set while this engine waits for another one.
        on_acting: called when it may act again, after it could not tell for a while.
    """

    def __init__(
        self,
        sync: Sync,
        me: Bearer,
        *,
        remote: str,
        period: timedelta,
        clock: Clock,
        key: str = "",
        on_change: Callable[[Tenancy], None] = lambda _: None,
    ) -> None:
        """`on_change` hears of every change of what it says of itself."""
        self._sync, self._me, self._clock, self._key = sync, me, clock, key
        self._period, self._on_change = period, on_change
        self._chain = LeaseChain(sync, remote, period, clock)
        self._phase, self._unwritten = Phase.OUTSIDE, _Unwritten()
        self._remembers = False
        # Whether this process itself has taken what it holds.
        self._fresh = False
        self._claimed: datetime | None = None
        self._acted: datetime | None = None
        # What it tells its successor; what its predecessor told it.
        self._handover: Handover | None = None
        self._starts_from: Handover | None = None
        self._pushes_last = False
        self._news, self._again = Bell(), Bell()
        self._said: Tenancy | None = None
        self._ended = False
        self.lost, self.waits = asyncio.Event(), asyncio.Event()
        self.on_acting: Callable[[], None] = lambda: None
        sync.on_heads, sync.may_push = self._heard, self._may_push

    # What others ask.

    @property
    def acting(self) -> bool:
        """Whether anything may be started, answered or pushed now."""
        if self._phase is not Phase.ACTING or self._ended or self._chain.is_news or self.lost.is_set():
            return False
        return self._deadline is None or self._clock.now() < self._deadline

    @property
    def starts_from(self) -> Handover | None:
        """What the schedules start from; None where their own records say it."""
        return self._starts_from

    @property
    def tenancy(self) -> Tenancy:
        """How it stands now."""
        lease = self._chain.lease
        if lease is None or lease.holder is None:
            return Tenancy(self.acting, why=self._why)
        return Tenancy(self.acting, str(lease.holder), lease.since, self._why)

    async def taken(self) -> None:
        """Return once this engine is to act."""
        if not self._remembers:
            self._acted, self._remembers = await self._chain.recall(self._me), True
        patience: float | None = START_PATIENCE
        while True:
            if await self._polled(patience):
                await self._settle()
            elif self._may_act_unseen:
                self._begin(None)
            self._tell()
            if self._phase is Phase.ACTING:
                self.waits.clear()
                return
            self.waits.set()
            patience = None
            await first(sleep(self._clock, self._period.total_seconds()), self._again.heard())

    def ring(self) -> None:
        """An engine that waits looks again now."""
        self._again.ring()

    async def begun(self) -> None:
        """The schedules have started: what they started from is behind them."""
        lease = self._chain.lease
        if lease is not None and lease.holder == self._me:
            self._acted = lease.since
            await self._chain.note_acted()
        reached(Failpoint.LEASE_BEGUN)

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """See, for as long as the block lasts, that this engine is still the one."""
        async with background("lease", self._watch()):
            yield

    def end(self) -> None:
        """Start nothing more: what the next engine is told now stays true."""
        self._ended = True

    async def step_back(self, handover: Handover | None) -> None:
        """Nothing runs here any more: bring what was made to the remote; `taken` then gives the word."""
        self._handover, self._phase, self._ended = handover, Phase.STANDING_BY, False
        self._pushes_last = True
        try:
            async with asyncio.timeout(LAST_PUSH):
                await self._sync.push()
        except TimeoutError:
            log.warning("what was made last is not at the remote yet; it goes there when this engine acts")
        finally:
            self._pushes_last = False
            self.lost.clear()

    async def release(self, handover: Handover | None) -> None:
        """The engine ends: say so, if that can be done within moments; `handover` if it acted just now."""
        if self._sync.remote_trouble:
            return
        self._phase, self._handover = Phase.STANDING_BY, handover or self._handover
        try:
            async with asyncio.timeout(LAST_WORD):
                while not await self._released():
                    await self._polled(None)
                    await self._chain.read()
        except (TimeoutError, VaultloopError) as error:
            log.info("the lease could not be given back (%s); the next engine waits for it", error)

    # What the remote tells.

    def _heard(self, references: Mapping[str, str]) -> None:
        self._chain.hear(references)
        if self._chain.is_news or self._is_due or not (self._said and self._said.acts):
            self._news.ring()

    async def _polled(self, patience: float | None) -> bool:
        """Ask the remote; whether it answered, and that within `patience`."""
        self._chain.deaf()
        poll = asyncio.ensure_future(self._sync.poll())
        try:
            await asyncio.wait({poll}, timeout=patience)
            if poll.done():
                poll.result()
        finally:
            poll.cancel()
        return self._chain.heard

    @property
    def _deadline(self) -> datetime | None:
        """Until when it may act without having seen the lease again; None: for as long as it likes."""
        lease, asked = self._chain.lease, self._chain.asked
        if lease is None or not rules.is_strict(lease, asked):
            return None
        return asked + rules.CONFIRMED_FOR * self._period

    @property
    def _is_due(self) -> bool:
        """Whether it acts and has no lease, and it is time to write one."""
        lease, until = self._chain.lease, self._unwritten.until
        return (lease is None or lease.is_free) and (until is None or self._clock.now() >= until)

    @property
    def _may_act_unseen(self) -> bool:
        now = self._clock.now()
        return self._phase is Phase.OUTSIDE and rules.may_act_unseen(self._chain.lease, self._me, now)

    def _may_push(self) -> bool:
        return self._pushes_last or self.acting

    async def _watch(self) -> None:
        """While it acts: look at what is new, and notice when the lease has not been seen for too long."""
        while True:
            await self._woken()
            try:
                if self._chain.heard and not self._ended and (self._chain.is_news or self._is_due):
                    await self._settle()
            except Exception:
                # Whatever it is: an engine that cannot tell whose turn it is starts nothing (`acting`).
                log.exception("the lease could not be looked at; the next poll looks again")
            self._tell()

    async def _woken(self) -> None:
        deadline = self._deadline
        if deadline is None or deadline <= self._clock.now():
            await self._news.heard()
        else:
            await first(self._news.heard(), self._clock.sleep_until(deadline))

    # What it does.

    async def _settle(self) -> None:
        """Go on from what was heard last, until there is nothing to do but wait."""
        for _ in range(MOST_STEPS):
            try:
                await self._chain.read()
                if not await self._stepped():
                    return
            except (Retry, Stalled) as error:
                log.debug("lease: %s", error)
                return

    async def _stepped(self) -> bool:
        """One step; whether there may be another one."""
        lease, asked = self._chain.lease, self._chain.asked
        match rules.step(Standpoint(self._me, self._phase, asked, self._claimed, self._acted), lease):
            case Step.TAKE:
                return await self._take()
            case Step.ACT:
                assert lease is not None
                known = self._acted == lease.since
                self._begin(None if known else rules.handed_over(lease, self._me, self._clock.now()))
            case Step.WAIT:
                self._wait()
            case Step.SAY_SO:
                await self._say_so()
            case Step.STEP_BACK:
                self._lose()
            case Step.GO_ON:
                pass
        return False

    async def _take(self) -> bool:
        """Write that this engine is the holder; whether somebody was faster, or it is."""
        lease, before = self._chain.lease, self._chain.newest
        if self._phase is Phase.ACTING and not self._is_due:
            return False
        try:
            await self._chain.write(rules.taken(lease, self._me, self._clock.now(), self._period, self._key))
        except (RefusedError, Retry, Stalled) as error:
            if await self._polled(None) and self._chain.newest != before:
                return True
            self._note_unwritten(str(error))
            return False
        self._unwritten, self._claimed = _Unwritten(), self._clock.now()
        if self._phase is not Phase.ACTING:
            self._phase, self._fresh = Phase.CLAIMING, True
        return True

    def _note_unwritten(self, why: str) -> None:
        pause, lease = self._unwritten.pause, self._chain.lease
        self._unwritten = _Unwritten(why, self._clock.now() + pause, min(pause * 2, LONGEST_PAUSE))
        if self._chain.heard and (lease is None or (lease.is_free and not lease.awaited)):
            # Nobody else is there to be seen, and nobody would see this engine: it works as it did without.
            self._begin(None if lease is None else rules.handed_over(lease, self._me, self._clock.now()))

    def _begin(self, handover: Handover | None) -> None:
        if self._phase is not Phase.ACTING:
            self._phase, self._starts_from = Phase.ACTING, handover
            self._claimed = self._handover = None

    def _wait(self) -> None:
        lease = self._chain.lease
        mine = lease is not None and lease.holder == self._me
        self._phase = Phase.CLAIMING if mine else Phase.STANDING_BY
        self._claimed = (self._claimed or self._clock.now()) if mine else None

    async def _say_so(self) -> None:
        lease = self._chain.lease
        assert lease is not None
        self._phase, self._claimed = Phase.STANDING_BY, None
        try:
            await self._chain.write(self._stood_down(lease))
        except RefusedError:
            # Somebody else was faster: what they wrote is read with the next poll, and answered then.
            return
        self._handover = None
        reached(Failpoint.STOOD_DOWN)

    def _stood_down(self, lease: Lease) -> Lease:
        return rules.stood_down(lease, self._me, self._clock.now(), self._handover, fresh=self._fresh)

    async def _released(self) -> bool:
        """Give back what it has, or the word that others wait for; false if somebody else wrote meanwhile."""
        lease, now = self._chain.lease, self._clock.now()
        try:
            if lease is not None and lease.holder == self._me:
                await self._chain.write(
                    rules.released(lease, self._me, now, self._handover, fresh=self._fresh)
                )
                reached(Failpoint.LEASE_RELEASED)
            elif lease is not None and self._me in lease.awaited:
                await self._chain.write(self._stood_down(lease))
        except RefusedError:
            return False
        return True

    def _lose(self) -> None:
        if not self.lost.is_set():
            holder = self._chain.lease and self._chain.lease.holder
            log.warning(
                "another engine is to act (%s); this one stands down", holder or "it has ended by now"
            )
        self.lost.set()

    # What it says.

    @property
    def outlook(self) -> str:
        """How one that waits may come to act, in a sentence that anybody may know."""
        lease = self._chain.lease
        if lease is None or lease.holder is None:
            return tenancy.ASKS
        if lease.holder == self._me:
            return tenancy.AWAITS
        return tenancy.HINDERED if self._unwritten.why else tenancy.STANDS_DOWN

    @property
    def _why(self) -> str:
        lease, unwritten = self._chain.lease, self._unwritten.why
        if self._phase is Phase.ACTING and not self.lost.is_set():
            if not self.acting:
                return tenancy.UNSURE
            return tenancy.unwritable(self._chain.url, unwritten) if unwritten else ""
        if lease is None or lease.holder is None:
            return tenancy.unknown(self._chain.url, self._sync.remote_trouble)
        if lease.holder == self._me:
            return tenancy.waiting(lease.awaited)
        return tenancy.held(lease, unwritten)

    def _tell(self) -> None:
        now, before = self.tenancy, self._said
        if now == before:
            return
        self._said = now
        if now.why and (before is None or before.why != now.why):
            log.warning("%s%s", "" if now.acts else "standby: ", now.why, extra={"acts": now.acts})
        elif now.acts and before is not None and not before.acts:
            log.info("this engine acts", extra={"acts": True})
            self.on_acting()
        self._on_change(now)
