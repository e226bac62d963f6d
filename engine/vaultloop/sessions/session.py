"""One turn, from its lease to its outcome; each step is recorded before the next one begins.

    queued -> (view leased) running -> (agent ended) answered -> (commit on the branch) published -> ended
      ^                        |
      +--- another try is due -+

A turn goes on from whatever the record says, so a restart needs no other code than a start: only a run that
was cut off is looked at first (`recover`).
"""

import asyncio
import logging
import sqlite3
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from vaultloop.aio.failpoint import Failpoint, reached
from vaultloop.model.cell import Result
from vaultloop.model.conversation import OWNER, AgentDefaults, Outcome, Reply
from vaultloop.model.errors import Denied, Late, Stalled, VaultloopError
from vaultloop.model.gateway import Allowance, Exhausted
from vaultloop.model.policy import Audience, Policy
from vaultloop.model.status import Confinement
from vaultloop.sessions import mounts, placeholders, report
from vaultloop.sessions.attempt import Attempt, Brief, within
from vaultloop.sessions.prompt import instructions
from vaultloop.sessions.publication import Publication, kept_hint
from vaultloop.sessions.services import Services, SessionLog
from vaultloop.state.turns import TurnRecord, TurnState
from vaultloop.vault.files import Revised
from vaultloop.vault.sync.last_good import governed
from vaultloop.vault.views.view import View

# How long a failed run waits for its next try: the first time, each time twice as long, and at most.
FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(minutes=15)

# Who hears what a program or this machine complains of; strangers only hear that it did not work.
TOLD_ALL = (Audience.OWNER, Audience.CRON)

# Where the owner always has a chat.
CONSOLE = "console"


