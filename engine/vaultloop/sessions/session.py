"""One turn, from its lease to its outcome; each step is recorded before the next one begins.

    queued -> (view leased) running -> (agent ended) answered -> (commit on the branch) published -> ended

A turn goes on from whatever the record says, so a restart needs no other code than a start: only a run that
was cut off is looked at first (`recover`).
"""

import asyncio
import logging
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from vaultloop.aio.failpoint import Failpoint, reached
from vaultloop.model.cell import Cell, Result, Run, Task
from vaultloop.model.conversation import AgentDefaults, Outcome, Reply
from vaultloop.model.errors import Denied, Stalled, VaultloopError
from vaultloop.model.policy import Audience, Policy
from vaultloop.sessions.prompt import instructions
from vaultloop.sessions.publication import Publication, kept_hint
from vaultloop.sessions.services import Services, SessionLog
from vaultloop.state.turns import TurnRecord, TurnState
from vaultloop.vault.debris import clear_away
from vaultloop.vault.files import Files
from vaultloop.vault.view import View

# All that a program in a cell gets of the engine's own environment.
INHERITED = ("PATH", "LANG", "TZ")


class Session:
    """The work on one turn."""

    def __init__(self, turn_id: str, services: Services, defaults: AgentDefaults) -> None:
        self._id = turn_id
        self._services = services
        self._turns = services.turns
        self._defaults = defaults
        self._stop: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        # What the record should say of a tool that was used, even if it could not be written.
        self._acted = False
        extra = {"session": turn_id, "confinement": services.confinement}
        self._log = SessionLog(logging.getLogger(__name__), extra)

    def stop(self, outcome: Outcome) -> None:
        """End it with `outcome` unless its agent has answered already."""
        if not self._stop.done():
            self._stop.set_result(outcome)

    async def run(self) -> None:
        """Bring the turn to its outcome from wherever it is.

        Raises:
            sqlite3.OperationalError: the records cannot be written now; call it again later.
        """
        try:
            if self._record.state is TurnState.RUNNING:
                await self.recover()
            if self._record.state is TurnState.QUEUED:
                await self._work()
            if self._record.state is TurnState.ANSWERED:
                await self._publish()
            if self._record.state is TurnState.PUBLISHED:
                self._finish()
        except sqlite3.OperationalError:
            # No outcome can be recorded either.
            raise
        except VaultloopError as error:
            await self.give_up(Outcome.FAILED, str(error))
        except Exception as error:
            self._log.exception("an error inside the engine")
            await self.give_up(
                Outcome.FAILED, f"There was an error inside the engine ({type(error).__name__}); see its log."
            )

    async def recover(self) -> None:
        """Decide about a run that a crash or a stop of the engine cut off."""
        if self._record.acted or self._acted:
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
        """A view of the newest revision, and what its session is told."""
        services, sync = self._services, self._services.sync

        def newest() -> tuple[Files, str]:
            head = sync.repository.head
            if head is None:
                raise Stalled("The vault is empty.", cure="Commit a note, or run `vaultloop init`.")
            files = sync.repository.files(head)
            return files, instructions(policy, files, services.contributors)

        files, told = await sync.git(newest)
        # Not in the git thread: it takes long, and others wait there to publish.
        return await asyncio.to_thread(services.views.lease, files, policy, sync.git_from_thread), told

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
                self._acted = True
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
            clear_away(place)

    # From answered to ended

    async def _publish(self) -> None:
        record = self._record
        view = await asyncio.to_thread(self._services.views.reopen, Path(record.view or ""))
        if view is None:
            raise Stalled("The folder in which the session worked is gone; its changes are lost.", cure="")
        policy = self._services.guard.policy(record.turn.scope)
        published = await Publication(record, self._services, self._log).publish(view, policy)
        self._turns.publish(self._id, published.warning)
        reached(Failpoint.PUBLISH_RECORDED)
        with suppress(OSError):
            # What is published is published: if its folder cannot be used again, a sweep takes it away.
            await asyncio.to_thread(self._services.views.give_back, view, record.turn.scope)

    def _finish(self) -> None:
        record = self._record
        text = record.told
        if not text and record.turn.trigger.kind == "message":
            text = "Done. (There was nothing to say.)"
        self._end(Outcome.DONE, text, record.detail)

    async def give_up(self, outcome: Outcome, why: str = "", *, said: str | None = None) -> None:
        """End it without publishing; what it wrote is kept for a while.

        `why` goes on the record; `said` is told instead where it is given.
        """
        record = self._record
        hint = kept_hint(record.id) if await self._set_aside(record) else ""
        told = (why if said is None else said) or _SENTENCES[outcome]
        # An answer that is there is told, after what came of it.
        text = "\n\n".join(part for part in (f"{told} {hint}".strip(), record.reply) if part)
        detail = f"{why or _SENTENCES[outcome]} {hint}".strip()
        self._end(outcome, "" if outcome is Outcome.REPLACED else text, detail)

    async def _set_aside(self, record: TurnRecord) -> bool:
        """Keep the view of a session that is not published; whether there is anything in it to publish."""
        views = self._services.views
        view = await asyncio.to_thread(views.reopen, Path(record.view)) if record.view else None
        if view is None:
            # Perhaps a crash came after it was set aside and before the outcome.
            return await asyncio.to_thread(views.kept, record.id) is not None
        try:
            changed = bool(await asyncio.to_thread(view.changes))
            if not changed:
                await asyncio.to_thread(views.give_back, view, record.turn.scope)
                return False
        except Exception:
            # Whatever a session left there, its turn gets an outcome; a human may still look at the folder.
            self._log.exception("what it left cannot be read")
            changed = False
        return await asyncio.to_thread(self._keep, view) and changed

    def _keep(self, view: View) -> bool:
        try:
            self._services.views.keep(view, self._id, self._services.clock.now())
        except OSError:
            self._log.exception("what it left cannot be kept")
            return False
        return True

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


_SENTENCES = {
    Outcome.FAILED: "That did not work.",
    Outcome.INTERRUPTED: "The engine was stopped while it worked on this. Send /retry to run it again.",
    Outcome.CANCELLED: "Cancelled.",
    Outcome.TIMED_OUT: "It took longer than `stop-after` allows and was stopped.",
    Outcome.REPLACED: "A newer run took its place.",
}
