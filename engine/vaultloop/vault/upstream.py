"""The branch and its remote: what is there is taken, what is here is pushed, nothing is overwritten."""

import asyncio
import hashlib
import logging
import random
from collections.abc import Sequence
from contextlib import suppress

from vaultloop.aio.clock import Clock, sleep
from vaultloop.aio.failpoint import Failpoint, reached
from vaultloop.aio.worker import Worker
from vaultloop.model.errors import Retry, Stalled, VaultloopError
from vaultloop.vault.branch import Branch, UnsettledError, listed
from vaultloop.vault.index import LockedError
from vaultloop.vault.remote import Heads, RefusedError, Remote
from vaultloop.vault.repository import OWN_REFS
from vaultloop.vault.standing import Standing

log = logging.getLogger(__name__)

# A push that loses the race against others is tried so often, after at most so many seconds each time.
PUSH_ATTEMPTS = 6
LONGEST_JITTER = 1.0

# Seconds until a remote that has not told its branches in full is trouble.
ANSWER_LIMIT = 60.0

# The word for what makes sync stand still here.
CAUSE = "remote"


class Upstream:
    """One branch's remote. `poll` and `push` talk to it, one at a time; `take` never waits for them.

    Attributes:
        seen: the remote's newest commit that we know of.
    """

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
    ) -> None:
        """`follow_default`: an unborn branch takes the name of the remote's default one."""
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
        self.seen: str | None = None

    async def recall(self) -> None:
        """Remember, after a restart, what the remote had."""
        self.seen = await self._git.run(self._repository.kept, self._tracking)

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

    async def _poll(self) -> None:
        try:
            heads = await self._heads()
            await self._choose_branch(heads)
            self._offered = await self._fetched(heads.branches.get(self._repository.branch))
            self._told = True
        except (Retry, Stalled) as error:
            self._standing.unreachable(str(error))
        else:
            self._standing.reachable()

    async def _heads(self) -> Heads:
        asked = asyncio.ensure_future(self._net.run(self._remote.heads))
        try:
            # A remote that goes on sending, byte by byte, runs into no time-out of the network's.
            await asyncio.wait({asked}, timeout=ANSWER_LIMIT)
            if not asked.done():
                self._standing.unreachable(
                    f"{self._remote.url} has not told its branches for {ANSWER_LIMIT:.0f} seconds."
                )
            return await asked
        finally:
            asked.cancel()

    async def _fetched(self, theirs: str | None) -> str | None:
        """The remote's newest commit, once it is here."""
        if theirs is None or await self._git.run(self._repository.has, theirs):
            return theirs
        fetched = f"fetched/{self._tracking}"
        await self._net.run(self._remote.fetch, self._there, OWN_REFS + fetched)
        # Others may have pushed more since the heads were listed.
        return await self._git.run(self._repository.kept, fetched) or theirs

    async def _push(self) -> None:
        for attempt in range(PUSH_ATTEMPTS):
            head = await self._git.run(lambda: self._repository.head)
            if head is None or self._standing.compare(head, self.seen):
                return
            if reason := self._standing.reason(CAUSE):
                self._standing.stranded(reason)
                return
            failure = await self._try_push(head)
            if failure is None:
                continue
            if not await self._lost_a_race():
                self._standing.stranded(self._standing.reason(CAUSE) or self._standing.trouble or failure)
                return
            if attempt:
                await sleep(self._clock, random.uniform(0, LONGEST_JITTER))  # noqa: S311 - keeps no secret
        self._standing.stranded("Others push faster than we can join.")

    @property
    def _there(self) -> str:
        """What the branch is called at the remote."""
        return f"refs/heads/{self._repository.branch}"

    @property
    def _tracking(self) -> str:
        # By address: what one remote had says nothing of another.
        key = hashlib.sha256(self._remote.url.encode()).hexdigest()[:16]
        return f"remote/{key}/{self._repository.branch}"

    async def _choose_branch(self, heads: Heads) -> None:
        default = heads.default
        if not self._follow_default or default is None or default == self._repository.branch:
            return
        if default not in heads.branches:
            return
        if await self._git.run(lambda: self._repository.head) is None:
            await self._git.run(self._repository.switch, default)

    def _note_absence(self) -> None:
        if self.seen is not None:
            branch, rescue = self._repository.branch, f"rescue/{self.seen}"
            if self._repository.kept(rescue) is None:
                self._repository.keep(rescue, self.seen)
            self._standing.pause(
                CAUSE,
                f"The branch {branch} is gone from {self._remote.url}. The vault is kept here, at"
                f" {self.seen[:12]} ({OWN_REFS}{rescue}), and nothing is pushed."
                " Push that branch there again.",
            )

    def _unite(self) -> None:
        """In the git thread: bring the remote's commit onto the branch, or say why not."""
        # Read here: a push may have ended since the look began.
        theirs = self._offered
        if theirs is None:
            self._note_absence()
            return
        if self._stuck == (self._repository.head, theirs):
            return
        if (refusal := self._refusal(theirs)) is None:
            self._repository.keep(self._tracking, theirs)
            self.seen = theirs
            conflicts = self._branch.unite(theirs, f"Join what was pushed to {self._repository.branch}\n")
            if not conflicts:
                self._united, self._stuck = theirs, None
                self._standing.resume(CAUSE)
                return
            if not self._branch.conflicts(theirs):
                # Only what lies in the folder is in the way: once it is gone, the next look goes on.
                self._standing.pause(CAUSE, _in_the_way(conflicts, theirs))
                return
            refusal = _conflict(conflicts, theirs, self._tracking)
        self._standing.pause(CAUSE, refusal)
        self._stuck = (self._repository.head, theirs)

    def _refusal(self, theirs: str) -> str | None:
        """Why the remote's commit cannot be what comes after the one we saw last; None if it can."""
        branch, url, seen = self._repository.branch, self._remote.url, self.seen
        if seen and not self._repository.is_ancestor(seen, theirs):
            self._repository.keep(f"rescue/{seen}", seen)
            return (
                f"The history of {branch} at {url} was rewritten: {theirs[:12]} does not descend from"
                f" {seen[:12]}. Nothing is taken or pushed; the old history is kept under"
                f" {OWN_REFS}rescue/{seen}. Push the old history there again, or a merge of both"
                f" (git merge {seen[:12]})."
            )
        if seen is None and not self._branch.may_meet(theirs):
            return (
                f"{url} holds another vault: its branch {branch} has no commit in common with the one here."
                " Nothing was changed. Correct the remote setting, or use a new state directory."
            )
        return None

    async def _try_push(self, head: str) -> str | None:
        """Push once; None if the remote took it, else its reason."""
        reached(Failpoint.BEFORE_PUSH)
        try:
            await self._net.run(self._remote.push, head, self._there, over=self.seen)
            reached(Failpoint.AFTER_PUSH)
            await self._git.run(self._note_pushed, head)
        except (Retry, Stalled) as error:
            return str(error)
        except RefusedError as error:
            return f"{self._remote.url} did not take the push: {error}."
        self._standing.reachable()
        return None

    def _note_pushed(self, head: str) -> None:
        self._told, self._offered = True, head
        self._repository.keep(self._tracking, head)
        self.seen = self._united = head

    async def _lost_a_race(self) -> bool:
        """After a push that failed: whether somebody else was faster, and theirs is joined now."""
        before = self.seen
        await self._poll()
        with suppress(LockedError):
            await self.take()
        joined = self._standing.trouble is None and self._standing.reason(CAUSE) is None
        return joined and self.seen != before


def _in_the_way(paths: Sequence[str], theirs: str) -> str:
    return (
        f"What was pushed ({theirs[:12]}) cannot be written to the folder: {listed(paths)} holds something"
        " there that is not in the vault. Nothing was changed. If it is staged, commit it; if it is a file"
        " that git ignores, move it away."
    )


def _conflict(paths: Sequence[str], theirs: str, tracking: str) -> str:
    return (
        f"Here and at the remote, {listed(paths)} changed in different ways. Sync with the remote is paused"
        f" and nothing is lost: the vault goes on with the version here, the remote's is {theirs[:12]} (kept"
        f" under {OWN_REFS}{tracking}). Undo the change on one side, or make both sides the same, and it goes"
        " on by itself."
    )
