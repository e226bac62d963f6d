"""Iterations over a vault in memory, with the real loader, the real scopes and a real database file."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from support.memory_vault import MemoryVault
from support.notes import OWNER, cron, note, scope
from support.plain_component import PlainComponent
from support.run import asynchronous
from vaultloop.aio.bell import Bell
from vaultloop.aio.clock import VirtualClock
from vaultloop.aio.supervise import background
from vaultloop.components import KINDS
from vaultloop.components.scope.component import ScopeComponent
from vaultloop.model.component import Component
from vaultloop.model.conversation import Message
from vaultloop.model.errors import Denied, Retry, Stalled, VaultloopError
from vaultloop.model.resource import Ref
from vaultloop.model.status import Condition, Push, PushState, Status
from vaultloop.reconcile.loop import Reconciler, Report
from vaultloop.state.database import Database
from vaultloop.state.status_book import StatusBook
from vaultloop.vault.git.effort import Effort
from vaultloop.vault.notes.loader import Loader

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
FAMILY, DIGEST = "agent/scopes/family.md", "agent/crons/digest.md"
BASE = {"agent/scopes/owner.md": OWNER, FAMILY: scope(), DIGEST: cron()}
FAMILY_CHAT, FAMILY_MEMBER = "-1001234567890", "1001"


class Engine:
    """One life of an engine: components start empty, the database is what the last life left."""

    def __init__(self, vault: MemoryVault, database: Database, clock: VirtualClock) -> None:
        self.vault = vault
        self.database = database
        self.effort = Effort()
        self.bell = Bell()
        self.scopes = ScopeComponent(owners=())
        self.plain = PlainComponent()
        self.book = StatusBook(database)
        self.reports: list[Report] = []
        components: dict[str, Component[Any]] = {k.name: self.plain for k in KINDS if k.has_component}
        self.reconciler = Reconciler(
            vault=vault,
            loader=Loader(KINDS, self.effort),
            kinds=KINDS,
            components={**components, "scope": self.scopes},
            book=self.book,
            clock=clock,
            bell=self.bell,
            on_report=self.reports.append,
        )

    async def after(self, changes: Mapping[str, str | None]) -> Report:
        """An iteration after a human pushed `changes`."""
        self.vault.commit(changes)
        return await self.reconciler.iterate()

    def status(self, name: str, kind: str = "cron") -> Status:
        return next(status for status in self.book.statuses() if status.ref == Ref(kind, name))

    def is_admitted(self, chat: str = FAMILY_CHAT, person: str = FAMILY_MEMBER) -> bool:
        try:
            self.scopes.admit(Message("console", chat, "1", person, "hello", NOON))
        except Denied:
            return False
        return True

    def told(self) -> str:
        """What the owner is asked to look at."""
        return " ".join(self.book.attention)

    def writes(self) -> int:
        """How many rows this connection has written so far."""
        with self.database.transaction() as change:
            return change.total_changes


class World:
    """What outlives the engine."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.vault = MemoryVault()
        self.clock = VirtualClock(NOON)

    @asynccontextmanager
    async def engine(self) -> AsyncIterator[Engine]:
        with Database(self.path) as database:
            yield Engine(self.vault, database, self.clock)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "engine.db")


@asynchronous
async def test_an_edit_becomes_running_state(world: World) -> None:
    async with world.engine() as engine:
        report = await engine.after(BASE)
        assert report.revision == world.vault.head
        assert set(engine.plain.running) == {Ref("cron", "digest")}
        assert engine.is_admitted()
        assert engine.status("digest").condition is Condition.READY
        assert (engine.book.revision, engine.book.applied_revision) == (world.vault.head, world.vault.head)
        before = world.vault.head
        await engine.after({DIGEST: cron(schedule="0 9 * * *")})
        assert engine.plain.running[Ref("cron", "digest")].spec.schedule == "0 9 * * *"
        assert engine.status("digest").applied == world.vault.head
        assert engine.status("family", "scope").applied == before


@asynchronous
async def test_a_vault_without_a_commit_is_nothing_to_do(world: World) -> None:
    async with world.engine() as engine:
        assert await engine.reconciler.iterate() == Report(None)
        with pytest.raises(VaultloopError, match="no commit yet"):
            await engine.reconciler.preview()


