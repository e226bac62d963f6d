"""One turn, from its lease to its outcome; each step is recorded before the next one begins.

    queued -> (view leased) running -> (agent ended) answered -> (commit on the branch) published -> ended

A turn goes on from whatever the record says, so a restart needs no other code than a start: only a run that
was cut off is looked at first (`recover`).
"""

import asyncio
import logging
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vaultloop.aio.clock import Clock, sleep
from vaultloop.aio.failpoint import Failpoint, reached
from vaultloop.model.cell import Cell, Result, Run, Runner, Task
from vaultloop.model.component import Contributor, Guard
from vaultloop.model.conversation import AgentDefaults, Outcome, Reply
from vaultloop.model.errors import Denied, Retry, Stalled, VaultloopError
from vaultloop.model.policy import Audience, Policy
from vaultloop.model.status import Confinement
from vaultloop.sessions.prompt import instructions
from vaultloop.state.database import Database
from vaultloop.state.inbox import Inbox
from vaultloop.state.outbox import Outbox
from vaultloop.state.turns import TurnRecord, Turns, TurnState
from vaultloop.vault.publish import Audit, Selection, select, write_commit
from vaultloop.vault.repository import Identity
from vaultloop.vault.signing import Signer
from vaultloop.vault.sync import Sync
from vaultloop.vault.view import Refusal, View
from vaultloop.vault.views import Views

# All that a program in a cell gets of the engine's own environment.
INHERITED = ("PATH", "LANG", "TZ")

# In whose name the engine commits for a session; who it really was, its signature says.
AUTHOR = Identity("Vaultloop", "vaultloop@localhost")

# How often publishing is tried while another git process is in the way.
PUBLISH_TRIES = 5


class SessionLog(logging.LoggerAdapter[logging.Logger]):
    """Every line of a session names it, and says so when nothing holds its process in."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        extra = dict(self.extra or {})
        mark = "UNCONFINED " if extra["confinement"] == Confinement.UNCONFINED else ""
        return f"{mark}session {extra['session']}: {msg}", {**kwargs, "extra": extra}


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What sessions work with.

    Attributes:
        state: the state directory; views and homes lie in it.
        author: in whose name commits for sessions are made.
        author: in whose name the engine commits for a session; who it really was, its signature says.
        runner: the agent program that the defaults note chose.
        on_published: rings the bell of the state flow; called after a commit came onto the branch.
        on_owed: there is a new reply in the outbox.
        environment: of the engine; next to nothing of it reaches a session.
    """

    state: Path
    database: Database
    sync: Sync
    signer: Signer
    author: Identity = AUTHOR
    guard: Guard
    contributors: Sequence[Contributor]
    runner: Callable[[AgentDefaults], Runner]
    confinement: Confinement
    clock: Clock
    on_published: Callable[[], None]
    on_owed: Callable[[], None]
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @property
    def turns(self) -> Turns:
        return Turns(self.database)

    @property
    def inbox(self) -> Inbox:
        return Inbox(self.database)

    @property
    def outbox(self) -> Outbox:
        return Outbox(self.database)

    @property
    def views(self) -> Views:
        return Views(self.state)

    @property
    def cells(self) -> Path:
        """Where homes and scratch folders of running sessions lie."""
        return self.state.absolute() / "cells"

    def sweep_cells(self) -> None:
        """Remove homes that a crash left behind."""
        shutil.rmtree(self.cells, ignore_errors=True)