class Session:
    """The work on one turn."""

    def __init__(self, turn_id: str, services: Services, defaults: AgentDefaults) -> None:
        self._id = turn_id
        self._services = services
        self._turns = services.turns
        self._defaults = defaults
        self._stop: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        # It knows of a tool that was used even if that could not be written down.
        self._attempt: Attempt | None = None
        self._log = SessionLog.of(turn_id, logging.getLogger(__name__), self._record.confinement)

    def stop(self, outcome: Outcome) -> None:
        """End it with `outcome` unless its agent has answered already."""
        if not self._stop.done():
            self._stop.set_result(outcome)

    async def run(self) -> None:
        """Bring the turn to its outcome from wherever it is, or to where it waits for its next try.

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
        if self._record.acted or (self._attempt and self._attempt.acted):
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

    def _cleared(self) -> tuple[Policy, Confinement] | None:
        """Under which policy it may begin now, and what holds it in; None if it ended or waits instead."""
        try:
            self._renew()
        except Denied as error:
            # Whoever took the schedule back knows; nobody else was promised anything.
            outcome = Outcome.MISSED if isinstance(error, Late) else Outcome.REFUSED
            self._end(outcome, "", str(error), to_others="")
            return None
        try:
            policy = self._admitted()
        except Denied as error:
            self._end(Outcome.REFUSED, str(error), str(error), to_others="")
            return None
        try:
            confinement = self._services.confinement(policy.audience)
        except Stalled as error:
            said = str(error) if policy.audience in TOLD_ALL else report.NOT_HERE
            self._end(Outcome.REFUSED, said, str(error), to_others="")
            return None
        if spent := self._spent(policy):
            self._park(spent, policy)
            return None
        return policy, confinement

    async def _work(self) -> None:
        if (cleared := self._cleared()) is None:
            return
        policy, confinement = cleared
        self._log = SessionLog.of(self._id, logging.getLogger(__name__), confinement)
        # Before the view is made, which takes the shorter the less changed: turns begin in their order.
        now = self._services.clock.now()
        brief = await self._briefed(policy)
        view = brief.view
        reached(Failpoint.VIEW_LEASED)
        self._turns.begin(
            *(self._id, confinement), policy=policy.id, base=view.revision, view=str(view.home), now=now
        )
        reached(Failpoint.SESSION_STARTED)
        self._log.info("started for %s under scope %s", self._record.turn.trigger, policy.scope)
        runner = self._services.runner(self._defaults)
        self._attempt = Attempt(brief, runner, self._services, self._stop, self._log)
        match await self._attempt.ending():
            case Outcome() as outcome:
                await self.give_up(outcome)
            case Result(ok=True) as result:
                self._answered(result, self._attempt, brief)
            case result:
                await self._failed(result, policy, self._attempt)

    def _answered(self, result: Result, attempt: Attempt, brief: Brief) -> None:
        """Keep the answer, and what the conversation will remember of it, both or none."""
        conversation, transcripts = brief.turn.conversation, self._services.transcripts
        with self._services.database.transaction():
            self._turns.answer(self._id, result.text)
            if attempt.forgets or not brief.goes_on:
                transcripts.forget(conversation)
            elif attempt.transcript:
                transcripts.keep(conversation, brief.policy_id, attempt.transcript)
        reached(Failpoint.ANSWER_RECORDED)
        with suppress(OSError):
            transcripts.tidy(conversation)

    async def _failed(self, result: Result, policy: Policy, attempt: Attempt) -> None:
        record = self._record
        if attempt.refused:
            await self._out_of_money(result, policy, attempt)
            return
        if result.retryable and record.attempt <= record.turn.limits.retries and _can_pay(record, policy):
            await self._try_again_later(record, result.text)
            return
        # What a program complains of is for the owner; strangers only hear that it failed.
        await self.give_up(
            Outcome.FAILED, result.text, said=result.text if policy.audience in TOLD_ALL else ""
        )

    async def _out_of_money(self, result: Result, policy: Policy, attempt: Attempt) -> None:
        """The gateway refused a request: what did nothing as yet waits, the rest has failed."""
        if self._spent(policy) and not attempt.acted:
            record = self._record
            # It begins anew, by what the notes say now, and finds that it has to wait.
            self._turns.requeue(self._id)
            with suppress(OSError):
                await asyncio.to_thread(self._give_back, record)
            return
        why = f"{attempt.refused} {result.text}".strip()
        await self.give_up(Outcome.FAILED, why, said=why if policy.audience in TOLD_ALL else "")

    def _spent(self, policy: Policy) -> Exhausted | None:
        """The budget because of which a session may not begin now."""
        purse, runner = self._services.purse, self._services.runner(self._defaults)
        # A program that asks no model spends nothing.
        if purse is None or not runner.models(policy):
            return None
        return purse.exhausted(policy, _allowance(self._defaults), self._services.clock.now())

    def _park(self, spent: Exhausted, policy: Policy) -> None:
        """Back into the queue until there is money again; who waits for it is told once, with the date."""
        services, record = self._services, self._record
        now, turn = services.clock.now(), record.turn
        to_owner, to_others = report.of_parked(spent, self._defaults.timezone)
        told = {}
        if turn.trigger.kind == "message":
            for channel, chat in turn.recipients:
                text = to_owner if services.guard.is_owners(chat) else to_others
                told[channel, chat] = f"{turn.id}/parked/{spent.until.isoformat()}", text
        if not any(services.guard.is_owners(chat) for _, chat in told):
            # Once for all that waits in this scope.
            told[CONSOLE, OWNER] = f"parked/{policy.scope}/{spent.until.isoformat()}", to_owner
        with services.database.transaction():
            self._turns.park(self._id, to_owner, spent.until)
            for (channel, chat), (key, text) in told.items():
                services.outbox.put(Reply(key, channel, chat, text), now)
        self._log.info("is parked: %s", to_owner)
        services.on_owed()

    async def _try_again_later(self, record: TurnRecord, why: str) -> None:
        """Back into the queue; what this try did in its view goes with the view."""
        not_before = self._services.clock.now() + wait_after(record.attempt)
        detail = report.of_failed_try(record, not_before, why)
        self._turns.retry(self._id, detail, not_before)
        reached(Failpoint.RETRY_RECORDED)
        self._log.warning("%s", detail)
        with suppress(OSError):
            # No record names it any more: if it cannot be used again, a sweep takes it away.
            await asyncio.to_thread(self._give_back, record)

    def _renew(self) -> None:
        """Take over what the note of this work says by now; messages have none."""
        record = self._record
        origin = self._services.origins.get(record.turn.trigger.kind)
        if origin is None:
            return
        turn = origin.renewed(record.turn, record.not_before or record.created_at)
        if turn != record.turn:
            self._turns.renew(turn)

    def _admitted(self) -> Policy:
        """The policy of the turn, if everybody who asked may still ask."""
        record = self._record
        for message in self._services.inbox.of_turn(self._id):
            if self._services.guard.admit(message).scope != record.turn.scope:
                raise Denied("The scope of this chat changed after this was asked. Ask again.")
        return self._services.guard.policy(record.turn.scope)

    async def _briefed(self, policy: Policy) -> Brief:
        """A view of the newest revision, and what its session is asked and told."""
        services, sync, record = self._services, self._services.sync, self._record
        turn = record.turn
        last = self._turns.last_done(turn.conversation) if placeholders.are_in(turn) else None

        def newest() -> tuple[Revised, str, str]:
            head = sync.repository.head
            if head is None:
                raise Stalled("The vault is empty.", cure="Commit a note, or run `vaultloop init`.")
            files = governed(sync.repository, head, sync.runs)
            told = instructions(policy, files, services.contributors)
            return files, told, placeholders.filled(turn, last, policy, sync.repository, head)

        files, told, prompt = await sync.git(newest)
        private = (services.state, *services.private)
        shown = mounts.granted(policy, turn.limits.mounts, services.mounts, private)
        # Not in the git thread: it takes long, and others wait there to publish.
        lease = services.views.lease
        view = await asyncio.to_thread(lease, files, policy, sync.git_from_thread, prompt=prompt)
        goes_on = turn.trigger.kind == "message" and policy.conversation == "continue"
        return Brief(
            turn=turn,
            policy=within(policy, turn.limits, record.cost_usd),
            policy_id=policy.id,
            view=view,
            prompt=prompt,
            instructions=report.joined(told, mounts.told(shown), report.silence(turn)),
            mounts=shown,
            allowance=_allowance(self._defaults),
            goes_on=goes_on,
            resume=services.transcripts.find(turn.conversation, policy.id) if goes_on else None,
        )

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
            await asyncio.to_thread(self._give_back, record, view)

    def _finish(self) -> None:
        record = self._record
        detail = report.joined(record.detail, report.tries(record))
        to_others = report.of_success(record, to_owner=False)
        self._end(Outcome.DONE, report.of_success(record), detail, to_others=to_others)

    async def give_up(self, outcome: Outcome, why: str = "", *, said: str | None = None) -> None:
        """End it without publishing; what it wrote is kept for a while.

        `why` goes on the record; `said` is told instead where it is given.
        """
        record = self._record
        hint = kept_hint(record.id) if await self._set_aside(record) else ""
        told = (why if said is None else said) or report.SENTENCES[outcome]
        detail = why or report.SENTENCES[outcome]
        more = " ".join(part for part in (report.tries(record), hint) if part)
        text = report.of_failure(record, outcome, f"{told} {more}".strip())
        to_others = report.of_failure(record, outcome, report.SENTENCES[outcome])
        self._end(outcome, text, f"{detail} {more}".strip(), to_others=to_others)

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
                await asyncio.to_thread(self._give_back, record, view)
                return False
        except Exception:
            # Whatever a session left there, its turn gets an outcome; a human may still look at the folder.
            self._log.exception("what it left cannot be read")
            changed = False
        return await asyncio.to_thread(self._keep, view) and changed

    def _give_back(self, record: TurnRecord, view: View | None = None) -> None:
        """`view` is given where its changes were looked at after the agent had ended."""
        # Of a run before a restart nobody saw the end.
        fenced = record.confinement is Confinement.FENCED and self._attempt is not None
        if view := view or self._services.views.reopen(Path(record.view or "")):
            self._services.views.give_back(view, record.turn.scope, fenced=fenced)

    def _keep(self, view: View) -> bool:
        try:
            self._services.views.keep(view, self._id, self._services.clock.now())
        except OSError:
            self._log.exception("what it left cannot be kept")
            return False
        return True

    def _headed(self, text: str) -> str:
        """What people of other scopes caused must not pass for the engine's own words in the owner's chat."""
        turn = self._record.turn
        if turn.trigger.kind == "message":
            return text
        with suppress(Denied):
            if self._services.guard.policy(turn.scope).audience in TOLD_ALL:
                return text
        return f"From the scope {turn.scope} ({turn.trigger}):\n{text}"

    def _end(self, outcome: Outcome, text: str, detail: str, *, to_others: str) -> None:
        """The outcome and the last word, both or none.

        `to_others` is told in its place to who is not the owner and did not ask: what the engine has to say
        of a run names files, programs and scopes that they may know nothing of.
        """
        now, turn = self._services.clock.now(), self._record.turn
        with self._services.database.transaction():
            for place, (channel, chat) in enumerate(turn.recipients):
                knows = turn.trigger.kind == "message" or self._services.guard.is_owners(chat)
                if not (told := text if knows else to_others):
                    continue
                if outcome is Outcome.DONE and self._services.guard.is_owners(chat):
                    told = self._headed(told)
                # The first one's key says which messages it answers (`Inbox.answered_by`).
                key = f"{self._id}/{channel}/{chat}" if place else self._id
                self._services.outbox.put(Reply(key, channel, chat, told), now)
                reached(Failpoint.REPLY_QUEUED)
            self._turns.end(self._id, outcome, now, detail)
        reached(Failpoint.OUTCOME_RECORDED)
        self._log.info("ended: %s", outcome)
        self._services.on_owed()


def _allowance(defaults: AgentDefaults) -> Allowance:
    return Allowance(defaults.budget_usd_per_day, defaults.budget_usd_per_month, defaults.timezone)


def _can_pay(record: TurnRecord, policy: Policy) -> bool:
    """Whether the tries of a turn have left anything of its budget."""
    left = within(policy, record.turn.limits, record.cost_usd).budget_usd_per_run
    return left is None or left > 0


def wait_after(attempt: int) -> timedelta:
    """How long the next try waits after this one, counted from 1, has failed."""
    # Sixteen times is beyond the longest wait already.
    return min(FIRST_WAIT * (1 << min(attempt - 1, 4)), LONGEST_WAIT)
