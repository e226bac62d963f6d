"""The revision that runs is one that was vetted and loaded: pinned, last good, or the newest trusted."""

import random
from datetime import timedelta
from pathlib import Path

import pytest

from support.commits import NOON, commit, text_at
from support.killed import killed_at
from support.notes import OWNER, note, scope
from support.plain_component import PlainComponent
from support.run import asynchronous
from support.signing_human import SshKey, signs_with
from support.vault_clone import VaultClone
from vaultloop.aio.bell import Bell
from vaultloop.aio.clock import VirtualClock
from vaultloop.aio.failpoint import Failpoint
from vaultloop.aio.supervise import background
from vaultloop.components import KINDS
from vaultloop.model.errors import Stalled
from vaultloop.model.resource import Ref
from vaultloop.model.status import Condition, Status
from vaultloop.reconcile.loop import Reconciler, Report
from vaultloop.reconcile.probation import STANDS_AFTER, Probation
from vaultloop.state.database import Database
from vaultloop.state.status_book import StatusBook
from vaultloop.vault.git.effort import Effort
from vaultloop.vault.git.repository import Identity, Repository
from vaultloop.vault.git.signing import Signer
from vaultloop.vault.notes.loader import Loader
from vaultloop.vault.sync import last_good
from vaultloop.vault.sync.allowed_signers import AllowedSigners
from vaultloop.vault.sync.lookout import READ_AGAIN, Lookout
from vaultloop.vault.sync.steering import Steering
from vaultloop.vault.sync.sync import Sync
from vaultloop.vault.sync.trust import Coverage, Trust
from vaultloop.vault.sync.vetting import Vetting

SCOPE = "agent/scopes/owner.md"
WHO = Identity("Vaultloop", "vaultloop@localhost")
BY = "owner (cli)"


class Desk:
    """A folder with its own git, in which a human commits, and what an engine makes of it."""

    def __init__(self, place: Path) -> None:
        self.state = place / "state"
        self.human = VaultClone.fresh(place / "vault")
        self.first = self.human.save(SCOPE, "first")
        self.clock = VirtualClock(NOON)

    def sync(self, trust: Trust | None = None) -> Sync:
        return Sync(self.state, self.clock, folder=self.human.path, trust=trust)

    def lookout(self, sync: Sync, poison: frozenset[str] = frozenset()) -> Lookout:
        return Lookout(sync, None, self.clock, poison=poison)

    def steering(self, sync: Sync) -> Steering:
        return Steering(sync, self.clock, WHO, lambda: None)


def declared(sync: Sync, revision: str) -> str:
    return last_good.declarations(sync.repository, revision)


def said(lookout: Lookout) -> str:
    return lookout.paused or ""


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


# Pinned.


@asynchronous
async def test_what_is_pinned_runs_whatever_is_newer_and_across_restarts(desk: Desk) -> None:
    newest = desk.human.save(SCOPE, "second")
    async with desk.sync() as sync:
        lookout = desk.lookout(sync)
        assert await lookout.look() == newest
        await desk.steering(sync).pin(desk.first[:8], BY)
        assert await lookout.look() == desk.first
        assert f"PINNED since 2026-11-22 12:00 to {desk.first[:12]}" in said(lookout)
        assert sync.runs == desk.first
    newer = desk.human.save(SCOPE, "third")
    async with desk.sync() as sync:
        lookout = desk.lookout(sync)
        assert await lookout.look() == desk.first
        assert sync.repository.head == newer
        assert await desk.steering(sync).unpin(BY) == "Unpinned: the newest revision runs again."
        assert await lookout.look() == newer
        assert lookout.paused is None
        assert sync.runs is None
        assert await desk.steering(sync).unpin(BY) == "Nothing is pinned."


@asynchronous
async def test_a_pin_is_a_commit_that_names_the_owners_act_and_git_shows_it(desk: Desk) -> None:
    async with desk.sync() as sync:
        await desk.steering(sync).pin("HEAD", BY)
    form = "--format=%s %(trailers:key=Asked-By,valueonly)"
    shown = desk.human.git("log", "-1", form, "refs/vaultloop/pin")
    assert shown == f"Pin {desk.first[:12]} {BY}"
    assert desk.human.git("diff", "--stat", desk.first, "refs/vaultloop/pin") == ""