@asynchronous
async def test_after_an_apply_the_plan_is_empty_and_two_plans_are_identical(world: World) -> None:
    async with world.engine() as engine:
        await engine.after(BASE)
        assert (await engine.reconciler.preview()).changes == ()
        world.vault.commit({DIGEST: cron("Other.", "1 2 * * *"), FAMILY: None})
        first, second = await engine.reconciler.preview(), await engine.reconciler.preview()
        assert first == second
        assert [change["action"] for change in first.as_json()["changes"]] == ["delete", "update"]
        assert engine.is_admitted()


@asynchronous
async def test_an_iteration_with_nothing_new_loads_plans_and_writes_nothing(world: World) -> None:
    async with world.engine() as engine:
        await engine.after(BASE)
        parsed, writes, applied = engine.effort.parsed, engine.writes(), len(engine.plain.log)
        assert (await engine.reconciler.iterate()).plan is None
        assert (engine.effort.parsed, engine.writes(), len(engine.plain.log)) == (parsed, writes, applied)


@asynchronous
async def test_a_commit_outside_the_declarations_updates_the_revision_only(world: World) -> None:
    async with world.engine() as engine:
        await engine.after(BASE)
        parsed, rows = engine.effort.parsed, engine.book.statuses()
        assert (await engine.after({"diary/today.md": "It rains."})).plan is None
        assert engine.effort.parsed == parsed
        assert engine.book.statuses() == rows
        assert engine.book.revision == engine.book.applied_revision == world.vault.head


@asynchronous
async def test_a_change_of_one_note_parses_one_note_and_applies_one_change(world: World) -> None:
    many = {f"agent/crons/c{n}.md": cron(f"Job {n}.", f"{n} 7 * * *") for n in range(30)}
    async with world.engine() as engine:
        await engine.after(BASE | many)
        parsed = engine.effort.parsed
        report = await engine.after({"agent/crons/c7.md": cron("Job 7, better.", "7 8 * * *")})
        assert engine.effort.parsed == parsed + 1
        assert report.plan is not None
        assert [str(change.ref) for change in report.plan.changes] == ["cron/c7"]


@asynchronous
async def test_a_bad_cron_beside_a_scope_being_revoked_revokes_at_once(world: World) -> None:
    async with world.engine() as engine:
        await engine.after(BASE)
        await engine.after({FAMILY: None, DIGEST: cron(schedule="whenever I like")})
        assert not engine.is_admitted()
        status = engine.status("digest")
        assert (status.condition, status.reason) == (Condition.OUTDATED, "InvalidNote")
        assert f"{DIGEST}:" in status.message
        assert "runs on" in status.message
        assert status.attempted == world.vault.head != status.applied


@asynchronous
async def test_an_invalid_scope_fails_closed_except_the_owners(world: World) -> None:
    async with world.engine() as engine:
        await engine.after(BASE)
        broken_owner = OWNER.replace("can-read", "can-raed")
        await engine.after({FAMILY: scope(abilities="[flying]"), "agent/scopes/owner.md": broken_owner})
        assert not engine.is_admitted()
        assert not any('"paused":true' in good.spec for good in engine.book.last_good())
        assert engine.is_admitted("owner", "owner")
        closed, open_ = engine.status("family", "scope"), engine.status("owner", "scope")
        assert (closed.condition, closed.reason) == (Condition.STALLED, "InvalidNote")
        assert "closed" in closed.message
        assert open_.condition is Condition.OUTDATED
        assert (await engine.reconciler.preview()).changes == ()
        await engine.after({FAMILY: scope()})
        assert engine.is_admitted()


@asynchronous
async def test_an_invalid_scope_shared_with_the_owner_stays_open_for_the_owner_only(world: World) -> None:
    shared = note(
        "scope", "Be kind.", chats=f'[owner, "{FAMILY_CHAT}"]', people=f'[owner, "{FAMILY_MEMBER}"]'
    )
    broken = shared.replace("kind: scope", "kind: scope\ncan-raed: x")
    async with world.engine() as engine:
        await engine.after({"agent/scopes/owner.md": shared})
        assert engine.is_admitted()
        await engine.after({"agent/scopes/owner.md": broken})
        assert not engine.is_admitted()
        assert not engine.is_admitted("owner", FAMILY_MEMBER)
        assert engine.is_admitted("owner", "owner")
        assert "all chats but yours are closed" in engine.status("owner", "scope").message
        assert (await engine.reconciler.preview()).changes == ()
    async with world.engine() as engine:
        await engine.reconciler.iterate()
        assert not engine.is_admitted()
        await engine.after({"agent/scopes/owner.md": shared})
        assert engine.is_admitted()


