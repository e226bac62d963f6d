"""The reconciler: one iteration is sync, load, plan, check, apply, record, and may run at any time, or twice.

When nothing changed an iteration costs a question to the remote and a comparison: the head is the one that
was looked at, or at least the `agent/` tree is, and the components still say they run what was applied.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from vaultloop.aio.bell import Bell
from vaultloop.aio.clock import Clock
from vaultloop.aio.supervise import FIRST_PAUSE, LONGEST_PAUSE, first
from vaultloop.model.change import AnyChange, Plan
from vaultloop.model.component import Component
from vaultloop.model.errors import VaultloopError
from vaultloop.model.problem import Problem
from vaultloop.model.resource import AnyResource, Kind, Known, Ref
from vaultloop.model.snapshot import Snapshot
from vaultloop.model.status import Push
from vaultloop.reconcile import planner, safety
from vaultloop.reconcile.applier import Applied, Applier
from vaultloop.reconcile.planner import Desired
from vaultloop.reconcile.ports import LoaderPort, VaultPort
from vaultloop.reconcile.standing import Standing, has_unfinished, running
from vaultloop.state.status_book import Hold, LastGood, StatusBook
from vaultloop.vault.notes.loader import FOLDER, KnownNote
from vaultloop.vault.notes.note_paths import notes_in

log = logging.getLogger(__name__)

# How many invalid notes a sentence names.
MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Report:
    """What one iteration did.

    Attributes:
        revision: what was looked at; None while the vault has no commit.
        plan: what was to be done; None where nothing that matters had changed.
        applied: what became of it.
        again: when to look again without being asked.
    """

    revision: str | None
    plan: Plan | None = None
    applied: Applied | None = None
    again: datetime | None = None


class Reconciler:
    """Keeps components equal to the vault."""

    def __init__(
        self,
        *,
        vault: VaultPort,
        loader: LoaderPort,
        kinds: Sequence[Kind[Any]],
        components: Mapping[str, Component[Any]],
        book: StatusBook,
        clock: Clock,
        bell: Bell,
        on_report: Callable[[Report], None] = lambda _: None,
        owners: Collection[str] = (),
    ) -> None:
        """Reconcile whenever `bell` rings; `components` are by kind, one for each kind that has one.

        `on_report` hears of each iteration of `run` that came to its end. `owners` are the ids of the vault's
        owners, for telling what a plan allows.
        """
        self._vault = vault
        self._loader = loader
        self._kinds = kinds
        self._components = components
        self._book = book
        self._clock = clock
        self._bell = bell
        self._on_report = on_report
        self._owners = owners
        self._applier = Applier(components, kinds, clock)
        # An iteration and a preview must not read the components while the other one changes them.
        self._turn = asyncio.Lock()
        self._head: str | None = None
        self._declarations: str | None = None
        self._observed: Mapping[Ref, AnyResource] | None = None
        self._again: datetime | None = None
        self._pause = FIRST_PAUSE
        # What the owner is told: notes with errors, deletes that wait, and why an iteration failed.
        self._errors: tuple[Problem, ...] = ()
        self._hold = ""
        self._trouble = ""
        self._told: tuple[Push, tuple[str, ...]] | None = None

    async def run(self) -> None:
        """Reconcile now, and whenever the bell rings or something is to be tried again; until cancelled."""
        self._bell.ring()
        while True:
            await self._wake()
            await self._attempt()

    async def iterate(self) -> Report:
        """Make what runs equal to what the vault declares, and record how it stands."""
        async with self._turn:
            try:
                head = await self._vault.look()
            except Exception:
                await self._start_without_sync()
                raise
            if head is None:
                self._tell()
                return Report(None)
            return await self._make_so(head)

    async def preview(self) -> Plan:
        """What the newest revision would change; deletes that are held are among it. Changes nothing.

        Raises:
            VaultloopError: the vault has no commit.
        """
        async with self._turn:
            head = await self._vault.look()
            if head is None:
                raise VaultloopError("The vault has no commit yet: there is nothing to plan.")
            head, _, snapshot = await self._loaded(head)
            desired = planner.desire(snapshot, self._book.last_good(), self._kinds)
            notes = await self._vault.git(lambda: notes_in(self._vault.repository.files(head)))
            known = Known(notes, self._owners)
            observed = self._observe()
            # Not here: counting notes takes its time, and messages are taken meanwhile.
            return await asyncio.to_thread(planner.plan, desired, observed, snapshot, self._kinds, known)

    async def confirm(self, revision: str) -> str:
        """Let the deletes of a held revision happen; its whole id.

        Raises:
            VaultloopError: nothing waits, or something else does.
        """
        confirmed = self._book.confirm(revision)
        self._observed = None
        self._bell.ring()
        return confirmed

    @property
    def is_at_work(self) -> bool:
        """Whether an iteration or a preview goes on just now."""
        return self._turn.locked()

    # The steps of an iteration.

    async def _make_so(self, head: str) -> Report:
        if await self._is_unchanged(head):
            self._saw(head)
            return Report(head, again=self._again)
        return await self._reconcile(*await self._loaded(head))

    async def _is_unchanged(self, head: str) -> bool:
        if self._declarations is None:
            return False
        try:
            return self._is_settled(await self._declarations_of(head))
        except Exception:
            # Loading it fails too, and that is where it is told.
            log.debug("the declarations of %s cannot be found", head, exc_info=True)
            return False

    async def _loaded(self, head: str) -> tuple[str, str, Snapshot]:
        """Understand `head`, or what runs in its place if that fails: revision, declarations, snapshot."""
        try:
            return head, await self._declarations_of(head), await self._load(head)
        except Exception as error:
            instead = await self._vault.fall_back(head, error)
            if instead is None:
                raise
            return instead, await self._declarations_of(instead), await self._load(instead)

    async def _reconcile(self, head: str, declarations: str, snapshot: Snapshot) -> Report:
        afresh = declarations != self._declarations
        self._declarations = None
        last_good = self._book.last_good()
        desired, waiting = self._check(
            planner.desire(snapshot, last_good, self._kinds), last_good, declarations
        )
        plan = planner.plan(desired, self._observe(), snapshot, self._kinds)
        applied = await self._applier.apply(self._all_steps(plan, desired), afresh=afresh)
        self._record(snapshot, desired, applied, waiting, last_good)
        self._declarations, self._observed = declarations, self._observe()
        self._again = applied.again
        done, left = len(applied.done), len(applied.setbacks)
        log.info("applied %s: %d done, %d left", head[:12], done, left, extra={"revision": head})
        return Report(head, plan, applied, self._again)

    async def _start_without_sync(self) -> None:
        """Run what is known of the vault, if nothing runs yet: the last good outlives trouble on the way."""
        if self._head is None and (head := await self._vault.chosen()) is not None:
            self._on_report(await self._reconcile(*await self._loaded(head)))

    async def _load(self, head: str) -> Snapshot:
        if self._head is None:
            # What others inherit from, should the vault's own `defaults` note be invalid just now.
            defaults = [g for g in self._book.last_good() if g.ref.kind == "defaults"]
            await self._vault.git(self._loader.recall, [KnownNote(g.path, g.blob, g.text) for g in defaults])
        return await self._vault.git(lambda: self._loader.load(self._vault.repository.files(head)))

    def _check(
        self, desired: Desired, last_good: Sequence[LastGood], declarations: str
    ) -> tuple[Desired, Hold | None]:
        """What may be made so without asking, and what waits."""
        if self._book.is_confirmed(declarations):
            return desired, None
        waiting = safety.hold(
            desired.vanished,
            running=len(last_good),
            kinds=self._kinds,
            revision=desired.revision,
            declarations=declarations,
            before=self._book.hold,
        )
        return desired.keeping(waiting.refs if waiting else ()), waiting

    def _all_steps(self, plan: Plan, desired: Desired) -> list[AnyChange]:
        return [*plan.changes, *planner.quiet_steps(desired, self._observe())]

    def _record(
        self,
        snapshot: Snapshot,
        desired: Desired,
        applied: Applied,
        waiting: Hold | None,
        last_good: Sequence[LastGood],
    ) -> None:
        setbacks = applied.setbacks
        gone = {ref for ref in desired.vanished if ref not in setbacks}
        gone |= {old for new, old in desired.renamed.items() if new not in setbacks}
        versions = (LastGood.of(resource, snapshot.revision) for resource in running(desired, setbacks))
        self._book.keep(versions, gone)
        self._book.record_hold(waiting)
        self._hold = safety.sentence(waiting, len(last_good)) if waiting else ""
        standing = Standing(
            snapshot=snapshot,
            desired=desired,
            setbacks=setbacks,
            applied={good.ref: good.applied for good in self._book.last_good()},
            observed=self._observe().keys(),
            kinds=self._kinds,
            held=waiting.refs if waiting else frozenset(),
            hold=self._hold,
        )
        self._book.record(standing.statuses(self._clock.now()))
        self._tell_errors(snapshot.errors)
        self._head = snapshot.revision
        self._book.saw(snapshot.revision, applied=not waiting and not has_unfinished(setbacks))
        self._tell()

    def _saw(self, head: str) -> None:
        """Only what governs nothing has changed, or nothing at all."""
        if head != self._head:
            self._book.saw(head, applied=self._book.applied_revision == self._head)
            self._head = head
        self._tell()

    def _tell(self) -> None:
        notes = _invalid(self._errors)
        said = filter(None, (self._vault.paused, self._trouble, self._hold, notes))
        now = self._vault.push_state, tuple(said)
        if now != self._told:
            self._book.record_push(now[0])
            self._book.record_attention(now[1])
            self._told = now

    def _tell_errors(self, errors: tuple[Problem, ...]) -> None:
        """Each error once: when it appears."""
        for problem in errors:
            if problem not in self._errors:
                log.warning("%s", problem, extra={"file": problem.file, "code": problem.code})
        if self._errors and not errors:
            log.info("all notes are valid again")
        self._errors = errors

    # What has changed.

    async def _declarations_of(self, head: str) -> str:
        """A name for the state of all declarations at `head`."""
        if head == self._head and self._declarations is not None:
            return self._declarations
        return await self._vault.git(lambda: self._vault.repository.files(head).tree_id(FOLDER)) or "none"

    def _is_settled(self, declarations: str) -> bool:
        if declarations != self._declarations or self._observed is None:
            return False
        is_time = self._again is not None and self._again <= self._clock.now()
        return not is_time and self._observe() == self._observed

    def _observe(self) -> Mapping[Ref, AnyResource]:
        return {
            ref: found
            for component in self._components.values()
            for ref, found in component.observe().items()
        }

    # The loop around it.

    async def _wake(self) -> None:
        if self._again is None:
            await self._bell.heard()
        else:
            await first(self._bell.heard(), self._clock.sleep_until(self._again))

    async def _attempt(self) -> None:
        """One iteration that outlives its own errors: they are logged, shown, and it is tried again."""
        try:
            report = await self.iterate()
        except Exception as error:
            self._failed(error)
        else:
            self._recovered()
            self._on_report(report)

    def _failed(self, error: Exception) -> None:
        known = isinstance(error, VaultloopError)
        sentence = (
            str(error) if known else f"An iteration failed: {type(error).__name__}; the log has details."
        )
        log.error(
            "iteration failed; next try in %.0f s: %s",
            self._pause,
            sentence,
            exc_info=None if known else error,
        )
        self._trouble = sentence
        self._observed = None
        self._again = self._clock.now() + timedelta(seconds=self._pause)
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
        try:
            self._tell()
        except Exception:
            # The very disk that should hold the sentence may be what is broken.
            log.exception("the trouble could not be shown")

    def _recovered(self) -> None:
        self._pause = FIRST_PAUSE
        if self._trouble:
            log.info("iterations work again")
            self._trouble = ""
            self._tell()


def _invalid(errors: Sequence[Problem]) -> str:
    """A sentence about the notes that cannot be applied as they are; empty if there are none."""
    files = sorted({problem.file for problem in errors})
    if not files:
        return ""
    named = ", ".join(files[:MOST_NAMED]) + (" and others" if len(files) > MOST_NAMED else "")
    return (
        f"{len(files)} invalid {'note' if len(files) == 1 else 'notes'}: {named}. `vaultloop check` says why."
    )