@asynchronous
async def test_only_a_revision_that_is_known_can_be_pinned(desk: Desk) -> None:
    async with desk.sync() as sync:
        with pytest.raises(Stalled, match="There is no revision 'nothing'"):
            await desk.steering(sync).pin("nothing", BY)
        assert last_good.pinned(sync.repository) is None


@asynchronous
async def test_a_pin_whose_commit_is_gone_is_said_and_the_newest_runs(desk: Desk) -> None:
    async with desk.sync() as sync:
        await desk.steering(sync).pin("HEAD", BY)
        kept = sync.repository.kept("pin")
        assert kept is not None
    (desk.human.path / ".git" / "objects" / kept[:2] / kept[2:]).unlink()
    async with desk.sync() as sync:
        lookout = desk.lookout(sync)
        assert await lookout.look() == desk.first
        assert "PINNED to a revision that cannot be found" in said(lookout)


# The last good one, where the newest cannot be loaded or makes the engine crash.


def test_after_kill_9_the_last_good_revision_is_kept(tmp_path: Path) -> None:
    repository = Repository.bare(tmp_path / "vault.git")
    revision = commit(repository, None, {"Home.md": "# Home"})

    async def keep() -> None:
        last_good.keep_last_good(repository, revision)

    killed_at(Failpoint.LAST_GOOD_KEPT, keep)
    assert last_good.last_good(Repository.bare(tmp_path / "vault.git")) == revision


@asynchronous
async def test_a_revision_that_cannot_be_loaded_gives_way_to_the_last_good_one_loudly(desk: Desk) -> None:
    bad = desk.human.save(SCOPE, "poison")
    async with desk.sync() as sync:
        last_good.keep_last_good(sync.repository, desk.first)
        lookout, told = desk.lookout(sync), list[tuple[str, str]]()
        lookout.on_notice = lambda key, sentence: told.append((key, sentence))
        assert await lookout.look() == bad
        assert await lookout.fall_back(bad, RuntimeError("a bug of ours")) == desk.first
        assert await lookout.look() == desk.first
        assert "cannot be loaded (RuntimeError: a bug of ours)" in said(lookout)
        assert f"the last good revision, {desk.first[:12]}, runs" in said(lookout)
        assert {key for key, _ in told} == {f"last-good/{bad}"}
        await desk.clock.advance(READ_AGAIN.total_seconds())
        assert await lookout.look() == bad
        await lookout.fall_back(bad, RuntimeError("still"))
        mended = desk.human.save(SCOPE, "mended")
        assert await lookout.look() == mended
        assert lookout.paused is None


@asynchronous
async def test_without_a_last_good_revision_there_is_nothing_to_fall_back_to(desk: Desk) -> None:
    async with desk.sync() as sync:
        lookout = desk.lookout(sync)
        await lookout.look()
        assert await lookout.fall_back(desk.first, RuntimeError("x")) is None
        assert "no last good revision" in said(lookout)


@asynchronous
async def test_what_crashed_the_engine_again_and_again_does_not_run(desk: Desk) -> None:
    bad = desk.human.save(SCOPE, "poison")
    async with desk.sync() as sync:
        last_good.keep_last_good(sync.repository, desk.first)
        lookout = desk.lookout(sync, poison=frozenset({declared(sync, bad)}))
        assert await lookout.look() == desk.first
        assert "crashed again and again" in said(lookout)
        # A note that governs nothing changes nothing of that; the next change of a declaration does.
        desk.human.save("Inbox.md", "x")
        assert await lookout.look() == desk.first
        mended = desk.human.save(SCOPE, "mended")
        assert await lookout.look() == mended


@asynchronous
async def test_where_the_last_good_revision_crashes_too_the_newest_runs(desk: Desk) -> None:
    newest = desk.human.save("Inbox.md", "same declarations")
    async with desk.sync() as sync:
        last_good.keep_last_good(sync.repository, desk.first)
        lookout = desk.lookout(sync, poison=frozenset({declared(sync, newest)}))
        assert await lookout.look() == newest
        assert "no last good revision with other declarations" in said(lookout)


@asynchronous
async def test_the_declarations_that_are_about_to_run_are_announced_before_they_do(desk: Desk) -> None:
    async with desk.sync() as sync:
        lookout, announced = desk.lookout(sync), list[str]()
        lookout.on_choice = announced.append
        await lookout.look()
        assert announced == [declared(sync, desk.first)]


