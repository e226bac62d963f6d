"""Publishing the work of one session: its way into the vault, and what people are told of it."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from vaultloop.aio.clock import sleep
from vaultloop.aio.failpoint import Failpoint, reached
from vaultloop.model.conversation import OWNER, Reply
from vaultloop.model.errors import Retry, Stalled
from vaultloop.model.policy import Policy
from vaultloop.model.visible import visible
from vaultloop.sessions.services import Services, SessionLog
from vaultloop.sessions.sorting import LateGate, Sorted, Sorting
from vaultloop.state.proposals import Draft, Proposal, ProposalState
from vaultloop.state.turns import TurnRecord
from vaultloop.vault.sync.branch import Gate, Integrated, closed
from vaultloop.vault.views.publish import Audit
from vaultloop.vault.views.view import Refusal, View

# How often publishing is tried while another git process is in the way.
PUBLISH_TRIES = 5

# So many paths are named in an answer; the rest is counted.
NAMED = 20

# So many proposals of one scope wait for the owner at once; a session that wrote more is refused them.
MOST_WAITING = 20

# Where the owner is told what others' sessions propose.
OWNERS_CHAT = ("console", OWNER)

# So much of a commit's id is shown; a part of it is enough to name it.
SHOWN = 8

_TOO_MANY = "{} proposals of this scope wait for the owner already"
_CAME_UNDER = "Meanwhile these have become templates, which change only with your consent."
_CHANGED_TOO = "Somebody else changed this at the same time."
_NOT_ANY_MORE = "Since it was written the vault has changed, so that it needs your consent now."

_KEPT = "What it wrote was not published; for a week the owner can publish it: vaultloop sessions restore {}"


def kept_hint(session: str) -> str:
    """Where the work of a session is that was not published."""
    return _KEPT.format(session)


@dataclass(frozen=True, slots=True)
class Published:
    """What became of the changes of one session.

    Attributes:
        commit: what was made of them; None where nothing was to commit.
        refused: what was left out of it.
        parked: files in the folder that are in the way of the commit, so that nothing of it is on the branch.
        look: how that human sees the commit.
        waiting: what waits for the owner; of the commit itself too, if it would change protected paths.
        admitted: protected paths that were changed without asking.
        decides: whether the answer goes to the owner, who decides about what waits.
        joined: how it was joined with what others wrote meanwhile, where that was not plain.
    """

    commit: str | None
    refused: tuple[Refusal, ...] = ()
    parked: tuple[str, ...] = ()
    look: str = ""
    waiting: tuple[Proposal, ...] = ()
    admitted: tuple[str, ...] = ()
    decides: bool = False
    joined: tuple[str, ...] = ()

    @property
    def arrived(self) -> bool:
        """Whether anything of it is in the vault."""
        held = self.parked or self.commit in [proposal.commit for proposal in self.waiting]
        return bool(self.admitted) or (self.commit is not None and not held)

    @property
    def warning(self) -> str:
        """What a reader of the answer has to know first; empty if all of it is in the vault."""
        parts = []
        if self.refused or self.parked or self.waiting:
            parts.append(f"{'Not all' if self.arrived else 'Nothing'} of this is in the vault.")
        if self.refused:
            parts.append(f"Not published:\n{_listed(self.refused)}")
        if self.parked:
            parts.append(
                "Something lies in the folder that is not in the vault, staged or ignored by git, in the way"
                f" of these, so a human has to look:\n{_listed(self.parked)}\n"
                f"What the session made of them: {self.look}"
            )
        if self.joined:
            parts.append(f"Others wrote in the same places meanwhile:\n{_listed(self.joined)}")
        parts += [asked(proposal) if self.decides else _waits(proposal) for proposal in self.waiting]
        return "\n\n".join(parts)


def asked(proposal: Proposal) -> str:
    """What the owner is asked: what people may do more or less, which notes, and how to answer."""
    draft, number = proposal.draft, proposal.number
    return "\n".join(
        (
            f"Proposal {number} waits for you. {draft.reason}".strip(),
            *map(visible, draft.permissions),
            _listed(draft.paths),
            f"Look: vaultloop proposals show {number}",
            f"Take it: /approve {number} {draft.commit[:SHOWN]}   Leave it: /deny {number}",
        )
    )


def _waits(proposal: Proposal) -> str:
    return f"These wait for the owner, as proposal {proposal.number}:\n{_listed(proposal.draft.paths)}"


class Publication:
    """The way of one session's changes into the vault; it may be walked again from any step."""

    def __init__(self, record: TurnRecord, services: Services, log: SessionLog) -> None:
        self._record = record
        self._services = services
        self._log = log

    async def publish(self, view: View, policy: Policy) -> Published:
        """Bring what `policy` grants onto the branch, and what is not for it to decide before the owner.

        Raises:
            Stalled: the view is not what the session was given.
        """
        record, proposals = self._record, self._services.proposals
        if view.revision != record.base:
            raise Stalled("What lies beside the session's folder was changed; nothing is published.", cure="")
        commit = record.commit
        if commit is None and not proposals.of_session(record.id):
            commit = await self._sort_out(view, policy)
        await self._keep()
        integrated = await self._bring_in(commit, view.revision) if commit else None
        for change in proposals.of_session(record.id, (ProposalState.ADMITTED,)):
            await self._bring_admitted(change, policy)
        published = self._published(commit, integrated)
        self._tell_owner(published)
        return published

    def _published(self, commit: str | None, integrated: Integrated | None) -> Published:
        parked = integrated.parked if integrated else ()
        session, proposals = self._record.id, self._services.proposals
        admitted = (p for p in proposals.of_session(session, (ProposalState.ADMITTED,)) if p.result)
        return Published(
            commit,
            tuple(Refusal(path, why) for path, why in proposals.refused(session) or ()),
            parked,
            self._look(commit) if commit and parked else "",
            tuple(proposals.of_session(session, (ProposalState.OPEN,))),
            tuple(path for change in admitted for path in change.draft.paths),
            self._asked_by_owner,
            integrated.notes if integrated else (),
        )

    @property
    def _asked_by_owner(self) -> bool:
        turn, guard = self._record.turn, self._services.guard
        return turn.trigger.kind == "message" and any(guard.is_owners(chat) for _, chat in turn.recipients)

    def _look(self, commit: str) -> str:
        path, state = self._services.sync.repository.path, self._services.state.absolute()
        if path.absolute().is_relative_to(state):
            return f"git --git-dir={path.name} show {commit[:12]} (in the state directory)"
        return f"git show {commit[:12]}"

    async def _sort_out(self, view: View, policy: Policy) -> str | None:
        """Make commits of the changes, and put down what each of them is; returns the one to be published."""
        record, services = self._record, self._services
        audit = Audit(
            session=record.id,
            scope=record.turn.scope,
            trigger=record.turn.trigger,
            policy=record.policy or "",
            model=record.model,
            cost_usd=record.cost_usd,
        )
        now = services.clock.now()
        sorting = Sorting(
            services.sync.repository,
            view,
            policy,
            audit,
            admission=services.admission,
            author=services.author,
            signer=services.signer,
            now=now,
            largest_file=services.sync.largest_file,
        )
        changes = await asyncio.to_thread(view.changes)
        made = await asyncio.to_thread(sorting.result, changes, services.sync.git_from_thread)
        self._put_down(made, now)
        reached(Failpoint.COMMIT_RECORDED)
        return made.commit

    def _put_down(self, made: Sorted, now: datetime) -> None:
        """Before a branch moves: after a crash these commits are brought in, not made a second time."""
        record, proposals = self._record, self._services.proposals
        with self._services.database.transaction():
            if made.commit is not None:
                self._services.turns.record_commit(record.id, made.commit)
            if made.admitted is not None:
                proposals.add(made.admitted, ProposalState.ADMITTED, now)
            refused = list(made.refused)
            for draft in made.proposed:
                if len(proposals.open(draft.scope)) >= MOST_WAITING:
                    refused += [Refusal(path, _TOO_MANY.format(MOST_WAITING)) for path in draft.paths]
                else:
                    proposals.add(draft, ProposalState.OPEN, now)
            proposals.sort_out(record.id, [(refusal.path, refusal.reason) for refusal in refused])

    async def _keep(self) -> None:
        """Hold on to the commits that no branch has."""
        repository = self._services.sync.repository
        for proposal in self._services.proposals.of_session(self._record.id):
            await self._services.sync.git(repository.keep, proposal.reference, proposal.commit)

    async def _bring_in(self, commit: str, base: str) -> Integrated | None:
        """Bring in what may be published; None for what is a proposal by now."""
        proposals, record = self._services.proposals, self._record
        if commit in [proposal.commit for proposal in proposals.of_session(record.id)]:
            return None
        integrated = await self._integrate(commit, closed)
        if protected := tuple(sorted({*integrated.protected, *integrated.contested})):
            draft = Draft(record.id, record.turn.scope, commit, base, protected, _CAME_UNDER)
            proposals.add(draft, ProposalState.OPEN, self._services.clock.now())
            await self._keep()
        return integrated

    async def _bring_admitted(self, change: Proposal, policy: Policy) -> None:
        """Bring in what needs nobody's consent, if that is still so upon what the vault is by now."""
        services, now = self._services, self._services.clock.now()
        repository = services.sync.repository
        gate = LateGate(repository, services.admission, policy, now)
        integrated = await self._integrate(change.commit, gate)
        if not integrated.parked and not integrated.protected and not integrated.contested:
            services.proposals.arrived(change.number, change.commit, now)
            return
        draft = change.draft
        permissions = await services.sync.git(
            lambda: services.admission.permissions(
                repository.files(draft.base), repository.files(draft.commit)
            )
        )
        reason = _CHANGED_TOO if integrated.parked or integrated.contested else _NOT_ANY_MORE
        services.proposals.open_up(change.number, reason, permissions, now)

    def _tell_owner(self, published: Published) -> None:
        """Of each proposal once: in the answer if they asked for this work, else in their own chat."""
        services, now = self._services, self._services.clock.now()
        if published.decides or not published.waiting:
            return
        for proposal in published.waiting:
            draft = proposal.draft
            said = f"{asked(proposal)}\n(From the scope {draft.scope}, session {draft.session}.)"
            services.outbox.put(Reply(f"proposal/{proposal.number}", *OWNERS_CHAT, said), now)
        services.on_owed()

    async def _integrate(self, commit: str, gate: Gate) -> Integrated:
        """Onto the branch, and on its way to the remote."""
        for left in reversed(range(PUBLISH_TRIES)):
            try:
                integrated = await self._services.sync.integrate(commit, gate=gate)
                break
            except Retry as error:
                if not left:
                    raise
                self._log.info("publishing waits: %s", error)
                await sleep(self._services.clock, error.after)
        else:
            raise AssertionError("the last try returns or raises")
        held = integrated.protected or integrated.contested
        done = "parked" if integrated.parked else "held" if held else "published"
        self._log.info("%s %s", done, commit[:12], extra={"commit": commit})
        self._services.on_published()
        return integrated


