"""One try of an agent at a turn: a cell of its own, the run in it, and what ends it."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vaultloop.aio.clock import sleep
from vaultloop.aio.failpoint import Failpoint, reached
from vaultloop.aio.supervise import to_the_end
from vaultloop.model.cell import Cell, Result, Run, Runner, Task, Transcript
from vaultloop.model.conversation import Limits, Outcome, Turn
from vaultloop.model.errors import Retry, Stalled
from vaultloop.model.gateway import BILL_PATIENCE, Allowance, Grant, OpenDoor
from vaultloop.model.policy import Policy
from vaultloop.sessions import mounts, transcript
from vaultloop.sessions.services import Services, SessionLog
from vaultloop.vault.debris import clear_away
from vaultloop.vault.views.view import View

# All that a program in a cell gets of the engine's own environment.
INHERITED = ("PATH", "LANG", "TZ")

# How long the end of an interrupted run may take to be understood (seconds).
LAST_FIGURES = 0.1


@dataclass(frozen=True, slots=True)
class Brief:
    """What an agent is given.

    Attributes:
        policy: the scope's, within the limits of the turn.
        policy_id: of the scope's own policy: under the same one a conversation goes on.
        prompt, instructions: what it is asked, and what every session of the scope is told.
        allowance: what all sessions together may cost.
        mounts: the operator's folders that it may read, by name.
        goes_on: whether the conversation goes on with the next message.
        resume: the transcript that it goes on from, in the engine's keeping.
    """

    turn: Turn
    policy: Policy
    policy_id: str
    view: View
    prompt: str
    instructions: str
    allowance: Allowance = field(default_factory=Allowance)
    mounts: Mapping[str, Path] = field(default_factory=dict)
    goes_on: bool = False
    resume: Transcript | None = None


class Attempt:
    """One try. Its run may be stopped from outside through `stop`, with the outcome that the turn gets.

    Attributes:
        acted: the agent may have changed the world, also where that could not be written down.
        transcript: what the next message goes on from, in the engine's keeping; nothing refers to it yet.
        forgets: it has an answer, but its transcript cannot be kept: the conversation starts afresh.
        refused: why the gateway refused it something for lack of money; empty if it did not.
    """

    def __init__(
        self, brief: Brief, runner: Runner, services: Services, stop: asyncio.Future[Outcome], log: SessionLog
    ) -> None:
        self._brief = brief
        self._runner = runner
        self._services = services
        self._stop = stop
        self._log = log
        self.acted = False
        self.transcript: Transcript | None = None
        self.forgets = False
        self.refused = ""
        self._metered = False

    async def ending(self) -> Result | Outcome:
        """Run the agent; what it answered, or how it was ended."""
        ending = await self._run(self._brief.resume)
        if self._brief.resume and isinstance(ending, Result) and not (ending.resumable or self.acted):
            self._log.warning("cannot go on from the conversation so far: it starts afresh (%s)", ending.text)
            ending = await self._run(None)
        reached(Failpoint.PROCESS_ENDED)
        return ending

    async def _run(self, resume: Transcript | None) -> Result | Outcome:
        if self._stop.done():
            return self._stop.result()
        if not self._runner.reports_tool_use:
            # Before the start: once it runs, nobody can tell any more what it did.
            self._note_that_it_acted()
        try:
            async with _cell(self._services, self._brief) as cell, self._through_door(cell) as equipped:
                return await self._run_in(equipped, resume)
        except Stalled as error:
            # The program, its key or its settings: only a human makes the next try better.
            return Result(ok=False, text=str(error), retryable=False)
        except Retry as error:
            return Result(ok=False, text=str(error))

    async def _run_in(self, cell: Cell, resume: Transcript | None) -> Result | Outcome:
        brief = self._brief
        task = Task(
            session=brief.turn.id,
            prompt=brief.prompt,
            instructions=brief.instructions,
            resume=await self._put_in(resume, cell) if resume else None,
            keep_transcript=brief.goes_on,
        )
        async with self._runner.spawn(task, cell) as run:
            reached(Failpoint.PROCESS_SPAWNED)
            self._log.debug("runs as process %d", run.pid)
            ending = await self._attend(run)
        if isinstance(ending, Result):
            await self._take_transcript(ending, cell)
        return ending

    @asynccontextmanager
    async def _through_door(self, cell: Cell) -> AsyncIterator[Cell]:
        """The cell with a door to the gateway, if it has any use for one; at the end it is charged."""
        brief, doors, models = self._brief, self._services.doors, self._runner.models(self._brief.policy)
        if doors is None or not (models or brief.policy.hosts):
            yield cell
            return
        turn = brief.turn
        grant = Grant(turn.id, brief.policy, turn.trigger, models, brief.allowance)
        async with doors.opened(grant) as opened:
            self._metered, hurried = True, True
            try:
                yield replace(cell, door=opened.door)
                hurried = self._stop.done()
            finally:
                # Also of a run that was killed. Somebody who cancels does not wait for the rest of an answer:
                # then the bill is an estimate, and the ledger gets the truth.
                await to_the_end(self._charge(opened, models, LAST_FIGURES if hurried else BILL_PATIENCE))

    async def _charge(self, opened: OpenDoor, models: Sequence[str], patience: float) -> None:
        bill = await opened.bill(patience)
        self.refused = bill.refused
        self._services.turns.account(self._brief.turn.id, model=next(iter(models), ""), cost_usd=bill.usd)

    async def _put_in(self, resume: Transcript, cell: Cell) -> Transcript | None:
        try:
            return await asyncio.to_thread(transcript.put_in, resume, cell)
        except OSError as error:
            self._log.warning("the conversation so far cannot be read, it starts afresh: %s", error)
            return None

    async def _take_transcript(self, result: Result, cell: Cell) -> None:
        """Before the cell is cleared, and only of a run that has an answer."""
        if not (result.ok and result.transcript and self._brief.goes_on):
            return
        transcripts, turn = self._services.transcripts, self._brief.turn
        try:
            self.transcript = await asyncio.to_thread(
                transcript.taken_out, result.transcript, cell, transcripts, turn
            )
        except OSError as error:
            self._log.warning("its transcript cannot be kept, the conversation starts afresh: %s", error)
            self.forgets = True

    async def _attend(self, run: Run) -> Result | Outcome:
        """Follow a run until it ends, somebody stops it, or its time is up."""
        following = asyncio.create_task(self._follow(run), name=f"events of session {self._brief.turn.id}")
        patience = self._brief.policy.stop_after.total_seconds()
        limit = asyncio.create_task(sleep(self._services.clock, patience), name="stop-after")
        try:
            ends: set[asyncio.Future[Any]] = {following, limit, self._stop}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if following.done():
                return following.result()
            outcome = self._stop.result() if self._stop.done() else Outcome.TIMED_OUT
            self._log.info("is stopped: %s", outcome)
            await run.interrupt()
            # It may have said what it has cost by now.
            await asyncio.wait([following], timeout=LAST_FIGURES)
            return outcome
        finally:
            for task in (following, limit):
                task.cancel()
            await asyncio.gather(following, limit, return_exceptions=True)

    async def _follow(self, run: Run) -> Result:
        async for use in run.events():
            if not use.reads_only:
                self._note_that_it_acted()
        result = await run.result()
        # Where there is a gateway, its bill counts: what a program says of its cost is its own word.
        cost = 0.0 if self._metered else result.cost_usd
        self._services.turns.account(self._brief.turn.id, model=result.model, cost_usd=cost)
        return result

    def _note_that_it_acted(self) -> None:
        self.acted = True
        self._services.turns.mark_acted(self._brief.turn.id)


def within(policy: Policy, limits: Limits, spent_usd: float = 0.0) -> Policy:
    """`policy`, and no more than `limits` allow; its budget is for all tries of a turn together."""
    budgets = [usd for usd in (policy.budget_usd_per_run, limits.budget_usd) if usd is not None]
    times = [time for time in (policy.stop_after, limits.stop_after) if time is not None]
    left = max(min(budgets) - spent_usd, 0.0) if budgets else None
    return replace(policy, stop_after=min(times), budget_usd_per_run=left)


@asynccontextmanager
async def _cell(services: Services, brief: Brief) -> AsyncIterator[Cell]:
    """A home and a scratch folder that nothing else ever uses, and next to nothing of our environment."""
    place: Path = services.cells / secrets.token_urlsafe(18)
    home, scratch = place / "home", place / "tmp"
    for folder in (home, scratch):
        folder.mkdir(mode=0o700, parents=True)
    inherited = {name: services.environment[name] for name in INHERITED if name in services.environment}
    # git reads /etc/gitconfig, which may hold tokens and is out of reach.
    always = {"LANG": "C.UTF-8", "GIT_CONFIG_NOSYSTEM": "1"}
    environment = {**always, **inherited, "HOME": str(home), "TMPDIR": str(scratch)}
    environment |= mounts.variables(brief.mounts)
    try:
        yield Cell(brief.view.folder, home, scratch, environment, brief.policy, mounts=brief.mounts)
    finally:
        # In a thread: a session may leave a hundred thousand files, and others wait for the loop.
        await to_the_end(_cleared(place))


async def _cleared(place: Path) -> None:
    await asyncio.to_thread(clear_away, place)