@asynchronous
async def test_an_engine_whose_newest_revision_is_damaged_starts_with_the_last_good_one(
    desk: Desk, tmp_path: Path
) -> None:
    good = desk.human.save(SCOPE, OWNER)
    bad = desk.human.save("agent/scopes/family.md", scope())
    broken = desk.human.git("rev-parse", f"{bad}:agent/scopes")
    object_file = desk.human.path / ".git" / "objects" / broken[:2] / broken[2:]
    async with desk.sync() as sync:
        last_good.keep_last_good(sync.repository, good)
        object_file.unlink()
    with Database(tmp_path / "engine.db") as database:
        async with desk.sync() as sync:
            book, reports = StatusBook(database), list[Report]()
            reconciler = Reconciler(
                vault=desk.lookout(sync),
                loader=Loader(KINDS, Effort()),
                kinds=KINDS,
                components={kind.name: PlainComponent() for kind in KINDS if kind.has_component},
                book=book,
                clock=desk.clock,
                bell=Bell(),
                on_report=reports.append,
            )
            # Nor can it be told what was edited in the folder.
            with pytest.raises(KeyError):
                await reconciler.iterate()
            assert [report.revision for report in reports] == [good]
            assert any("cannot be loaded" in one for one in book.attention)


# How a revision becomes the last good one.


class Run:
    """What runs, and how it stands."""

    def __init__(self, lookout: Lookout, database: Database, clock: VirtualClock) -> None:
        self.lookout, self.book, self.clock = lookout, StatusBook(database), clock
        self.probation = Probation(lookout, self.book, clock)

    async def applied(self, *troubled: str) -> None:
        self.book.record(
            Status(Ref("cron", name), Condition.STALLED, "test", "", NOON, None, None) for name in troubled
        )
        self.probation.observe(await self.lookout.look())
        await self.probation.review()

    async def passes(self, span: timedelta = STANDS_AFTER) -> None:
        await self.clock.advance(span.total_seconds())
        await self.probation.review()

    def kept(self) -> str | None:
        return last_good.last_good(self.lookout.repository)


@asynchronous
async def test_what_ran_for_long_enough_is_the_last_good_one(desk: Desk, tmp_path: Path) -> None:
    with Database(tmp_path / "engine.db") as database:
        async with desk.sync() as sync:
            run = Run(desk.lookout(sync), database, desk.clock)
            await run.applied()
            await run.passes(STANDS_AFTER - timedelta(seconds=1))
            assert run.kept() is None
            await run.passes(timedelta(seconds=1))
            assert run.kept() == desk.first
            # What governs nothing needs no probation of its own.
            newer = desk.human.save("Inbox.md", "x")
            await run.applied()
            assert run.kept() == newer
            changed = desk.human.save(SCOPE, "other")
            await run.applied()
            assert run.kept() == newer
            await run.passes()
            assert run.kept() == changed


@asynchronous
async def test_new_trouble_keeps_a_revision_from_being_good_and_old_trouble_does_not(
    desk: Desk, tmp_path: Path
) -> None:
    with Database(tmp_path / "engine.db") as database:
        async with desk.sync() as sync:
            run = Run(desk.lookout(sync), database, desk.clock)
            await run.applied("old")
            await run.passes()
            assert run.kept() == desk.first
            worse = desk.human.save(SCOPE, "worse")
            await run.applied("old", "new")
            await run.passes()
            assert run.kept() == desk.first
            await run.applied("old")
            assert run.kept() == worse


@asynchronous
async def test_a_revision_that_an_owner_pinned_is_no_later_last_good_one(desk: Desk, tmp_path: Path) -> None:
    newest = desk.human.save(SCOPE, "second")
    with Database(tmp_path / "engine.db") as database:
        async with desk.sync() as sync:
            run = Run(desk.lookout(sync), database, desk.clock)
            await run.applied()
            await run.passes()
            await desk.steering(sync).pin(desk.first, BY)
            await run.applied()
            await run.passes()
            assert run.kept() == newest


@asynchronous
async def test_the_end_of_a_probation_is_waited_for(desk: Desk, tmp_path: Path) -> None:
    with Database(tmp_path / "engine.db") as database:
        async with desk.sync() as sync:
            run = Run(desk.lookout(sync), database, desk.clock)
            revision = await run.lookout.look()
            async with background("probation", run.probation.run()):
                run.probation.observe(revision)
                while await sync.git(last_good.last_good, sync.repository) is None:
                    await desk.clock.advance(STANDS_AFTER.total_seconds() / 10)
                assert run.kept() == desk.first