class Session:
    """The work on one turn."""

    def __init__(self, turn_id: str, services: Services, defaults: AgentDefaults) -> None:
        self._id = turn_id
        self._services = services
        self._turns = services.turns
        self._defaults = defaults
        self._stop: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        extra = {"session": turn_id, "confinement": services.confinement}
        self._log = SessionLog(logging.getLogger(__name__), extra)

    def stop(self, outcome: Outcome) -> None:
        """End it with `outcome` unless its agent has answered already."""
        if not self._stop.done():
            self._stop.set_result(outcome)

    async def run(self) -> None:
        """Bring the turn to its outcome from wherever it is."""
        try:
            if self._record.state is TurnState.QUEUED:
                await self._work()
            if self._record.state is TurnState.ANSWERED:
                await self._publish()
            if self._record.state is TurnState.PUBLISHED:
                self._finish()
        except VaultloopError as error:
            await self.give_up(Outcome.FAILED, str(error))
        except Exception as error:
            self._log.exception("an error inside the engine")
            await self.give_up(
                Outcome.FAILED, f"There was an error inside the engine ({type(error).__name__}); see its log."
            )

    async def recover(self) -> None:
        """Decide about a run that a crash or a stop of the engine cut off."""
        if self._record.acted:
            self._log.warning("was interrupted and may have acted: not run again by itself")
            await self.give_up(Outcome.INTERRUPTED)
        else:
            self._log.info("was interrupted before it acted: it is run again")
            self._turns.requeue(self._id)

    @property
    def _record(self) -> TurnRecord:
        record = self._turns.get(self._id)
        assert record is not None, "a session is made for a turn that exists"
        return record

    # From queued to answered

    async def _work(self) -> None:
        try:
            policy = self._admitted()
        except Denied as error:
            self._end(Outcome.REFUSED, str(error), str(error))
            return
        view, told = await self._lease(policy)
        reached(Failpoint.VIEW_LEASED)
        now = self._services.clock.now()
        self._turns.begin(self._id, policy=policy.id, base=view.revision, view=str(view.home), now=now)
        reached(Failpoint.SESSION_STARTED)
        self._log.info("started for %s under scope %s", self._record.turn.trigger, policy.scope)
        match await self._ask(policy, view, told):
            case Outcome() as outcome:
                await self.give_up(outcome)
            case Result(ok=True) as result:
                self._turns.answer(self._id, result.text)
                reached(Failpoint.ANSWER_RECORDED)
            case result:
                # What a program complains of is for the owner; strangers only hear that it failed.
                told_all = policy.audience in (Audience.OWNER, Audience.CRON)
                await self.give_up(Outcome.FAILED, result.text, said=result.text if told_all else "")

    def _admitted(self) -> Policy:
        """The policy of the turn, if everybody who asked may still ask."""
        record = self._record
        for message in self._services.inbox.of_turn(self._id):
            if self._services.guard.admit(message).scope != record.turn.scope:
                raise Denied("The scope of this chat changed after this was asked. Ask again.")
        return self._services.guard.policy(record.turn.scope)

    async def _lease(self, policy: Policy) -> tuple[View, str]:
        """A view of the newest revision, and what its session is told; made in the git thread."""
        services = self._services

        def lease() -> tuple[View, str]:
            repository = services.sync.repository
            if repository.head is None:
                raise Stalled("The vault is empty.", cure="Commit a note, or run `vaultloop init`.")
            files = repository.files(repository.head)
            return services.views.lease(files, policy), instructions(policy, files, services.contributors)

        return await services.sync.git(lease)

    async def _ask(self, policy: Policy, view: View, told: str) -> Result | Outcome:
        runner = self._services.runner(self._defaults)
        task = Task(session=self._id, prompt=self._record.turn.prompt, instructions=told)
        if self._stop.done():
            return self._stop.result()
        if not runner.reports_tool_use:
            # Before the start: once it runs, nobody can tell any more what it did.
            self._turns.mark_acted(self._id)
        try:
            with self._cell(view, policy) as cell:
                async with runner.spawn(task, cell) as run:
                    reached(Failpoint.PROCESS_SPAWNED)
                    self._log.debug("runs as process %d", run.pid)
                    ending = await self._attend(run, policy)
        except Stalled as error:
            return Result(ok=False, text=str(error))
        reached(Failpoint.PROCESS_ENDED)
        return ending

    async def _attend(self, run: Run, policy: Policy) -> Result | Outcome:
        """Follow a run until it ends, somebody stops it, or its time is up."""
        clock = self._services.clock
        following = asyncio.create_task(self._follow(run), name=f"events of session {self._id}")
        limit = asyncio.create_task(clock.sleep_until(clock.now() + policy.stop_after), name="stop-after")
        try:
            ends: set[asyncio.Future[Any]] = {following, limit, self._stop}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if following.done():
                return following.result()
            outcome = self._stop.result() if self._stop.done() else Outcome.TIMED_OUT
            self._log.info("is stopped: %s", outcome)
            await run.interrupt()
            return outcome
        finally:
            for task in (following, limit):
                task.cancel()
            await asyncio.gather(following, limit, return_exceptions=True)

    async def _follow(self, run: Run) -> Result:
        async for use in run.events():
            if not use.reads_only:
                self._turns.mark_acted(self._id)
        result = await run.result()
        self._turns.account(self._id, model=result.model, cost_usd=result.cost_usd)
        return result

    @contextmanager
    def _cell(self, view: View, policy: Policy) -> Iterator[Cell]:
        """A home and a scratch folder that nothing else ever uses, and next to nothing of our environment."""
        services = self._services
        place = services.cells / secrets.token_urlsafe(18)
        home, scratch = place / "home", place / "tmp"
        for folder in (home, scratch):
            folder.mkdir(mode=0o700, parents=True)
        inherited = {name: services.environment[name] for name in INHERITED if name in services.environment}
        environment = {"LANG": "C.UTF-8", **inherited, "HOME": str(home), "TMPDIR": str(scratch)}
        try:
            yield Cell(view.folder, home, scratch, environment, policy)
        finally:
            shutil.rmtree(place, ignore_errors=True)

    # From answered to ended

    async def _publish(self) -> None:
        record = self._record
        view = self._services.views.reopen(Path(record.view or ""))
        if view is None:
            raise Stalled("The folder in which the session worked is gone; its changes are lost.", cure="")
        policy = self._services.guard.policy(record.turn.scope)
        detail = await Publication(record, self._services, self._log).publish(view, policy)
        self._turns.publish(self._id, detail)
        reached(Failpoint.PUBLISH_RECORDED)
        await asyncio.to_thread(self._services.views.give_back, view, record.turn.scope)

    def _finish(self) -> None:
        record = self._record
        text = "\n\n".join(part for part in (record.reply, record.detail) if part)
        if not text and record.turn.trigger.kind == "message":
            text = "Done. (There was nothing to say.)"
        self._end(Outcome.DONE, text, record.detail)

    async def give_up(self, outcome: Outcome, why: str = "", *, said: str | None = None) -> None:
        """End it without publishing; what it wrote is kept for a while.

        `why` goes on the record; `said` is told instead where it is given.
        """
        record = self._record
        hint = _KEPT.format(record.id) if await self._set_aside(record) else ""
        told = (why if said is None else said) or _SENTENCES[outcome]
        # An answer that is there is told, even if what belongs to it could not be published.
        text = "\n\n".join(part for part in (record.reply, f"{told} {hint}".strip()) if part)
        detail = f"{why or _SENTENCES[outcome]} {hint}".strip()
        self._end(outcome, "" if outcome is Outcome.REPLACED else text, detail)

    async def _set_aside(self, record: TurnRecord) -> bool:
        """Keep the view of a session that is not published, if there is anything in it to keep."""
        views = self._services.views
        view = views.reopen(Path(record.view)) if record.view else None
        if view is None:
            # Perhaps a crash came after it was set aside and before the outcome.
            return views.kept(record.id) is not None
        changed = bool(await asyncio.to_thread(view.changes))
        if changed:
            views.keep(view, record.id, self._services.clock.now())
        else:
            await asyncio.to_thread(views.give_back, view, record.turn.scope)
        return changed

    def _end(self, outcome: Outcome, text: str, detail: str) -> None:
        """The outcome and the last word, both or none."""
        now = self._services.clock.now()
        with self._services.database.transaction():
            if (chat := self._record.turn.reply_to) and text:
                self._services.outbox.put(Reply(self._id, *chat, text), now)
                reached(Failpoint.REPLY_QUEUED)
            self._turns.end(self._id, outcome, now, detail)
        reached(Failpoint.OUTCOME_RECORDED)
        self._log.info("ended: %s", outcome)
        self._services.on_owed()


