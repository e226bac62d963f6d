"""Publishing the work of one session: its way into the vault, and what people are told of it."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vaultloop.aio.clock import sleep
from vaultloop.aio.failpoint import Failpoint, reached
from vaultloop.model.errors import Retry, Stalled
from vaultloop.model.policy import Policy
from vaultloop.sessions.services import Services, SessionLog
from vaultloop.state.turns import TurnRecord
from vaultloop.vault.publish import Audit, Selection, select, write_commit
from vaultloop.vault.view import Refusal, View

# How often publishing is tried while another git process is in the way.
PUBLISH_TRIES = 5

# So many paths are named in an answer; the rest is counted.
NAMED = 20

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
        parked: the paths because of which the commit waits for a human, and nothing of it is on the branch.
        look: how that human sees the commit.
    """

    commit: str | None
    refused: tuple[Refusal, ...] = ()
    parked: tuple[str, ...] = ()
    look: str = ""

    @property
    def arrived(self) -> bool:
        """Whether anything of it is in the vault."""
        return self.commit is not None and not self.parked

    @property
    def warning(self) -> str:
        """What a reader of the answer has to know first; empty if all of it is in the vault."""
        if not self.refused and not self.parked:
            return ""
        parts = [f"{'Not all' if self.arrived else 'Nothing'} of this is in the vault."]
        if self.refused:
            parts.append(f"Not published:\n{_listed(self.refused)}")
        if self.parked:
            parts.append(
                "Somebody else changed these at the same time, so a human has to look:\n"
                f"{_listed(self.parked)}\nWhat the session made of them: {self.look}"
            )
        return "\n\n".join(parts)


class Publication:
    """The way of one session's changes into the vault; it may be walked again from any step."""

    def __init__(self, record: TurnRecord, services: Services, log: SessionLog) -> None:
        self._record = record
        self._services = services
        self._log = log

    async def publish(self, view: View, policy: Policy) -> Published:
        """Bring what `policy` grants onto the branch.

        Raises:
            Stalled: the view is not what the session was given.
        """
        if view.revision != self._record.base:
            raise Stalled("What lies beside the session's folder was changed; nothing is published.", cure="")
        selection = select(await asyncio.to_thread(view.changes), policy)
        refused = selection.refused
        commit = self._record.commit
        if commit is None and selection.paths:
            commit, refused_late = await self._write(view, selection)
            refused += refused_late
        parked = () if commit is None else await self._integrate(commit)
        return Published(commit, refused, parked, self._look(commit) if commit and parked else "")

    def _look(self, commit: str) -> str:
        path, state = self._services.sync.repository.path, self._services.state.absolute()
        if path.absolute().is_relative_to(state):
            return f"git --git-dir={path.name} show {commit[:12]} (in the state directory)"
        return f"git show {commit[:12]}"

    async def _write(self, view: View, selection: Selection) -> tuple[str | None, tuple[Refusal, ...]]:
        record, services = self._record, self._services
        audit = Audit(
            session=record.id,
            scope=record.turn.scope,
            trigger=record.turn.trigger,
            policy=record.policy or "",
            model=record.model,
            cost_usd=record.cost_usd,
        )
        written = await services.sync.git(
            lambda: write_commit(
                services.sync.repository,
                view,
                selection,
                audit,
                author=services.author,
                signer=services.signer,
                at=services.clock.now(),
            )
        )
        if written.commit is not None:
            # Before a branch moves: after a crash this commit is brought in, not made a second time.
            services.turns.record_commit(record.id, written.commit)
            reached(Failpoint.COMMIT_RECORDED)
        return written.commit, written.refused

    async def _integrate(self, commit: str) -> tuple[str, ...]:
        """Onto the branch, and on its way to the remote; the paths that have to wait for a human."""
        for left in reversed(range(PUBLISH_TRIES)):
            try:
                integrated = await self._services.sync.integrate(commit)
                break
            except Retry as error:
                if not left:
                    raise
                self._log.info("publishing waits: %s", error)
                await sleep(self._services.clock, error.after)
        else:
            raise AssertionError("the last try returns or raises")
        done = "parked" if integrated.parked else "published"
        self._log.info("%s %s", done, commit[:12], extra={"commit": commit})
        self._services.on_published()
        return integrated.parked


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
    if published.warning and not published.arrived:
        raise Stalled(published.warning, cure="\n\nIt is still kept.")
    said = f"Published as {published.commit[:12]}." if published.commit else "There was nothing to publish."
    why = record.detail.removesuffix(kept_hint(session)).strip()
    services.turns.amend(session, " ".join(part for part in (why, said, published.warning) if part))
    await asyncio.to_thread(services.views.discard, view)
    return "\n\n".join(part for part in (published.warning, said) if part)


def _listed(things: Sequence[Any]) -> str:
    lines = [f"- {thing}" for thing in things[:NAMED]]
    if len(things) > NAMED:
        lines.append(f"- and {len(things) - NAMED} more")
    return "\n".join(lines)