# Rolling back.


@asynchronous
async def test_going_back_takes_back_what_governs_and_leaves_what_people_wrote(desk: Desk) -> None:
    reminder = note("reminder", at="2026-12-01T09:00", scope="owner")
    desk.human.write("CLAUDE.md", "be bold")
    desk.human.write("agent/rules/new.md", "a rule")
    desk.human.write("agent/reminders/tax.md", reminder)
    desk.human.write(".obsidian/app.json", "{}")
    desk.human.write("Inbox.md", "my words")
    desk.human.write(SCOPE, "second")
    before = desk.human.commit()
    async with desk.sync() as sync:
        told = await desk.steering(sync).roll_back(desk.first, BY)
        head = sync.repository.head
        assert head is not None
        commit_made = sync.repository.read_commit(head)
    assert commit_made.parents == (before,)
    assert commit_made.trailers["Rolled-Back-To"] == desk.first
    assert commit_made.trailers["Asked-By"] == BY
    assert f"vaultloop rollback {before[:10]}" in told
    there = {str(path.relative_to(desk.human.path)) for path in desk.human.path.rglob("*") if path.is_file()}
    assert {path for path in there if not path.startswith(".git/")} == {
        SCOPE, "agent/reminders/tax.md", ".obsidian/app.json", "Inbox.md"
    }  # fmt: skip
    assert desk.human.read(SCOPE) == "first"
    assert desk.human.git("status", "--porcelain") == ""
    async with desk.sync() as sync:
        await desk.steering(sync).roll_back(before, BY)
        assert text_at(sync.repository, str(sync.repository.head), "agent/rules/new.md") == "a rule"


@asynchronous
async def test_only_what_is_named_goes_back(desk: Desk) -> None:
    desk.human.save("agent/rules/new.md", "a rule")
    desk.human.save(SCOPE, "second")
    async with desk.sync() as sync:
        await desk.steering(sync).roll_back(desk.first, BY, only=["agent/rules/"])
        assert desk.human.read(SCOPE) == "second"
        assert not (desk.human.path / "agent/rules/new.md").exists()
        with pytest.raises(Stalled, match="Nothing differs at Inbox"):
            await desk.steering(sync).roll_back(desk.first, BY, only=["Inbox.md"])


@asynchronous
async def test_what_was_not_shown_is_not_rolled_back(desk: Desk) -> None:
    shown = desk.human.save(SCOPE, "second")
    desk.human.save("Inbox.md", "x")
    async with desk.sync() as sync:
        await desk.steering(sync).roll_back(desk.first, BY, shown_as=shown)
        assert desk.human.read(SCOPE) == "first"
        shown = desk.human.save(SCOPE, "third")
        desk.human.save("agent/rules/new.md", "since then")
        with pytest.raises(Stalled, match="changed since you were shown"):
            await desk.steering(sync).roll_back(desk.first, BY, shown_as=shown)
        assert desk.human.read(SCOPE) == "third"


@asynchronous
async def test_going_back_without_a_name_needs_a_last_good_revision(desk: Desk) -> None:
    desk.human.save(SCOPE, "second")
    async with desk.sync() as sync:
        with pytest.raises(Stalled, match="No revision has stayed healthy"):
            await desk.steering(sync).roll_back("", BY)
        last_good.keep_last_good(sync.repository, desk.first)
        await desk.steering(sync).roll_back("", BY)
        assert desk.human.read(SCOPE) == "first"
        again = await desk.steering(sync).roll_back("", BY)
        assert again.startswith("Nothing to roll back")


@asynchronous
async def test_a_session_is_governed_by_what_runs_and_reads_the_newest_notes(desk: Desk) -> None:
    desk.human.write("CLAUDE.md", "be bold")
    desk.human.write("Inbox.md", "my words")
    newest = desk.human.save(SCOPE, "second")
    head = desk.human.commit()
    async with desk.sync() as sync:
        for revision, scope_text, claude in ((newest, "second", None), (desk.first, "first", None)):
            files = last_good.governed(sync.repository, head, revision)
            found = {entry.path: files.read(entry).decode() for entry in files.under("")}
            assert files.revision == head
            assert (found[SCOPE], found.get("CLAUDE.md"), found["Inbox.md"]) == (
                scope_text,
                claude,
                "my words",
            )
        for runs in (None, head):
            files = last_good.governed(sync.repository, head, runs)
            assert files.tree_id("") == sync.repository.tree_of(head)