@asynchronous
async def test_last_good_versions_run_on_across_a_restart(world: World) -> None:
    defaults = note("defaults", timezone="Asia/Kolkata")
    async with world.engine() as engine:
        await engine.after({**BASE, "agent/defaults.md": defaults})
        good = world.vault.head
        nowhere = note("defaults", timezone="Nowhere")
        bad_scope = scope(abilities="[flying]")
        await engine.after({DIGEST: cron(schedule="never"), FAMILY: bad_scope, "agent/defaults.md": nowhere})
        statuses = engine.book.statuses()
    async with world.engine() as engine:
        await engine.reconciler.iterate()
        running = engine.plain.running[Ref("cron", "digest")]
        assert (running.spec.schedule, running.spec.timezone) == ("0 7 * * *", "Asia/Kolkata")
        assert not engine.is_admitted()
        assert engine.status("digest").applied == good
        assert engine.book.statuses() == statuses
        # What is written now inherits from the last good defaults, too.
        await engine.after({"agent/crons/new.md": cron("Something new.", "1 1 * * *")})
        assert engine.plain.running[Ref("cron", "new")].spec.timezone == "Asia/Kolkata"


@asynchronous
async def test_a_restart_applies_everything_anew_and_writes_no_row(world: World) -> None:
    async with world.engine() as engine:
        await engine.after(BASE)
        rows, versions = engine.book.statuses(), engine.book.last_good()
    async with world.engine() as engine:
        writes = engine.writes()
        await engine.reconciler.iterate()
        assert set(engine.plain.running) == {Ref("cron", "digest")}
        assert (engine.book.statuses(), engine.book.last_good()) == (rows, versions)
        assert engine.writes() == writes


@asynchronous
async def test_a_note_deleted_while_the_engine_was_away_is_forgotten(world: World) -> None:
    async with world.engine() as engine:
        await engine.after(BASE)
    world.vault.commit({DIGEST: None})
    async with world.engine() as engine:
        await engine.reconciler.iterate()
        assert engine.plain.running == {}
        assert [str(status.ref) for status in engine.book.statuses()] == ["scope/family", "scope/owner"]
        assert [str(good.ref) for good in engine.book.last_good()] == ["scope/family", "scope/owner"]


@asynchronous
async def test_a_rename_is_an_update_that_keeps_the_uid(world: World) -> None:
    async with world.engine() as engine:
        await engine.after(BASE)
        uid = engine.plain.running[Ref("cron", "digest")].uid
        await engine.after({DIGEST: None, "agent/crons/report.md": cron()})
        assert engine.plain.log == ["create cron/digest", "update cron/report"]
        assert {ref: running.uid for ref, running in engine.plain.running.items()} == {
            Ref("cron", "report"): uid
        }
    async with world.engine() as engine:
        await engine.reconciler.iterate()
        assert engine.plain.running[Ref("cron", "report")].uid == uid


@asynchronous
async def test_what_was_lost_at_run_time_is_applied_again(world: World) -> None:
    async with world.engine() as engine:
        await engine.after(BASE)
        engine.plain.running.clear()
        await engine.reconciler.iterate()
        assert set(engine.plain.running) == {Ref("cron", "digest")}


@asynchronous
async def test_deleting_most_of_it_is_held_but_never_the_revocation(world: World) -> None:
    crons = {f"agent/crons/c{n}.md": cron(f"Job {n}.", f"{n} 7 * * *") for n in range(4)}
    async with world.engine() as engine:
        await engine.after(BASE | crons)
        await engine.after({FAMILY: None, **dict.fromkeys(crons)})
        held = world.vault.head
        assert held is not None
        assert not engine.is_admitted()
        assert len(engine.plain.running) == 5
        status = engine.status("c0")
        assert (status.condition, status.reason) == (Condition.HELD, "MassDeletion")
        assert f"vaultloop confirm {held[:12]}" in status.message
        assert engine.book.applied_revision != held
        assert engine.book.attention == (status.message,)
        # Neither another note nor a restart is the owner's word.
        await engine.after({"diary.md": "x"})
        await engine.after({DIGEST: cron("Better.")})
    async with world.engine() as engine:
        await engine.reconciler.iterate()
        assert len(engine.plain.running) == 5
        waiting = engine.book.hold
        assert waiting is not None
        with pytest.raises(VaultloopError, match="is not the revision that is held"):
            await engine.reconciler.confirm("0" * 40)
        assert len((await engine.reconciler.preview()).changes) == 4
        await engine.reconciler.confirm(waiting.revision[:12])
        await engine.reconciler.iterate()
        assert set(engine.plain.running) == {Ref("cron", "digest")}
        assert engine.book.hold is None
        assert engine.book.attention == ()
        assert engine.book.applied_revision == world.vault.head