async def restore(session: str, services: Services) -> str:
    """Publish what was kept of a session that ended without publishing; says what came of it.

    Raises:
        Stalled: nothing is kept of it, or nothing of it could be published; then it is still kept.
        Denied: its scope is not in force any more.
    """
    record, view = services.turns.get(session), services.views.kept(session)
    if record is None or view is None:
        raise Stalled(
            f"Nothing is kept of session {session}.",
            cure="`vaultloop sessions` lists sessions; what they wrote is kept for a week.",
        )
    policy = services.guard.policy(record.turn.scope)
    log = SessionLog.of(session, logging.getLogger(__name__))
    published = await Publication(record, services, log).publish(view, policy)
    if published.warning and not published.arrived and not published.waiting:
        raise Stalled(published.warning, cure="\n\nIt is still kept.")
    said = _said(published)
    why = record.detail.removesuffix(kept_hint(session)).strip()
    services.turns.amend(session, " ".join(part for part in (why, said, published.warning) if part))
    await asyncio.to_thread(services.views.discard, view)
    return "\n\n".join(part for part in (published.warning, said) if part)


def _said(published: Published) -> str:
    if published.commit and published.arrived:
        return f"Published as {published.commit[:12]}."
    if published.admitted:
        return f"Changed without asking:\n{_listed(published.admitted)}"
    return "" if published.waiting else "There was nothing to publish."


def _listed(things: Sequence[Any]) -> str:
    lines = [f"- {visible(str(thing))}" for thing in things[:NAMED]]
    if len(things) > NAMED:
        lines.append(f"- and {len(things) - NAMED} more")
    return "\n".join(lines)