# Whatever happens in whichever order.


class Fate:
    """What may happen to a vault with trust on, and which of its revisions somebody stands behind."""

    def __init__(self, desk: Desk, seed: int) -> None:
        self.desk, self.dice = desk, random.Random(seed)
        self.ada = SshKey(desk.state.with_name("ada"))
        signers = desk.state.with_name("signers")
        signers.write_text(self.ada.line())
        desk.state.mkdir()
        vetting = Vetting(Coverage.PROTECTED, AllowedSigners(signers), Signer.make(desk.state))
        self.trust = Trust(vetting, clock=desk.clock)
        self.vetted, self.damaged, self.is_held = {desk.first}, set[str](), False

    async def happens(self, sync: Sync, lookout: Lookout) -> None:
        """One thing, by chance."""
        steering = self.desk.steering(sync)
        match self.dice.choice(["signed", "signed", "unsigned", "pin", "unpin", "damage", "good", "time"]):
            case "signed" | "unsigned" as how:
                self.commit(signed=how == "signed")
            case "pin":
                await self.pin(steering, self.dice.choice([self.desk.first, self.desk.human.head]))
            case "unpin":
                await steering.unpin(BY)
            case "damage":
                self.damaged |= {str(await lookout.look())} - {self.desk.first}
            case "good":
                last_good.keep_last_good(sync.repository, self.desk.first)
            case _:
                await self.desk.clock.advance(10)

    def commit(self, *, signed: bool) -> None:
        signs_with(self.desk.human, self.ada if signed else None)
        made = self.desk.human.save(SCOPE, f"{self.dice.random()}")
        self.is_held = self.is_held or not signed
        if not self.is_held:
            self.vetted.add(made)

    async def pin(self, steering: Steering, revision: str) -> None:
        if revision in self.vetted:
            await steering.pin(revision, BY)
            return
        with pytest.raises(Stalled, match="nobody trusted"):
            await steering.pin(revision, BY)


@asynchronous
async def test_no_rollback_goes_to_what_nobody_trusted_stands_behind(desk: Desk) -> None:
    fate = Fate(desk, 0)
    async with desk.sync(fate.trust) as sync:
        await desk.lookout(sync).look()
        fate.commit(signed=False)
        held = desk.human.head
        for name in (held, "HEAD"):
            with pytest.raises(Stalled, match="nobody trusted stands behind"):
                await desk.steering(sync).roll_back(name, BY)
        assert desk.human.head == held


@asynchronous
async def test_a_rollback_upon_what_is_held_says_that_it_does_not_run_yet(desk: Desk) -> None:
    fate = Fate(desk, 0)
    async with desk.sync(fate.trust) as sync:
        lookout = desk.lookout(sync)
        await lookout.look()
        fate.commit(signed=True)
        runs = await lookout.look()
        fate.commit(signed=False)
        said_then = await desk.steering(sync).roll_back(desk.first, BY)
        assert "But that does not run yet. Trust holds what was committed since" in said_then
        assert await lookout.look() == runs


@asynchronous
async def test_a_rollback_while_something_is_pinned_says_what_runs(desk: Desk) -> None:
    async with desk.sync() as sync:
        desk.human.save(SCOPE, "second")
        await desk.steering(sync).pin(desk.human.head, BY)
        said_then = await desk.steering(sync).roll_back(desk.first, BY)
        assert "is pinned, and runs until `vaultloop unpin`" in said_then


@pytest.mark.parametrize("seed", range(6))
@asynchronous
async def test_whatever_happens_what_runs_was_vetted_and_loads(desk: Desk, seed: int) -> None:
    fate = Fate(desk, seed)
    async with desk.sync(fate.trust) as sync:
        lookout = desk.lookout(sync)
        for _ in range(14):
            runs = await lookout.look()
            while runs in fate.damaged and (instead := await lookout.fall_back(runs, OSError("damaged"))):
                runs = instead
            assert runs in fate.vetted
            assert runs not in fate.damaged or last_good.last_good(sync.repository) is None
            await fate.happens(sync, lookout)