@asynchronous
async def test_held_notes_that_come_back_are_held_no_more(world: World) -> None:
    crons: dict[str, str | None] = {
        f"agent/crons/c{n}.md": cron(f"Job {n}.", f"{n} 7 * * *") for n in range(6)
    }
    async with world.engine() as engine:
        await engine.after(BASE | crons)
        await engine.after(dict.fromkeys(crons))
        await engine.after(crons)
        assert engine.book.hold is None
        assert {status.condition for status in engine.book.statuses()} == {Condition.READY}
        assert [line for line in engine.plain.log if line.startswith("delete")] == []


@asynchronous
async def test_an_emptied_declaration_folder_is_held_and_scopes_end(world: World) -> None:
    async with world.engine() as engine:
        await engine.after(BASE)
        await engine.after(dict.fromkeys(BASE))
        assert not engine.is_admitted()
        assert engine.status("digest").condition is Condition.HELD
        assert world.vault.head is not None
        await engine.reconciler.confirm(world.vault.head)
        await engine.reconciler.iterate()
        assert engine.book.statuses() == []


@asynchronous
async def test_every_condition_has_its_reason_and_says_what_to_do(world: World) -> None:
    async with world.engine() as engine:
        engine.plain.refusals = {
            "later": [Retry("The line is busy.", after=60)],
            "red": [Stalled("It is red.", cure="Paint it.")],
        }
        await engine.after(
            {
                **BASE,
                "agent/crons/quiet.md": cron("Quiet.", "1 1 * * *", paused="true"),
                "agent/crons/later.md": cron("Later.", "2 1 * * *"),
                "agent/crons/red.md": cron("Red.", "3 1 * * *"),
                "agent/crons/new.md": cron("New.", "sometimes"),
                "agent/hot.md": note("memory", tier="hot", path="memory/hot.md"),
                "agent/cold.md": note("memory", tier="topics", path="memory/topics", paused="true"),
                "agent/scopes/twin.md": scope(),
            }
        )
        found = {str(s.ref): (s.condition, s.reason) for s in engine.book.statuses()}
        assert found == {
            "cron/digest": (Condition.READY, "Applied"),
            "cron/later": (Condition.RECONCILING, "Retry"),
            "cron/new": (Condition.STALLED, "InvalidNote"),
            "cron/quiet": (Condition.SUSPENDED, "Paused"),
            "cron/red": (Condition.STALLED, "ApplyFailed"),
            "memory/cold": (Condition.SUSPENDED, "Paused"),
            "memory/hot": (Condition.STALLED, "NoComponent"),
            "scope/family": (Condition.STALLED, "ChatClaimedTwice"),
            "scope/owner": (Condition.READY, "Applied"),
            "scope/twin": (Condition.STALLED, "ChatClaimedTwice"),
        }
        assert engine.status("later").message.endswith("next try at 2026-11-22 12:01:00 UTC.")
        assert engine.status("red").message == "It is red. Paint it."
        assert engine.status("later").applied is None
        assert not engine.is_admitted()


