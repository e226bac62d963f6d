"""The branch and its remote: what is there is taken, what is here is pushed, nothing is overwritten."""

import asyncio
import hashlib
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from vaultloop.aio.clock import Clock, sleep
from vaultloop.aio.failpoint import Failpoint, reached
from vaultloop.aio.worker import Worker
from vaultloop.model.errors import Paused, Retry, Stalled, VaultloopError
from vaultloop.vault.git.index import LockedError
from vaultloop.vault.git.repository import OWN_REFS
from vaultloop.vault.sync.branch import Branch, UnsettledError, listed
from vaultloop.vault.sync.lineage import Lineage
from vaultloop.vault.sync.standing import Standing
from vaultloop.vault.sync.trust import Trust
from vaultloop.vault.transport import refused
from vaultloop.vault.transport.remote import Heads, RefusedError, Remote

log = logging.getLogger(__name__)

# A push that loses the race against others is tried so often, after at most so many seconds each time.
PUSH_ATTEMPTS = 6
LONGEST_JITTER = 1.0

# Seconds until a remote that has not told its branches in full is trouble.
ANSWER_LIMIT = 60.0

# The words for what makes sync stand still here.
CAUSE = "remote"
TRUST = "trust"


class Upstream:
    """One branch's remote. `poll` and `push` talk to it, one at a time; `take` never waits for them.

    Attributes:
        may_push: whether the branch may be pushed now; an engine that stands by pushes nothing.
        on_heads: called with all references of the remote, by full name, whenever it has told them.
        asked: when it was asked for them last.
    """

    may_push: Callable[[], bool]
    on_heads: Callable[[Mapping[str, str]], None]

    def __init__(
        self,
        remote: Remote,
        branch: Branch,
        standing: Standing,
        *,
        git: Worker,
        net: Worker,
        clock: Clock,
        follow_default: bool,
        trust: Trust | None = None,
    ) -> None:
        """`follow_default`: an unborn branch takes the name of the remote's default one.

        What `trust` refuses is not taken.
        """
        self._trust = trust
        self._remote, self._branch, self._standing = remote, branch, standing
        self._repository = branch.repository
        self._git, self._net, self._clock = git, net, clock
        self._follow_default = follow_default
        self._one_talk = asyncio.Lock()
        # Whether the remote has told of its branch, and its newest commit there, which is here by now.
        self._told = False
        self._offered: str | None = None
        # The remote's commit that is on our branch; the pair of ours and theirs that can never be joined.
        self._united: str | None = None
        self._stuck: tuple[str | None, str] | None = None
        self._lineage = Lineage(branch, remote.url)
        self.asked = clock.now()
        self.may_push = lambda: True
        self.on_heads = lambda _: None

    async def recall(self) -> None:
        """Remember, after a restart, what the remote had."""
        await self._git.run(self._lineage.recall)

    @property
    def seen(self) -> str | None:
        """The remote's newest commit that we know of."""
        return self._lineage.seen

    async def poll(self) -> None:
        """Ask the remote for its branch and fetch that, for `take`. Trouble becomes part of the standing."""
        async with self._one_talk:
            await self._poll()

    async def take(self) -> None:
        """Bring what was polled onto our branch; where the two cannot be joined, sync stands still.

        Raises:
            LockedError: git is at work in the folder.
        """
        if not self._told:
            return
        if self._offered is not None and self._offered == self._united == self.seen:
            self._standing.resume(CAUSE)
            return
        try:
            await self._git.run(self._unite)
        except LockedError:
            raise
        except UnsettledError as error:
            # There is another look once it has settled.
            log.debug("%s", error)
        except VaultloopError as error:
            self._standing.pause(CAUSE, str(error))

    def give_up(self) -> None:
        """At the end: what is under way in the network need not come to its own."""
        self._remote.give_up()

    async def push(self) -> None:
        """Bring our branch to the remote, joining what others pushed meanwhile. Trouble as in `poll`."""
        async with self._one_talk:
            await self._push()

    def look_anew(self) -> None:
        """What stood still is judged again at the next look."""
        self._stuck = self._united = None

    async def accept(self, named: str) -> str:
        """Follow the remote's rewritten history, at the commit that an owner has `named`; says what was done.

        Raises:
            Stalled, Retry, Paused: as for `Lineage.accept`; also if the remote cannot be talked to.
        """
        async with self._one_talk:
            await self._poll()
            if self._standing.trouble:
                raise Stalled(self._standing.trouble, cure="Nothing was changed. Try again once it answers.")
            return await self._git.run(self._accept, named)

    def _accept(self, named: str) -> str:
        theirs = self._offered
        if theirs is None:
            raise Stalled(
                f"{self._remote.url} has no branch {self._repository.branch}: there is nothing to accept.",
                cure="Push it there again.",
            )
        if self._distrusts(theirs):
            raise Stalled(self._standing.reason(TRUST) or "", cure="")
        said = self._lineage.accept(theirs, named)
        self._united, self._stuck = theirs, None
        self._standing.resume(CAUSE)
        self._standing.remark("rescue", said)
        return said

    async def set_reference(self, name: str, commit: str, over: str | None) -> None:
        """Set the remote's reference `name` from `over` (None: it has none) to `commit`, which is here.

        Raises:
            RefusedError: it is not at `over` any more, or the remote says no.
            Retry, Stalled: as for `Remote.heads`.
        """
        async with self._one_talk:
            await self._net.run(self._remote.push, commit, name, over=over)
            self._standing.reachable()

    async def fetch_reference(self, name: str) -> str | None:
        """The commit of the remote's reference `name`, which is here afterwards.

        Raises:
            Retry, Stalled: as for `Remote.heads`.
        """
        into = f"fetched/{hashlib.sha256(name.encode()).hexdigest()[:16]}"
        async with self._one_talk:
            await self._net.run(self._remote.fetch, name, OWN_REFS + into)
            self._standing.reachable()
        return await self._git.run(self._repository.kept, into)

    async def _poll(self) -> None:
        try:
            heads = await self._heads()
            self.on_heads(heads.references)
            reached(Failpoint.HEADS_HEARD)
            await self._choose_branch(heads)
            self._offered = await self._fetched(heads.branches.get(self._repository.branch))
            self._told = True
        except (Retry, Stalled) as error:
            self._standing.unreachable(str(error))
        else:
            self._standing.reachable()

    async def _heads(self) -> Heads:
        self.asked = self._clock.now()
        sentence = f"{self._remote.url} has not told its branches for {ANSWER_LIMIT:.0f} seconds."
        # A remote that goes on sending, byte by byte, runs into no time-out of the network's.
        late = asyncio.get_running_loop().call_later(ANSWER_LIMIT, self._standing.unreachable, sentence)
        try:
            return await self._net.run(self._remote.heads)
        finally:
            late.cancel()

    async def _fetched(self, theirs: str | None) -> str | None:
        """The remote's newest commit, once it is here."""
        if theirs is None or theirs == self._united == self.seen:
            # What is on our branch is here.
            return theirs
        if await self._git.run(self._repository.has, theirs):
            return theirs
        fetched = self._lineage.fetched
        await self._net.run(self._remote.fetch, self._there, OWN_REFS + fetched)
        reached(Failpoint.FETCHED)
        # Others may have pushed more since the heads were listed, or set the branch back.
        here = await self._git.run(self._repository.kept, fetched)
        if here is None or not await self._git.run(self._repository.has, here):
            raise Retry(f"{self._remote.url} sent nothing of {theirs[:12]}, which it says it has.")
        return here

    async def _push(self) -> None:
        for attempt in range(PUSH_ATTEMPTS):
            head, is_there = await self._git.run(self._newest)
            if head is None or self._standing.compare(has_all=is_there) or not self.may_push():
                return
            if reason := self._standing.reason(CAUSE) or self._standing.reason(TRUST):
                self._standing.stranded(reason)
                return
            failure = await self._try_push(head)
            if failure is None:
                continue
            if not await self._lost_a_race():
                why = self._standing.reason(CAUSE) or self._standing.reason(TRUST) or self._standing.trouble
                self._standing.stranded(why or failure)
                return
            if attempt:
                await sleep(self._clock, random.uniform(0, LONGEST_JITTER))  # noqa: S311 - keeps no secret
        self._standing.stranded("Others push faster than we can join.")

    @property
    def _there(self) -> str:
        """What the branch is called at the remote."""
        return f"refs/heads/{self._repository.branch}"

    async def _choose_branch(self, heads: Heads) -> None:
        default = heads.default
        if not self._follow_default or default is None or default == self._repository.branch:
            return
        if default not in heads.branches:
            return
        if await self._git.run(lambda: self._repository.head) is None:
            await self._git.run(self._repository.switch, default)

    def _unite(self) -> None:
        """In the git thread: bring the remote's commit onto the branch, or say why not."""
        # Read here: a push may have ended since the look began.
        theirs = self._offered
        if theirs is None:
            if absence := self._lineage.absence():
                self._standing.pause(CAUSE, absence)
            return
        if self._stuck == (self._repository.head, theirs):
            return
        if refusal := self._lineage.refusal(theirs):
            self._stand_still(refusal, theirs)
            return
        if self._distrusts(theirs):
            return
        self._lineage.saw(theirs)
        if in_the_way := self._joined(theirs):
            # Only what lies in the folder is in the way: once it is gone, the next look goes on.
            self._standing.pause(CAUSE, _in_the_way(in_the_way, theirs))
            return
        reached(Failpoint.UNITED)
        self._united, self._stuck = theirs, None
        self._standing.resume(CAUSE)

    def _joined(self, theirs: str) -> tuple[str, ...]:
        try:
            return self._branch.unite(theirs, f"Join what was pushed to {self._repository.branch}\n")
        except Paused:
            self._stuck = (self._repository.head, theirs)
            raise

    def _stand_still(self, why: str, theirs: str) -> None:
        self._standing.pause(CAUSE, why)
        self._stuck = (self._repository.head, theirs)

    def _distrusts(self, theirs: str) -> bool:
        """Whether what was pushed is held because of who signed it, or did not."""
        try:
            refusal = self._trust and self._trust.refusal(self._repository, self._repository.head, theirs)
        except VaultloopError as error:
            refusal = str(error)
        if refusal:
            self._standing.pause(TRUST, refusal)
        else:
            self._standing.resume(TRUST)
        return bool(refusal)

    def _newest(self) -> tuple[str | None, bool]:
        """In the git thread: the branch's commit, and whether the remote has it (and perhaps more)."""
        head, seen = self._repository.head, self.seen
        return head, None not in (head, seen) and self._repository.is_ancestor(head or "", seen or "")

    async def _try_push(self, head: str) -> str | None:
        """Push once; None if the remote took it, else its reason."""
        reached(Failpoint.BEFORE_PUSH)
        try:
            await self._net.run(self._remote.push, head, self._there, over=self.seen)
            reached(Failpoint.AFTER_PUSH)
            await self._git.run(self._note_pushed, head)
        except (Retry, Stalled) as error:
            said = str(error)
        except RefusedError as error:
            reached(Failpoint.PUSH_REFUSED)
            said = f"{self._remote.url} did not take the push: {error}."
        else:
            self._standing.reachable()
            return None
        return await self._git.run(refused.explained, said, self._repository, head, self.seen)

    def _note_pushed(self, head: str) -> None:
        self._told, self._offered = True, head
        self._lineage.saw(head)
        self._united = head
        reached(Failpoint.PUSH_NOTED)

    async def _lost_a_race(self) -> bool:
        """After a push that failed: whether somebody else was faster, and theirs is joined now."""
        before = self.seen
        await self._poll()
        with suppress(LockedError):
            await self.take()
        reasons = self._standing.trouble, self._standing.reason(CAUSE), self._standing.reason(TRUST)
        return not any(reasons) and self.seen != before


def _in_the_way(paths: Sequence[str], theirs: str) -> str:
    return (
        f"What was pushed ({theirs[:12]}) cannot be written to the folder: {listed(paths)} holds something"
        " there that is not in the vault. Nothing was changed. If it is staged, commit it; if it is a file"
        " that git ignores, move it away; if a program such as git-crypt stands before it, run git pull in"
        " the folder."
    )
