"""The owner's word on proposals: approved ones are merged by a commit that says whose act it was."""

import asyncio
import logging
import re
from collections.abc import Callable

from vaultloop.aio.clock import Clock
from vaultloop.model.errors import Retry, Stalled
from vaultloop.sessions.publication import asked
from vaultloop.state.proposals import Proposal, Proposals, ProposalState
from vaultloop.vault.sync.branch import Integrated
from vaultloop.vault.sync.sync import Sync

log = logging.getLogger(__name__)

# Digits of a commit's id below which it names no commit in particular.
FEWEST_DIGITS = 4

_SETTLED = {
    ProposalState.APPROVED: "was approved already",
    ProposalState.DENIED: "was denied already",
    ProposalState.SUPERSEDED: "was superseded by a newer one",
    ProposalState.STALE: "cannot be taken any more",
    ProposalState.ADMITTED: "needed nobody's consent",
}


class Approvals:
    """Decides about proposals, one decision at a time. Doing the same twice changes nothing."""

    def __init__(
        self, proposals: Proposals, sync: Sync, clock: Clock, on_published: Callable[[], None]
    ) -> None:
        """`on_published` is called after one came onto the branch."""
        self._proposals, self._sync, self._clock = proposals, sync, clock
        self._on_published = on_published
        # A merge takes a while: the other answer, given meanwhile, must find it decided.
        self._deciding = asyncio.Lock()

    def listing(self) -> str:
        """What waits for the owner, for a chat."""
        waiting = self._proposals.open()
        return "\n\n".join(map(asked, waiting)) or "No proposal waits."

    async def approve(self, number: int, commit: str, by: str) -> str:
        """Merge a proposal that the owner has seen as `commit`, in the name of `by`; says what came of it.

        `commit` may be shortened to its first digits.

        Raises:
            Stalled: no such proposal is open, it is another commit, or it conflicts and stays open.
        """
        async with self._deciding:
            return await self._approve(number, commit, by)

    async def _approve(self, number: int, commit: str, by: str) -> str:
        proposal = self._open(number)
        self._check_shown(proposal, commit)
        if why := await self._sync.git(self._lost, proposal):
            self._settle(proposal, ProposalState.STALE, why)
            raise Stalled(f"Proposal {number} cannot be taken any more: {why}.", cure="")
        integrated = await self._merged(proposal, by)
        if in_the_way := integrated.parked or integrated.contested:
            paths = ", ".join(in_the_way)
            raise Stalled(
                f"Proposal {number} cannot be merged: {paths} changed in another way since it was made."
                " Nothing was changed, and it stays open.",
                cure=f"Edit these notes yourself, and deny it: /deny {number}.",
            )
        recorded = self._settle(proposal, ProposalState.APPROVED, by, integrated.revision)
        self._on_published()
        if not recorded:
            raise self._settled_meanwhile(number, integrated.revision)
        log.info("proposal %d is approved by %s", number, by)
        return f"Proposal {number} is approved, and in the vault as {integrated.revision[:12]}."

    async def deny(self, number: int, by: str) -> str:
        """Leave a proposal; its commit is kept. Says so.

        Raises:
            Stalled: there is no such open proposal, or it is in the vault already, and so was approved.
        """
        async with self._deciding:
            proposal = self._open(number)
            if head := await self._sync.git(self._taken_in, proposal):
                # A crash came between the merge and the record of it.
                self._settle(proposal, ProposalState.APPROVED, by, head)
                self._on_published()
                raise Stalled(
                    f"Proposal {number} was approved before, and is in the vault. Nothing is denied.",
                    cure="If you do not want it any more, change these notes yourself.",
                )
            if not self._settle(proposal, ProposalState.DENIED, by):
                self._open(number)
            log.info("proposal %d is denied by %s", number, by)
            return f"Proposal {number} is denied; nothing of it is in the vault."

    def _taken_in(self, proposal: Proposal) -> str | None:
        """The newest commit, if that holds the proposal's."""
        head = self._sync.repository.head
        return head if head and self._sync.repository.is_ancestor(proposal.commit, head) else None

    def _settled_meanwhile(self, number: int, revision: str) -> Stalled:
        found = self._proposals.get(number)
        state = _SETTLED.get(found.state, "is open") if found else "is gone"
        return Stalled(
            f"Proposal {number} {state} while it was merged, and is in the vault as {revision[:12]}.",
            cure="Look at these notes, and change them yourself if you do not want them so.",
        )

    def _lost(self, proposal: Proposal) -> str:
        """Why its commit is no change of this vault any more; empty if it is one."""
        repository, draft = self._sync.repository, proposal.draft
        if not repository.has(draft.commit):
            return "its commit is not in the repository"
        head = repository.head
        if head is None or not repository.is_ancestor(draft.base, head):
            # Merging it would bring back more than what was shown.
            return "the history that it was made upon was rewritten"
        return ""

    async def _merged(self, proposal: Proposal, by: str) -> Integrated:
        message = (
            f"Approve proposal {proposal.number} of the scope {proposal.draft.scope}\n\n"
            f"Proposal: {proposal.number}\nSession: {proposal.draft.session}\nApproved-By: {by}\n"
        )
        try:
            return await self._sync.approve(proposal.commit, message)
        except Retry as error:
            raise Stalled(str(error), cure="Nothing was changed. Approve it again in a moment.") from error

    def _open(self, number: int) -> Proposal:
        proposal = self._proposals.get(number)
        if proposal is None:
            raise Stalled(f"There is no proposal {number}.", cure="`vaultloop proposals` lists them.")
        if not proposal.is_open:
            raise Stalled(f"Proposal {number} {_SETTLED[proposal.state]}.", cure="")
        return proposal

    @staticmethod
    def _check_shown(proposal: Proposal, commit: str) -> None:
        digits = commit.strip().lower()
        if re.fullmatch(rf"[0-9a-f]{{{FEWEST_DIGITS},40}}", digits) and proposal.commit.startswith(digits):
            return
        raise Stalled(
            f"Proposal {proposal.number} is not `{commit}`.",
            cure=f"Look (vaultloop proposals show {proposal.number}) and name the commit that is shown.",
        )

    def _settle(self, proposal: Proposal, state: ProposalState, by: str, result: str | None = None) -> bool:
        """False, and nothing done, if it is decided already."""
        return self._proposals.settle(proposal.number, state, by, self._clock.now(), result)