@asynchronous
async def test_what_is_declared_and_not_enforced_yet_is_said(world: World) -> None:
    async with world.engine() as engine:
        half = scope(answers="mentions", hosts="example.org", files_to="Inbox", can_write="Inbox")
        await engine.after(
            {
                **BASE,
                FAMILY: half,
                "agent/scopes/one.md": scope("-1008888888888", answers="mentions"),
                "agent/crons/usual.md": cron("Usual.", retries=2),
                "agent/scopes/strict.md": scope("-1009999999999", self_edit="deny"),
            }
        )
        family, one = engine.status("family", "scope"), engine.status("one", "scope")
        assert {family.condition, one.condition} == {Condition.READY}
        assert {family.reason, one.reason} == {"AppliedInPart"}
        assert family.message == (
            "In force, but for answers and files-to: this version does not enforce them yet."
        )
        assert one.message == "In force, but for answers: this version does not enforce it yet."
        assert engine.status("usual").message == "In force as declared."
        assert engine.status("strict", "scope").reason == "Applied"
        assert engine.told() == ""


@asynchronous
async def test_a_failed_update_says_that_the_older_version_runs_on(world: World) -> None:
    async with world.engine() as engine:
        await engine.after(BASE)
        good = world.vault.head
        assert good is not None
        engine.plain.refusals = {"digest": [Stalled("No.", cure="Mend it.")]}
        await engine.after({DIGEST: cron("Better.")})
        status = engine.status("digest")
        assert status.message == f"No. Mend it. The version of {good[:12]} runs on."
        assert (status.attempted, status.applied) == (world.vault.head, good)


@asynchronous
async def test_the_loop_tries_again_at_its_time_without_being_asked(world: World) -> None:
    async with world.engine() as engine:
        engine.plain.refusals = {"digest": [Retry("Busy.", after=60)]}
        world.vault.commit(BASE)
        async with background("reconciler", engine.reconciler.run()):
            await world.clock.advance(30)
            assert engine.plain.running == {}
            assert engine.book.applied_revision is None
            await world.clock.advance(31)
            assert set(engine.plain.running) == {Ref("cron", "digest")}
            assert engine.book.applied_revision == world.vault.head


@asynchronous
async def test_the_loop_hears_the_bell(world: World) -> None:
    async with world.engine() as engine:
        world.vault.commit(BASE)
        async with background("reconciler", engine.reconciler.run()):
            await world.clock.advance(0)
            world.vault.commit({DIGEST: None})
            engine.bell.ring()
            await world.clock.advance(0)
            assert engine.plain.running == {}


@asynchronous
async def test_an_error_of_an_iteration_is_logged_shown_and_outlived(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with world.engine() as engine:
        world.vault.commit(BASE)
        world.vault.trouble = RuntimeError("token=hunter2")
        async with background("reconciler", engine.reconciler.run()):
            await world.clock.advance(0)
            sentence = engine.told()
            assert "RuntimeError" in sentence
            assert "hunter2" not in sentence
            assert "Traceback" in caplog.text
            world.vault.trouble = VaultloopError("The folder is gone. Mount it.")
            await world.clock.advance(1)
            assert engine.told() == "The folder is gone. Mount it."
            world.vault.trouble = None
            await world.clock.advance(2)
            assert engine.told() == ""
            assert set(engine.plain.running) == {Ref("cron", "digest")}
            assert "iterations work again" in caplog.text


@asynchronous
async def test_an_engine_that_starts_while_sync_is_in_trouble_runs_what_it_knows(world: World) -> None:
    async with world.engine() as engine:
        await engine.after(BASE)
    world.vault.trouble = VaultloopError("The folder is gone. Mount it.")
    async with world.engine() as engine, background("reconciler", engine.reconciler.run()):
        await world.clock.advance(0)
        assert set(engine.plain.running) == {Ref("cron", "digest")}
        assert engine.is_admitted()
        assert [report.revision for report in engine.reports] == [world.vault.head]
        assert engine.told() == "The folder is gone. Mount it."


@asynchronous
async def test_where_the_newest_commit_is_and_why_sync_stands_are_shown(world: World) -> None:
    async with world.engine() as engine:
        await engine.after(BASE)
        world.vault.push_state = Push(PushState.STRANDED, NOON, "no route")
        world.vault.paused = "Both sides changed a.md."
        await engine.reconciler.iterate()
        assert engine.book.push == world.vault.push_state
        assert engine.book.attention == ("Both sides changed a.md.",)


@asynchronous
async def test_a_preview_and_an_iteration_take_turns(world: World) -> None:
    async with world.engine() as engine:
        world.vault.commit(BASE)
        report, plan = await asyncio.gather(engine.reconciler.iterate(), engine.reconciler.preview())
        assert report.plan is not None
        assert plan.changes == ()