class Publication:
    """The way of one session's changes into the vault; it may be walked again from any step."""

    def __init__(self, record: TurnRecord, services: Services, log: SessionLog) -> None:
        self._record = record
        self._services = services
        self._log = log

    async def publish(self, view: View, policy: Policy) -> str:
        """Bring what `policy` grants onto the branch; says, for people, what was left out."""
        selection = select(await asyncio.to_thread(view.changes), policy)
        refused = list(selection.refused)
        parked: tuple[str, ...] = ()
        commit = self._record.commit
        if commit is None and selection.paths:
            commit, refused_late = await self._write(view, selection)
            refused += refused_late
        if commit is not None:
            parked = await self._integrate(commit)
        return _left_out(refused, parked)

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
        self._log.info("published %s", commit[:12], extra={"commit": commit})
        self._services.on_published()
        return integrated.parked


async def restore(session: str, services: Services) -> str:
    """Publish what was kept of a session that ended without publishing; says what came of it.

    Raises:
        Stalled: nothing is kept of it.
        Denied: its scope is not in force any more.
    """
    record, view = services.turns.get(session), services.views.kept(session)
    if record is None or view is None:
        raise Stalled(
            f"Nothing is kept of session {session}.",
            cure="`vaultloop sessions` lists sessions; what they wrote is kept for a week.",
        )
    policy = services.guard.policy(record.turn.scope)
    log = SessionLog(logging.getLogger(__name__), {"session": session, "confinement": services.confinement})
    left_out = await Publication(record, services, log).publish(view, policy)
    await asyncio.to_thread(services.views.discard, view)
    again = services.turns.get(session)
    commit = again.commit if again else None
    said = f"Published as {commit[:12]}." if commit else "There was nothing to publish."
    return "\n\n".join(part for part in (said, left_out) if part)


_KEPT = "What it wrote was not published; for a week the owner can publish it: vaultloop sessions restore {}"

_SENTENCES = {
    Outcome.FAILED: "That did not work.",
    Outcome.INTERRUPTED: "The engine was stopped while it worked on this. Send /retry to run it again.",
    Outcome.CANCELLED: "Cancelled.",
    Outcome.TIMED_OUT: "It took longer than `stop-after` allows and was stopped.",
    Outcome.REPLACED: "A newer run took its place.",
}


def _left_out(refused: Sequence[Refusal], parked: Sequence[str]) -> str:
    parts = []
    if refused:
        parts.append("Not published:\n" + "\n".join(f"- {refusal}" for refusal in refused))
    if parked:
        paths = "\n".join(f"- {path}" for path in parked)
        parts.append(f"Somebody else changed these at the same time, so a human has to look:\n{paths}")
    return "\n\n".join(parts)
